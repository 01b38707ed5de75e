//! What one evaluation may use.
//!
//! Plain numbers. Never: a limit that is only asked for nicely; each is enforced from outside (see `sandbox`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest text of a policy in bytes.
pub(crate) const MAX_POLICY: usize = 256 << 10;

/// Largest input document in bytes. A plan's JSON is the largest there is.
pub(crate) const MAX_INPUT: usize = 32 << 20;

/// Most texts of one rule, and most lines that a policy prints.
pub(crate) const MAX_TEXTS: usize = 100;

/// Longest text of a rule in bytes.
pub(crate) const MAX_TEXT: usize = 4 << 10;

/// Most bytes of an answer that are read.
pub(crate) const MAX_ANSWER: usize = 16 << 20;

/// Limits of one evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest time that the rules may take, `exec` left out.
    pub time: Duration,
    /// Address space of the evaluating process in bytes, its executable included.
    pub memory: u64,
    /// What `exec` may use.
    pub exec: ExecLimits,
}

/// Limits of `exec` in one evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecLimits {
    /// Most commands.
    pub calls: u32,
    /// Longest time of one command, also when it asks for more.
    pub each: Duration,
    /// Longest time of all commands together.
    pub total: Duration,
    /// Most bytes of each of a command's two streams; a command that writes more is ended.
    pub output: usize,
    /// Memory of one command in bytes, shared memory and reserved addresses left out.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(5),
            memory: 512 << 20,
            exec: ExecLimits {
                calls: 16,
                each: Duration::from_secs(10),
                total: Duration::from_secs(30),
                output: 256 << 10,
                memory: 1 << 30,
            },
        }
    }
}

/// `text` with at most `most` bytes, cut between characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at));
    format!("{}…", &text[..end.unwrap_or(0)])
}
