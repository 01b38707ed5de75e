//! What kinds of policy there are, and which rules each may have.
//!
//! Pure data. Never: a rule that is read without standing here.

use std::time::Duration;

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

/// The resources of a plan by what happens to them; one that is replaced is created and deleted too.
const PLAN_ALIASES: [(&str, &str); 5] = [
    (
        "affected_resources",
        "affected_resources[r] { r := input.terraform.resource_changes[_]; {\"create\", \"delete\", \"update\"}[r.change.actions[_]] }",
    ),
    (
        "created_resources",
        "created_resources[r] { r := input.terraform.resource_changes[_]; r.change.actions[_] == \"create\" }",
    ),
    (
        "deleted_resources",
        "deleted_resources[r] { r := input.terraform.resource_changes[_]; r.change.actions[_] == \"delete\" }",
    ),
    (
        "recreated_resources",
        "recreated_resources[r] { r := input.terraform.resource_changes[_]; r.change.actions[_] == \"create\"; r.change.actions[_] == \"delete\" }",
    ),
    (
        "updated_resources",
        "updated_resources[r] { r := input.terraform.resource_changes[_]; r.change.actions[_] == \"update\" }",
    ),
];

/// Parts of the run.
const RUN_ALIASES: [(&str, &str); 4] = [
    ("commit", "commit = input.run.commit"),
    ("run", "run = input.run"),
    (
        "runtime_config",
        "runtime_config = input.run.runtime_config",
    ),
    ("stack", "stack = input.stack"),
];

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
            Self::Approval => {
                const {
                    &[
                        flag("approve"),
                        flag("reject"),
                        texts("approve_with_note"),
                        texts("reject_with_note"),
                        texts("flag"),
                        texts("reset_flag"),
                        flag("sample"),
                    ]
                }
            }
            Self::Plan => {
                const {
                    &[
                        texts("deny"),
                        texts("warn"),
                        texts("flag"),
                        texts("reset_flag"),
                        flag("sample"),
                    ]
                }
            }
            Self::Push => {
                const {
                    &[
                        flag("track"),
                        flag("propose"),
                        flag("ignore"),
                        flag("ignore_track"),
                        flag("notrigger"),
                        flag("prioritize"),
                        flag("notify"),
                        flag("fail"),
                        texts("cancel"),
                        texts("message"),
                        texts("flag"),
                        texts("reset_flag"),
                        flag("sample"),
                    ]
                }
            }
        }
    }

    /// Names that a text may use without declaring them, each with its definition in Rego v0.
    pub(crate) const fn aliases(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Plan => &PLAN_ALIASES,
            Self::Initialization => &RUN_ALIASES,
            Self::Approval | Self::Push => &[],
        }
    }

    /// Rules that other systems read and that can't be done without here: to leave them unread would let through
    /// what they hold back.
    pub(crate) const fn impossible(self) -> &'static [&'static str] {
        match self {
            Self::Push => &["external_dependency"],
            Self::Initialization | Self::Approval | Self::Plan => &[],
        }
    }

    /// How long one evaluation may take: the larger its documents, the longer.
    pub const fn time(self) -> Duration {
        match self {
            Self::Initialization | Self::Approval => Duration::from_secs(5),
            Self::Push => Duration::from_secs(10),
            Self::Plan => Duration::from_secs(15),
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
