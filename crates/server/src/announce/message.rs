//! What is told about a run. Pure.
//!
//! Takes a run and the state that it entered, gives texts. Never: a variable, a file or a log.

use gantry_protocol::RunState;
use serde_json::{Value, json};

use crate::store::runs::{RunRecord, TransitionRow};

/// What a code host is told about a push that starts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Whether the commit's check shows as failed.
    pub fails: bool,
    /// Why.
    pub text: String,
}

/// What a message to people's own servers says.
pub(super) fn body(id: &str, base_url: &str, record: &RunRecord, entered: &TransitionRow) -> Value {
    let (run, settings, commit) = (&record.run, &record.settings, &record.commit);
    json!({
        "event": "run.state_changed",
        "id": id,
        "run": {
            "id": run.id.to_string(),
            "url": link(base_url, record),
            "type": run.run_type.as_str(),
            "state": entered.state.as_str(),
            "stateVersion": entered.version.0,
            "enteredAt": entered.entered_at.seconds(),
            "terminal": entered.state.is_terminal(),
            "username": entered.username,
            "note": entered.note,
            "title": record.title,
            "triggeredBy": record.triggered_by,
            "createdAt": record.created_at.seconds(),
            "commit": {
                "hash": commit.hash,
                "branch": commit.branch,
                "author": commit.author_name,
                "message": commit.message,
            },
            "plan": record.plan.as_ref().map(|plan| json!({
                "add": plan.add, "change": plan.change, "delete": plan.delete,
            })),
        },
        "stack": {
            "id": run.stack.as_str(),
            "space": settings.space,
            "labels": settings.labels,
            "repository": settings.repository,
            "branch": settings.stack_branch,
            "projectRoot": settings.project_root,
        },
    })
}

/// Where people find the run.
pub(super) fn link(base_url: &str, record: &RunRecord) -> String {
    format!(
        "{base_url}/stack/{}/run/{}",
        record.run.stack, record.run.id
    )
}

/// What a plan found, in a few words.
pub(super) fn plan(record: &RunRecord) -> Option<String> {
    let plan = record.plan.as_ref()?;
    Some(format!("+{} ~{} -{}", plan.add, plan.change, plan.delete))
}

/// One short line about a state, for lists of checks.
pub(super) fn line(record: &RunRecord, state: RunState) -> String {
    let words = match state {
        RunState::Unconfirmed => "planned, waits for a decision",
        RunState::PendingReview => "planned, waits for reviews",
        RunState::Finished => "finished",
        RunState::Failed => "failed",
        RunState::Stopped => "was stopped",
        RunState::Discarded => "was discarded",
        RunState::Canceled => "was canceled",
        RunState::Skipped => "was skipped",
        RunState::Applying => "applies",
        RunState::Destroying => "destroys",
        RunState::Planning => "plans",
        _ => "waits",
    };
    let found = plan(record)
        .map(|plan| format!(" ({plan})"))
        .unwrap_or_default();
    let what = record.run.run_type.as_str().to_lowercase();
    format!("{what} run {words}{found}")
        .chars()
        .take(140)
        .collect()
}
