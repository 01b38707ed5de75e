//! What goes beside the messages: metadata names, and which additions a side knows.
//!
//! Takes and gives header values. Never: an addition assumed of a side that did not name it, because the agents and
//! gateways that exist know none of them.

use std::fmt;

/// Names of the metadata on `Connect`.
pub mod metadata {
    /// The pool's id, from the token.
    pub const POOL: &str = "vcs-agent-pool-ulid";
    /// The pool's key, from the token; clear text inside TLS.
    pub const KEY: &str = "vcs-agent-key";
    /// The agent's tags: a JSON object of texts.
    pub const TAGS: &str = "vcs-agent-metadata";
    /// Additions to the published protocol that the sender knows; both sides send it, see [`Features`](super::Features).
    pub const FEATURES: &str = "gantry-vcs-features";
    /// The agent's version; sent by ours only.
    pub const VERSION: &str = "gantry-vcs-agent-version";
    /// One name for all streams of one agent process; sent by ours only.
    pub const PROCESS: &str = "gantry-vcs-agent-process";
}

/// Additions to the published protocol. None of them is used unless both sides name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Responses in parts, requests that can be taken back.
    pub chunks: bool,
}

impl Features {
    /// All that this version knows.
    pub const OURS: Self = Self { chunks: true };

    /// Reads a list separated by commas; names of later versions are passed over.
    #[must_use]
    pub fn parse(listed: &str) -> Self {
        let knows = |name: &str| listed.split(',').any(|part| part.trim() == name);
        Self {
            chunks: knows("chunks"),
        }
    }

    /// What both sides know.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            chunks: self.chunks && other.chunks,
        }
    }
}

impl fmt::Display for Features {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.chunks { "chunks" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::Features;

    #[test]
    fn only_what_both_name_is_used() {
        let ours = Features::OURS;
        assert_eq!(Features::parse(&ours.to_string()), ours);
        assert_eq!(Features::parse("later, chunks ,other"), ours);
        for silent in ["", "chunksy", "Chunks", "later"] {
            assert_eq!(ours.and(Features::parse(silent)), Features::default());
        }
    }
}
