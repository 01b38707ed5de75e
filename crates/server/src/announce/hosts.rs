//! Statuses and comments in the shapes of the four vendors. Pure.
//!
//! Takes a run and a state, gives paths below a host's API and bodies. Never: a token.

use gantry_protocol::{RunState, RunType};
use serde_json::{Value, json};

use super::message::{Word, line, link, plan};
use crate::code_hosts::{Place, piece};
use crate::domain::{Cause, CodeHost};
use crate::store::commit::Commit;
use crate::store::runs::RunRecord;
use crate::store::stacks::Stack;

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
    (host, api_url): (CodeHost, &str),
    base_url: &str,
    record: &RunRecord,
    state: RunState,
) -> Vec<(String, Value)> {
    let of_commit = matches!(record.run.run_type, RunType::Proposed | RunType::Tracked);
    let place = Place::of(host, &record.settings.url, api_url);
    let Some(place) = place.filter(|_| of_commit && record.cause == Cause::Asked) else {
        return Vec::new();
    };
    let spot = Spot {
        host,
        place,
        commit: record.commit.hash.clone(),
    };
    let mut all = Vec::new();
    if let Some(standing) = standing(state) {
        let check = Check {
            stack: record.run.stack.as_str(),
            url: link(base_url, record),
            text: line(record, state),
        };
        all.extend(spot.status(standing, &check));
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
        all.extend(spot.comment(&text));
    }
    all
}

/// What a code host is told about a push that starts nothing: a path below its API and a body.
pub(super) fn ignored(
    (host, api_url): (CodeHost, &str),
    base_url: &str,
    (stack, commit): (&Stack, &Commit),
    word: &Word,
) -> Option<(String, Value)> {
    let spot = Spot {
        host,
        place: Place::of(host, &stack.settings.code.url, api_url)?,
        commit: commit.hash.clone(),
    };
    let check = Check {
        stack: stack.id.as_str(),
        url: format!("{base_url}/stack/{}", stack.id),
        text: word.text.chars().take(140).collect(),
    };
    let standing = match word.fails {
        true => Standing::Bad,
        false => Standing::Good,
    };
    spot.status(standing, &check)
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

/// A commit of a repository at its host.
struct Spot {
    host: CodeHost,
    place: Place,
    commit: String,
}

/// A line among a commit's checks.
struct Check<'a> {
    stack: &'a str,
    url: String,
    text: String,
}

