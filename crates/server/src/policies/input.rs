//! The documents that policies are asked about. Pure.
//!
//! Takes records, gives JSON under the documented names; times are Unix nanoseconds. Never: a variable, a file or
//! a credential of a stack.

use serde_json::{Value, json};

use crate::auth::Role;
use crate::clock::UnixMillis;
use crate::domain::{Approval, Cause, Review, StateVersion};
use crate::plans::PlannedChange;
use crate::store::reviews::ReviewRow;
use crate::store::runs::RunRecord;
use crate::store::stacks::Stack;

/// What an approval policy is asked: the run, its stack, and who said what in this state and before.
pub(super) fn approval(record: &RunRecord, stack: &Stack, reviews: &[ReviewRow]) -> Value {
    json!({
        "run": run(record),
        "stack": about_stack(stack, record),
        "reviews": {
            "current": counted(reviews, |version| version == record.run.version),
            "older": counted(reviews, |version| version != record.run.version),
        },
    })
}

/// What a plan policy is asked: the run, its stack, and the plan as the tool shows it without what it marks as sensitive.
pub(super) fn plan(
    record: &RunRecord,
    stack: &Stack,
    plan: Value,
    changes: &[PlannedChange],
) -> Value {
    let mut run = run(record);
    run["changes"] = changes.iter().map(shown_change).collect();
    json!({
        "spacelift": {
            "commit": run["commit"],
            "previous_run": null,
            "request": { "timestamp_ns": nanos(UnixMillis::now()) },
            "run": run,
            "stack": about_stack(stack, record),
        },
        "terraform": plan,
    })
}

fn shown_change(change: &PlannedChange) -> Value {
    json!({
        "action": change.kind.action(),
        "entity": {
            "address": change.address,
            "previous_address": change.previous_address,
            "name": change.name,
            "type": change.resource_type,
            "entity_vendor": "terraform",
            "entity_type": "resource",
        },
        "phase": "plan",
    })
}

fn run(record: &RunRecord) -> Value {
    let settings = &record.settings;
    json!({
        "id": record.run.id.to_string(),
        "type": record.run.run_type.as_str(),
        "state": record.run.state.as_str(),
        "based_on_local_workspace": settings.archive.is_some(),
        "drift_detection": record.cause == Cause::Drift,
        "changes": [],
        "command": record.command.as_deref().unwrap_or_default(),
        "commit": {
            "author": record.commit.author_name,
            "branch": record.commit.branch,
            "created_at": record.commit.timestamp.saturating_mul(1_000_000_000),
            "hash": record.commit.hash,
            "message": record.commit.message,
        },
        "created_at": nanos(record.created_at),
        "updated_at": nanos(record.entered_at),
        "delta": record.plan.as_ref().map(|plan| json!({
            "added": plan.add, "changed": plan.change, "deleted": plan.delete,
        })),
        "flags": [],
        "runtime_config": {
            "before_init": settings.hooks.before_init,
            "project_root": settings.project_root,
            "runner_image": settings.runner_image.as_deref().unwrap_or_default(),
            "terraform_version": settings.tool.version.as_deref().unwrap_or_default(),
        },
        "triggered_by": record.triggered_by,
        "user_provided_metadata": record.metadata,
    })
}

fn about_stack(stack: &Stack, record: &RunRecord) -> Value {
    let settings = &stack.settings;
    json!({
        "id": stack.id.as_str(),
        "name": settings.name,
        "administrative": settings.administrative,
        "autodeploy": settings.approval == Approval::Automatic,
        "branch": settings.code.branch,
        "labels": settings.labels,
        "locked_by": stack.locked_by,
        "namespace": settings.code.namespace,
        "project_root": settings.code.project_root,
        "repository": settings.code.repository,
        "space": { "id": settings.space },
        "state": record.run.state.as_str(),
        "terraform_version": settings.vendor.tool().version,
        "worker_pool": { "id": record.pool.to_string() },
    })
}

/// The reviews of the states that fit; of each person only the newest counts, so that nobody counts twice.
fn counted(reviews: &[ReviewRow], fits: impl Fn(StateVersion) -> bool) -> Value {
    let mut newest: Vec<&ReviewRow> = Vec::new();
    for review in reviews.iter().filter(|review| fits(review.version)) {
        newest.retain(|other| other.author_id != review.author_id);
        newest.push(review);
    }
    let of = |decision: Review| -> Vec<Value> {
        let fitting = newest.iter().filter(|review| review.decision == decision);
        fitting.map(|review| shown(review)).collect()
    };
    json!({ "approvals": of(Review::Approve), "rejections": of(Review::Reject) })
}

fn shown(review: &ReviewRow) -> Value {
    json!({
        "author": review.author,
        "note": review.note,
        "state": review.state.as_str(),
        "request": { "timestamp_ns": nanos(review.given_at) },
        "session": {
            "login": review.author_id,
            "name": review.author,
            "role": review.role.as_str(),
            "admin": review.role == Role::Admin,
            "teams": [],
        },
    })
}

fn nanos(at: UnixMillis) -> i64 {
    at.0.saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_protocol::{RunId, RunState};
    use ulid::Ulid;

    fn review(author: &str, decision: Review, version: u32) -> ReviewRow {
        ReviewRow {
            id: Ulid::nil(),
            run: RunId::from_ulid(Ulid::nil()),
            state: RunState::Unconfirmed,
            version: StateVersion(version),
            decision,
            note: String::new(),
            author_id: author.to_owned(),
            author: author.to_owned(),
            role: Role::Writer,
            given_at: UnixMillis(1),
        }
    }

    #[test]
    fn nobody_counts_twice_and_old_states_stay_old() {
        use Review::{Approve, Reject};
        let reviews = [
            review("ann", Approve, 2),
            review("ann", Reject, 5),
            review("bob", Approve, 5),
            review("ann", Approve, 5),
            review("bob", Approve, 5),
        ];
        let names = |list: &Value| -> Vec<String> {
            let list = list.as_array().unwrap();
            list.iter()
                .map(|one| one["author"].as_str().unwrap().to_owned())
                .collect()
        };
        let current = counted(&reviews, |version| version == StateVersion(5));
        assert_eq!(names(&current["approvals"]), ["ann", "bob"]);
        assert!(names(&current["rejections"]).is_empty());
        let older = counted(&reviews, |version| version != StateVersion(5));
        assert_eq!(names(&older["approvals"]), ["ann"]);
    }
}
