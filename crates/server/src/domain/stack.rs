//! A stack's settings and a pool's description, as people give them.
//!
//! Takes parsed input, gives checked values. Never: secret values; a stack's variables and files are kept
//! apart, because most readers of a stack must not see them.

use gantry_protocol::payload::{Hooks, Tool, ToolKind};
use gantry_protocol::{PoolId, StackId};

use super::run::Approval;

/// The space that exists from the start and holds everything that names no other.
pub const ROOT_SPACE: &str = "root";

/// What a stack is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSettings {
    /// The name people see.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The space it belongs to.
    pub space: String,
    /// Labels, in the order in which they were given.
    pub labels: Vec<String>,
    /// Where its code is.
    pub code: Code,
    /// Image that its runs execute in; `None` lets the launcher's default stand.
    pub runner_image: Option<String>,
    /// The tool that plans and applies.
    pub vendor: Vendor,
    /// The pool whose launchers take its runs.
    pub pool: Option<PoolId>,
    /// Who decides about a plan with changes.
    pub approval: Approval,
    /// Commands around the phases.
    pub hooks: Hooks,
    /// Whether it may manage others of its space.
    pub administrative: bool,
    /// Whether a preview of uploaded files is allowed.
    pub local_preview: bool,
}

/// Where a stack's code is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Clone URL.
    pub url: String,
    /// The part of the name before the repository's, such as an organisation; may be empty.
    pub namespace: String,
    /// The repository's own name.
    pub repository: String,
    /// The branch whose head a trigger without a commit takes.
    pub branch: String,
    /// Directory of the tool's code below the checkout; empty for its root.
    pub project_root: String,
}

/// The tool of a stack, under the names of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// A Terraform stack, planned and applied by Terraform or by OpenTofu.
    Terraform {
        /// The version asked for; `None` takes what the image holds.
        version: Option<String>,
        /// Which executable does the work.
        workflow: ToolKind,
    },
    /// An OpenTofu stack.
    OpenTofu {
        /// The version asked for; `None` takes what the image holds.
        version: Option<String>,
    },
}

/// Whether a stack takes new runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It does.
    Enabled,
    /// A person switched it off.
    Disabled,
}

/// Whether the server keeps the tool's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKeeper {
    /// It does, behind Terraform's `http` backend.
    Server,
    /// The code names its own backend.
    Elsewhere,
}

impl Code {
    /// `namespace/repository`, or the repository alone.
    pub fn full_name(&self) -> String {
        if self.namespace.is_empty() {
            return self.repository.clone();
        }
        format!("{}/{}", self.namespace, self.repository)
    }
}

impl Vendor {
    /// What the payload of a run says about the tool.
    pub fn tool(&self) -> Tool {
        match self {
            Self::Terraform { version, workflow } => Tool {
                kind: *workflow,
                version: version.clone(),
            },
            Self::OpenTofu { version } => Tool {
                kind: ToolKind::OpenTofu,
                version: version.clone(),
            },
        }
    }
}

/// Why a name gives no stack id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stack name `{name}` gives no id: it needs at least one letter or digit from a-z, 0-9")]
pub struct NoSlug {
    name: String,
}

/// The id that a stack of this name gets when nobody names one: lower case, every run of other characters
/// one `-`.
pub fn slug(name: &str) -> Result<StackId, NoSlug> {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            '_' if !slug.is_empty() => slug.push('_'),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.truncate(100);
    slug.trim_end_matches(['-', '_'])
        .parse()
        .map_err(|_| NoSlug {
            name: name.chars().take(64).collect(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_slugs() {
        for (name, expected) in [
            ("Networking PROD", "networking-prod"),
            ("  a -- b  ", "a-b"),
            ("team_x/infra", "team_x-infra"),
            ("Zürich", "z-rich"),
        ] {
            assert_eq!(slug(name).unwrap().as_str(), expected);
        }
        for bad in ["", "---", "日本"] {
            assert!(slug(bad).is_err(), "{bad}");
        }
        assert_eq!(slug(&"x".repeat(300)).unwrap().as_str().len(), 100);
    }
}
