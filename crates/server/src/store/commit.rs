//! A commit, as runs and stacks remember it.
//!
//! Takes and gives plain data in JSON columns.

use serde::{Deserialize, Serialize};

/// What is known about a commit; texts are empty where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commit {
    /// Full hash.
    pub hash: String,
    /// The branch it was taken from.
    pub branch: String,
    /// Author's name.
    pub author_name: String,
    /// Author's login at the code host.
    pub author_login: Option<String>,
    /// First line of the message, or all of it.
    pub message: String,
    /// Unix seconds; 0 where unknown.
    pub timestamp: i64,
    /// Where people can look at it.
    pub url: Option<String>,
}

/// The commit that a stack's next deployment takes, and who chose it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedCommit {
    /// The commit.
    pub commit: Commit,
    /// Who chose it; none for the branch's own head.
    pub set_by: Option<String>,
    /// Whether deployments that name no commit take it.
    #[serde(default)]
    pub choice: Choice,
}

/// How a stack came to its commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Choice {
    /// It was deployed last; the next deployment takes the branch's head.
    #[default]
    Deployed,
    /// A person set it; deployments take it until another one is set or deployed.
    Set,
}
