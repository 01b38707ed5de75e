//! Commits in the API.

use async_graphql::SimpleObject;

use crate::store::commit;

/// A commit.
#[derive(Clone, Debug, SimpleObject)]
pub(super) struct Commit {
    author_login: Option<String>,
    author_name: String,
    hash: String,
    message: String,
    timestamp: i64,
    url: Option<String>,
}

impl From<commit::Commit> for Commit {
    fn from(commit: commit::Commit) -> Self {
        Self {
            author_login: commit.author_login,
            author_name: commit.author_name,
            hash: commit.hash,
            message: commit.message,
            timestamp: commit.timestamp,
            url: commit.url,
        }
    }
}