impl Spot {
    fn status(&self, standing: Standing, check: &Check<'_>) -> Option<(String, Value)> {
        let Check { stack, url, text } = check;
        let (sha, name) = (&self.commit, format!("gantry/{stack}"));
        let word = |open: &'static str, good, bad, ended| match standing {
            Standing::Open => open,
            Standing::Good => good,
            Standing::Bad => bad,
            Standing::Ended => ended,
        };
        match self.host {
            CodeHost::Git => None,
            CodeHost::Github => Some((
                self.at_github(&format!("statuses/{sha}")),
                json!({ "state": word("pending", "success", "failure", "error"),
                    "target_url": url, "description": text, "context": name }),
            )),
            CodeHost::Gitlab => Some((
                self.at_gitlab(&format!("statuses/{sha}")),
                json!({ "state": word("running", "success", "failed", "canceled"),
                    "target_url": url, "description": text, "name": name }),
            )),
            CodeHost::BitbucketDatacenter => Some((
                format!(
                    "/rest/api/1.0/projects/{}/repos/{}/commits/{sha}/builds",
                    piece(self.place.owner()),
                    piece(self.place.last())
                ),
                json!({ "state": word("INPROGRESS", "SUCCESSFUL", "FAILED", "CANCELLED"),
                    "url": url, "description": text, "key": name, "name": name }),
            )),
            CodeHost::AzureDevops => Some((
                format!(
                    "/{}/_apis/git/repositories/{}/commits/{sha}/statuses?api-version=7.1",
                    piece(self.place.owner()),
                    piece(self.place.last())
                ),
                json!({ "state": word("pending", "succeeded", "failed", "error"),
                    "targetUrl": url, "description": text,
                    "context": { "name": stack, "genre": "gantry" } }),
            )),
        }
    }

    fn at_github(&self, rest: &str) -> String {
        let (owner, name) = (piece(self.place.owner()), piece(self.place.last()));
        format!("/repos/{owner}/{name}/{rest}")
    }

    fn at_gitlab(&self, rest: &str) -> String {
        format!("/projects/{}/{rest}", piece(&self.place.name()))
    }

    fn comment(&self, text: &str) -> Option<(String, Value)> {
        let sha = &self.commit;
        match self.host {
            CodeHost::Github => Some((
                self.at_github(&format!("commits/{sha}/comments")),
                json!({ "body": text }),
            )),
            CodeHost::Gitlab => Some((
                self.at_gitlab(&format!("repository/commits/{sha}/comments")),
                json!({ "note": text }),
            )),
            // Their statuses carry what a plan found.
            CodeHost::BitbucketDatacenter | CodeHost::AzureDevops | CodeHost::Git => None,
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
             format!("/rest/api/1.0/projects/acme/repos/net/commits/{SHA}/builds"),
             ["INPROGRESS", "SUCCESSFUL", "FAILED", "CANCELLED"]),
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
                let all = messages(
                    (host, "https://host"),
                    "https://gantry.example",
                    &record,
                    state,
                );
                let [(found, body)] = &all[..] else {
                    panic!("{host:?} {state}: {all:?}")
                };
                assert_eq!((found, &body["state"]), (&path, &json!(word)), "{state}");
                let text = body.to_string();
                let link = format!("https://gantry.example/stack/net/run/{}", record.run.id);
                assert!(text.contains(&link), "{host:?}: {text}");
            }
            // A place that waits in a queue of ours is no news for reviewers.
            let quiet = messages(
                (host, "https://host"),
                "https://gantry.example",
                &record,
                RunState::Ready,
            );
            assert_eq!(quiet, []);
        }
    }

    #[tokio::test]
    async fn a_preview_says_what_it_would_change_where_hosts_have_a_place_for_it() {
        let github = record(RunType::Proposed, "https://github.com/acme/net.git").await;
        let all = messages(
            (CodeHost::Github, "https://host"),
            "https://g",
            &github,
            RunState::Finished,
        );
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[1].0, format!("/repos/acme/net/commits/{SHA}/comments"));
        let text = all[1].1["body"].as_str().unwrap();
        assert!(
            text.contains("+2 ~1 -0") && text.contains("`acme/net`"),
            "{text}"
        );

        let gitlab = record(RunType::Proposed, "https://gitlab.example/acme/net.git").await;
        let all = messages(
            (CodeHost::Gitlab, "https://host"),
            "https://g",
            &gitlab,
            RunState::Finished,
        );
        let path = format!("/projects/acme%2Fnet/repository/commits/{SHA}/comments");
        assert_eq!(all[1].0, path);
        assert!(all[1].1["note"].as_str().unwrap().contains("+2 ~1 -0"));

        for (host, url) in [
            (
                CodeHost::BitbucketDatacenter,
                "https://bitbucket.example/scm/acme/net.git",
            ),
            (
                CodeHost::AzureDevops,
                "https://dev.azure.com/org/proj/_git/net",
            ),
        ] {
            let record = record(RunType::Proposed, url).await;
            let all = messages(
                (host, "https://host"),
                "https://g",
                &record,
                RunState::Finished,
            );
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
            messages(
                (CodeHost::Github, "https://host"),
                "https://g",
                &task,
                RunState::Finished
            ),
            []
        );
        let plain = messages(
            (CodeHost::Git, "https://host"),
            "https://g",
            &github,
            RunState::Failed,
        );
        assert_eq!(plain, []);
    }
}
