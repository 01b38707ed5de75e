//! What a stack makes of a push. Pure, but for asking policies.
//!
//! Takes a push, the commit and the stack, gives one of three answers. Never: a run where a policy had no
//! answer.

use gantry_policy::PolicyKind;
use gantry_protocol::RunType;
use serde_json::{Value, json};

use crate::domain::{Push, asks_to_skip, touches};
use crate::policies::{Judge, Said};
use crate::store::StoreError;
use crate::store::commit::Commit;
use crate::store::policies::Policy;
use crate::store::runs::RunRecord;
use crate::store::stacks::Stack;

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A run of this type; and runs with these ids are not wanted any more.
    Start {
        run_type: RunType,
        cancel: Vec<String>,
    },
    /// Nothing, for this reason.
    Nothing { reason: String, cancel: Vec<String> },
}

/// What is known when a stack has to decide.
pub(super) struct Question<'a> {
    pub(super) stack: &'a Stack,
    pub(super) push: &'a Push,
    pub(super) commit: &'a Commit,
    pub(super) changed: Option<&'a [String]>,
    pub(super) unfinished: &'a [RunRecord],
}

impl Question<'_> {
    /// The answer of the stack's push policies; without any, that of its branch and of what changed.
    pub(super) async fn answer(
        &self,
        judge: &Judge,
        asked: Vec<Policy>,
    ) -> Result<Verdict, StoreError> {
        if asks_to_skip(&self.commit.message) {
            return Ok(nothing("its message asks for no runs", Vec::new()));
        }
        if asked.is_empty() {
            return Ok(self.usual());
        }
        Ok(together(&judge.ask(asked, &self.document()).await?))
    }

    fn usual(&self) -> Verdict {
        let code = &self.stack.settings.code;
        if !touches(self.changed, &code.project_root) {
            return nothing("nothing below its project root changed", Vec::new());
        }
        let run_type = match self.commit.branch == code.branch {
            true => RunType::Tracked,
            false => RunType::Proposed,
        };
        Verdict::Start {
            run_type,
            cancel: Vec::new(),
        }
    }

    /// What push policies are asked about; times are Unix nanoseconds.
    fn document(&self) -> Value {
        let (stack, commit) = (self.stack, self.commit);
        let settings = &stack.settings;
        let run = |record: &RunRecord| {
            json!({
                "id": record.run.id.to_string(),
                "type": record.run.run_type.as_str(),
                "state": record.run.state.as_str(),
                "branch": record.commit.branch,
                "commit": { "hash": record.commit.hash },
                "created_at": record.created_at.0.saturating_mul(1_000_000),
            })
        };
        json!({
            "push": {
                "affected_files": self.changed.unwrap_or_default(),
                "all_files_known": self.changed.is_some(),
                "author": commit.author_name,
                "branch": commit.branch,
                "created_at": commit.timestamp.saturating_mul(1_000_000_000),
                "hash": commit.hash,
                "message": commit.message,
                "pusher": self.push.pusher,
                "tag": "",
            },
            "pull_request": null,
            "in_progress": self.unfinished.iter().map(run).collect::<Vec<_>>(),
            "stack": {
                "id": stack.id.as_str(),
                "name": settings.name,
                "administrative": settings.administrative,
                "branch": settings.code.branch,
                "labels": settings.labels,
                "locked_by": stack.locked_by,
                "namespace": settings.code.namespace,
                "project_root": settings.code.project_root,
                "repository": settings.code.repository,
                "space": { "id": settings.space },
                "tracked_commit": stack.tracked.as_ref().map(|tracked| json!({
                    "hash": tracked.commit.hash, "message": tracked.commit.message,
                })),
                "worker_pool": { "id": settings.pool.map(|pool| pool.to_string()) },
            },
        })
    }
}

fn nothing(reason: impl Into<String>, cancel: Vec<String>) -> Verdict {
    Verdict::Nothing {
        reason: reason.into(),
        cancel,
    }
}

/// `ignore` of one is the answer of all; then `track`, then `propose`. A policy without an answer starts
/// nothing.
fn together(all: &[Said]) -> Verdict {
    if let Some(silent) = all.iter().find(|said| said.answer.is_err()) {
        let reason = format!("policy `{}` has no answer", silent.policy.id);
        return nothing(reason, Vec::new());
    }
    let answers = || all.iter().filter_map(|said| said.answer.as_ref().ok());
    let says = |rule: &str| answers().any(|answer| answer.flag(rule));
    let cancel: Vec<String> = answers()
        .flat_map(|answer| answer.texts("cancel"))
        .cloned()
        .collect();
    if says("ignore") || says("notrigger") {
        return nothing("a push policy says so", cancel);
    }
    let run_type = match (says("track") && !says("ignore_track"), says("propose")) {
        (true, _) => RunType::Tracked,
        (false, true) => RunType::Proposed,
        (false, false) => return nothing("no push policy wants it", cancel),
    };
    Verdict::Start { run_type, cancel }
}

/// The kind of policies that are asked.
pub(super) const KIND: PolicyKind = PolicyKind::Push;
