//! Statuses and comments in the shapes of the four vendors. Pure.
//!
//! Takes a run and a state, gives paths below a host's API and bodies. Never: a token.

use gantry_protocol::payload::GitCredentials;
use gantry_protocol::{RunState, RunType};
use serde_json::{Value, json};

use super::message::{line, link, plan};
use crate::domain::{Cause, CodeHost, spellings};
use crate::store::runs::RunRecord;

/// How a state shows among a commit's checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Open,
    Good,
    Bad,
    Ended,
}

/// What a code host is told when a run enters a state: a path below its API and a body each.
pub(super) fn messages(
    host: CodeHost,
    base_url: &str,
    record: &RunRecord,
    state: RunState,
) -> Vec<(String, Value)> {
    let of_commit = matches!(record.run.run_type, RunType::Proposed | RunType::Tracked);
    let Some(place) = Place::of(host, record).filter(|_| of_commit && record.cause == Cause::Asked)
    else {
        return Vec::new();
    };
    let mut all = Vec::new();
    if let Some(standing) = standing(state) {
        all.extend(place.status(standing, base_url, record, state));
    }
    let summary = state == RunState::Finished && record.run.run_type == RunType::Proposed;
    if summary && let Some(found) = plan(record) {
        let text = format!(
            "**{}** would change `{}` at {}: {found} ([run]({}))",
            record.run.stack,
            record.settings.repository,
            record.commit.hash,
            link(base_url, record)
        );
        all.extend(place.comment(&text));
    }
    all
}

fn standing(state: RunState) -> Option<Standing> {
    match state {
        RunState::Queued
        | RunState::Planning
        | RunState::Unconfirmed
        | RunState::PendingReview
        | RunState::Applying => Some(Standing::Open),
        RunState::Finished | RunState::Skipped => Some(Standing::Good),
        RunState::Failed => Some(Standing::Bad),
        RunState::Stopped | RunState::Discarded | RunState::Canceled => Some(Standing::Ended),
        _ => None,
    }
}

/// Where a commit is at its host.
struct Place {
    host: CodeHost,
    /// Path of the repository, without `.git`.
    repository: String,
    commit: String,
}

impl Place {
    fn of(host: CodeHost, record: &RunRecord) -> Option<Self> {
        let url = spellings(&record.settings.url);
        let plain = url
            .iter()
            .find(|url| url.starts_with("https://") && !url.ends_with(".git"))?;
        let (_, path) = plain.strip_prefix("https://")?.split_once('/')?;
        Some(Self {
            host,
            repository: path.to_owned(),
            commit: record.commit.hash.clone(),
        })
    }

    fn status(
        &self,
        standing: Standing,
        base_url: &str,
        record: &RunRecord,
        state: RunState,
    ) -> Option<(String, Value)> {
        let (sha, url) = (&self.commit, link(base_url, record));
        let (name, text) = (format!("gantry/{}", record.run.stack), line(record, state));
        let word = |open: &'static str, good, bad, ended| match standing {
            Standing::Open => open,
            Standing::Good => good,
            Standing::Bad => bad,
            Standing::Ended => ended,
        };
        match self.host {
            CodeHost::Git => None,
            CodeHost::Github => Some((
                format!("/repos/{}/statuses/{sha}", self.repository),
                json!({ "state": word("pending", "success", "failure", "error"),
                    "target_url": url, "description": text, "context": name }),
            )),
            CodeHost::Gitlab => Some((
                format!("/projects/{}/statuses/{sha}", escaped(&self.repository)),
                json!({ "state": word("running", "success", "failed", "canceled"),
                    "target_url": url, "description": text, "name": name }),
            )),
            CodeHost::BitbucketDatacenter => Some((
                format!("/rest/build-status/1.0/commits/{sha}"),
                json!({ "state": word("INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED"),
                    "url": url, "description": text, "key": name, "name": name }),
            )),
            CodeHost::AzureDevops => {
                let (project, repository) = self.azure()?;
                Some((
                    format!(
                        "/{project}/_apis/git/repositories/{repository}/commits/{sha}/statuses?api-version=7.1"
                    ),
                    json!({ "state": word("pending", "succeeded", "failed", "error"),
                        "targetUrl": url, "description": text,
                        "context": { "name": record.run.stack.as_str(), "genre": "gantry" } }),
                ))
            }
        }
    }

    /// `organisation/project/_git/repository`.
    fn azure(&self) -> Option<(&str, &str)> {
        let (before, repository) = self.repository.split_once("/_git/")?;
        let (_, project) = before.rsplit_once('/')?;
        Some((project, repository))
    }

    fn comment(&self, text: &str) -> Option<(String, Value)> {
        let sha = &self.commit;
        match self.host {
            CodeHost::Github => Some((
                format!("/repos/{}/commits/{sha}/comments", self.repository),
                json!({ "body": text }),
            )),
            CodeHost::Gitlab => Some((
                format!(
                    "/projects/{}/repository/commits/{sha}/comments",
                    escaped(&self.repository)
                ),
                json!({ "note": text }),
            )),
            // Their statuses carry what a plan found.
            CodeHost::BitbucketDatacenter | CodeHost::AzureDevops | CodeHost::Git => None,
        }
    }
}

fn escaped(path: &str) -> String {
    path.replace('%', "%25").replace('/', "%2F")
}

/// The header by which a host knows the token.
pub(super) fn proof(host: CodeHost, login: &GitCredentials) -> (&'static str, String) {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let token = login.password.expose();
    match host {
        CodeHost::Gitlab => ("PRIVATE-TOKEN", token.to_owned()),
        CodeHost::AzureDevops => (
            "Authorization",
            format!("Basic {}", STANDARD.encode(format!(":{token}"))),
        ),
        CodeHost::Github | CodeHost::BitbucketDatacenter | CodeHost::Git => {
            ("Authorization", format!("Bearer {token}"))
        }
    }
}
