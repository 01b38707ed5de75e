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

#[cfg(test)]
mod tests {
    use gantry_protocol::socket::PlanSummary;

    use super::*;
    use crate::store::testing::World;

    const SHA: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    /// A run of that type at a repository of one of the four vendors, with a plan.
    async fn record(run_type: RunType, url: &str) -> RunRecord {
        let mut record = World::new().await.run(run_type).await;
        url.clone_into(&mut record.settings.url);
        record.plan = Some(PlanSummary {
            has_changes: true,
            add: 2,
            change: 1,
            ..PlanSummary::default()
        });
        record
    }

    #[tokio::test]
    async fn each_host_gets_a_status_in_its_own_shape() {
        use CodeHost::{AzureDevops, BitbucketDatacenter, Github, Gitlab};
        let azure =
            format!("/proj/_apis/git/repositories/net/commits/{SHA}/statuses?api-version=7.1");
        #[rustfmt::skip]
        let rows = [
            (Github, "https://github.com/acme/net.git", format!("/repos/acme/net/statuses/{SHA}"),
             ["pending", "success", "failure", "error"]),
            (Gitlab, "https://gitlab.example/acme/sub/net.git",
             format!("/projects/acme%2Fsub%2Fnet/statuses/{SHA}"),
             ["running", "success", "failed", "canceled"]),
            (BitbucketDatacenter, "https://bitbucket.example/scm/acme/net.git",
             format!("/rest/build-status/1.0/commits/{SHA}"),
             ["INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED"]),
            (AzureDevops, "https://dev.azure.com/org/proj/_git/net", azure,
             ["pending", "succeeded", "failed", "error"]),
        ];
        let states = [
            RunState::Planning,
            RunState::Finished,
            RunState::Failed,
            RunState::Discarded,
        ];
        for (host, url, path, words) in rows {
            let record = record(RunType::Tracked, url).await;
            for (state, word) in states.into_iter().zip(words) {
                let all = messages(host, "https://gantry.example", &record, state);
                let [(found, body)] = &all[..] else {
                    panic!("{host:?} {state}: {all:?}")
                };
                assert_eq!((found, &body["state"]), (&path, &json!(word)), "{state}");
                let text = body.to_string();
                let link = format!("https://gantry.example/stack/net/run/{}", record.run.id);
                assert!(text.contains(&link), "{host:?}: {text}");
            }
            // A place that waits in a queue of ours is no news for reviewers.
            let quiet = messages(host, "https://gantry.example", &record, RunState::Ready);
            assert_eq!(quiet, []);
        }
    }

    #[tokio::test]
    async fn a_preview_says_what_it_would_change_where_hosts_have_a_place_for_it() {
        let github = record(RunType::Proposed, "https://github.com/acme/net.git").await;
        let all = messages(CodeHost::Github, "https://g", &github, RunState::Finished);
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[1].0, format!("/repos/acme/net/commits/{SHA}/comments"));
        let text = all[1].1["body"].as_str().unwrap();
        assert!(
            text.contains("+2 ~1 -0") && text.contains("`acme/net`"),
            "{text}"
        );

        let gitlab = record(RunType::Proposed, "https://gitlab.example/acme/net.git").await;
        let all = messages(CodeHost::Gitlab, "https://g", &gitlab, RunState::Finished);
        let path = format!("/projects/acme%2Fnet/repository/commits/{SHA}/comments");
        assert_eq!(all[1].0, path);
        assert!(all[1].1["note"].as_str().unwrap().contains("+2 ~1 -0"));

        for host in [CodeHost::BitbucketDatacenter, CodeHost::AzureDevops] {
            let url = "https://dev.azure.com/org/proj/_git/net";
            let record = record(RunType::Proposed, url).await;
            let all = messages(host, "https://g", &record, RunState::Finished);
            assert_eq!(all.len(), 1, "{host:?}: {all:?}");
            assert!(
                all[0].1["description"]
                    .as_str()
                    .unwrap()
                    .contains("+2 ~1 -0"),
                "{all:?}"
            );
        }
        // Nobody asked for it at the code host.
        let task = record(RunType::Task, "https://github.com/acme/net.git").await;
        assert_eq!(
            messages(CodeHost::Github, "https://g", &task, RunState::Finished),
            []
        );
        let plain = messages(CodeHost::Git, "https://g", &github, RunState::Failed);
        assert_eq!(plain, []);
    }

    #[test]
    fn each_host_knows_a_token_by_its_own_header() {
        let login = GitCredentials {
            username: "u".to_owned(),
            password: gantry_protocol::Secret::new("t"),
        };
        let basic = "Basic OnQ=".to_owned();
        for (host, expected) in [
            (CodeHost::Github, ("Authorization", "Bearer t".to_owned())),
            (CodeHost::Gitlab, ("PRIVATE-TOKEN", "t".to_owned())),
            (
                CodeHost::BitbucketDatacenter,
                ("Authorization", "Bearer t".to_owned()),
            ),
            (CodeHost::AzureDevops, ("Authorization", basic)),
        ] {
            assert_eq!(proof(host, &login), expected);
        }
    }
}
