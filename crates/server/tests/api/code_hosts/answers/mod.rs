//! What the four vendors answer: one table for each.

mod azure;
mod bitbucket;
mod github;
mod gitlab;

use super::vendors::Played;

/// The four.
pub(crate) fn all() -> [Played; 4] {
    [
        github::github(),
        gitlab::gitlab(),
        bitbucket::bitbucket(),
        azure::azure(),
    ]
}
