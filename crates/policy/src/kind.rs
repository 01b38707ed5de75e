//! What kinds of policy there are, and which rules each may have.
//!
//! Pure data. Never: a rule that is read without standing here.

use serde::{Deserialize, Serialize};

/// What a policy decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// Whether a run may start on this host. The only kind that may call `exec`.
    Initialization,
    /// Whether a run that waits may go on.
    Approval,
    /// What a plan may change.
    Plan,
    /// What a commit starts.
    Push,
}

/// One rule that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What its value has to be.
    pub shape: Shape,
}

/// What a rule's value has to be; undefined is empty, or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A set or array of strings.
    Texts,
    /// A boolean.
    Flag,
}

/// The package of every policy.
pub(crate) const PACKAGE: &str = "spacelift";

const fn texts(name: &'static str) -> Rule {
    Rule {
        name,
        shape: Shape::Texts,
    }
}

const fn flag(name: &'static str) -> Rule {
    Rule {
        name,
        shape: Shape::Flag,
    }
}

impl PolicyKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Initialization, Self::Approval, Self::Plan, Self::Push];

    /// The rules that are read. A policy has at least one of them.
    pub const fn rules(self) -> &'static [Rule] {
        match self {
            Self::Initialization => const { &[texts("deny"), flag("sample")] },
            Self::Approval => const { &[flag("approve"), flag("reject"), flag("sample")] },
            Self::Plan => const { &[texts("deny"), texts("warn"), flag("sample")] },
            Self::Push => {
                const {
                    &[
                        flag("track"),
                        flag("propose"),
                        flag("ignore"),
                        flag("ignore_track"),
                        flag("notrigger"),
                        flag("prioritize"),
                        texts("cancel"),
                        texts("message"),
                        texts("flag"),
                        flag("sample"),
                    ]
                }
            }
        }
    }

    /// Whether `exec` exists for it.
    pub const fn may_exec(self) -> bool {
        matches!(self, Self::Initialization)
    }

    /// Its name in texts for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialization => "initialization",
            Self::Approval => "approval",
            Self::Plan => "plan",
            Self::Push => "push",
        }
    }
}
