//! Policies of the server: what they are called and which stacks they are about. Pure.
//!
//! Takes texts and labels, gives ids and whether a label attaches. Never: an evaluation.

use std::fmt;
use std::str::FromStr;

use gantry_protocol::StackId;

/// Labels of a policy that begin so attach it to every stack that has the rest as a label.
const AUTOATTACH: &str = "autoattach:";

/// The rest that every stack has.
const EVERY_STACK: &str = "*";

/// A policy's slug, under the rules of a stack's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyId(String);

/// A text that is no policy's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a policy id: expected 1 to 100 lower-case letters, digits, `-` or `_`, starting with a letter or digit"
)]
pub struct NoPolicyId(String);

impl PolicyId {
    /// The slug.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<StackId> for PolicyId {
    fn from(slug: StackId) -> Self {
        Self(slug.into())
    }
}

impl FromStr for PolicyId {
    type Err = NoPolicyId;

    fn from_str(text: &str) -> Result<Self, NoPolicyId> {
        let slug: Result<StackId, _> = text.parse();
        let refused = |_| NoPolicyId(text.chars().take(64).collect());
        slug.map(Self::from).map_err(refused)
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a policy came to a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Somebody attached it.
    ByHand,
    /// One of its labels names one of the stack's.
    ByLabel,
}

/// Whether a policy's label attaches it to anything.
pub fn names_stacks(label: &str) -> bool {
    label.starts_with(AUTOATTACH)
}

/// Whether a policy with these labels is about a stack with those.
pub fn attaches_itself(policy: &[String], stack: &[String]) -> bool {
    let wanted = policy
        .iter()
        .filter_map(|label| label.strip_prefix(AUTOATTACH));
    wanted
        .into_iter()
        .any(|label| label == EVERY_STACK || stack.iter().any(|own| own == label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_attach_by_whole_names() {
        let labels = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let stack = labels(&["team:net", "prod"]);
        for (policy, expected) in [
            (&["autoattach:prod"][..], true),
            (&["x", "autoattach:team:net"], true),
            (&["autoattach:*"], true),
            (&["autoattach:pro"], false),
            (&["prod"], false),
            (&["autoattach:"], false),
            (&["Autoattach:prod"], false),
            (&[], false),
        ] {
            assert_eq!(
                attaches_itself(&labels(policy), &stack),
                expected,
                "{policy:?}"
            );
        }
        assert!(attaches_itself(&labels(&["autoattach:*"]), &[]));
        let refused = "A b".parse::<PolicyId>().unwrap_err().to_string();
        assert!(refused.contains("policy id"), "{refused}");
    }
}
