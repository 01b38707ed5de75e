//! The documents that policies are asked about. Pure.
//!
//! Takes records, gives JSON under the documented names; times are Unix nanoseconds. Never: a variable, a file or
//! a credential of a stack.

use serde_json::{Value, json};

use super::known::{OfRun, OfStack};
use crate::auth::Role;
use crate::clock::UnixMillis;
use crate::domain::{Approval, Cause, Review, StateVersion};
use crate::plans::PlannedChange;
use crate::store::commit::Commit;
use crate::store::reviews::ReviewRow;
use crate::store::runs::RunRecord;
use crate::store::stacks::Stack;

/// What an approval policy is asked: the run, its stack, and who said what in this state and before.
pub(super) fn approval(of: &OfRun, stack: (&Stack, &OfStack), reviews: &[ReviewRow]) -> Value {
    let now = of.record.run.version;
    json!({
        "request": request(),
        "run": run(of),
        "stack": about_stack(stack.0, stack.1),
        "reviews": {
            "current": counted(reviews, |version| version == now),
            "older": counted(reviews, |version| version != now),
        },
    })
}

/// What a plan policy is asked: the run, its stack, the run before it that changed the world, and the plan as the tool
/// shows it without what it marks as sensitive.
pub(super) fn plan(
    of: &OfRun,
    stack: (&Stack, &OfStack),
    previous: Option<&OfRun>,
    plan: Value,
) -> Value {
    let mut spacelift = json!({
        "commit": commit(&of.record.commit),
        "request": request(),
        "run": run(of),
        "stack": about_stack(stack.0, stack.1),
    });
    if let Some(previous) = previous {
        spacelift["previous_run"] = run(previous);
    }
    json!({ "spacelift": spacelift, "terraform": plan })
}

/// What every policy is told of a run; all that push policies are told of one that a push might make pointless.
pub fn waiting(record: &RunRecord) -> Value {
    json!({
        "id": record.run.id.to_string(),
        "type": record.run.run_type.as_str(),
        "state": record.run.state.as_str(),
        "based_on_local_workspace": record.settings.archive.is_some(),
        "branch": record.commit.branch,
        "commit": commit(&record.commit),
        "created_at": nanos(record.created_at),
        "triggered_by": record.triggered_by,
        "updated_at": nanos(record.entered_at),
        "user_provided_metadata": record.metadata,
    })
}

/// A commit, as whoever pushed it describes it.
pub fn commit(commit: &Commit) -> Value {
    json!({
        "author": commit.author_name,
        "branch": commit.branch,
        "created_at": commit.timestamp.saturating_mul(1_000_000_000),
        "hash": commit.hash,
        "message": commit.message,
    })
}

/// The moment of the question.
pub fn request() -> Value {
    json!({ "timestamp_ns": nanos(UnixMillis::now()) })
}

fn run(of: &OfRun) -> Value {
    let OfRun {
        record,
        flags,
        changes,
    } = of;
    let (settings, changes) = (&record.settings, changes.as_ref());
    let mut run = waiting(record);
    run["drift_detection"] = json!(record.cause == Cause::Drift);
    run["changes"] =
        json!(changes.map(|all| all.iter().map(PlannedChange::shown).collect::<Vec<_>>()));
    run["command"] = json!(record.command.as_deref().unwrap_or_default());
    run["delta"] = json!(record.plan.as_ref().map(|plan| json!({
        "added": plan.add, "changed": plan.change, "deleted": plan.delete,
    })));
    run["flags"] = json!(flags);
    run["runtime_config"] = json!({
        "before_init": settings.hooks.before_init,
        "project_root": settings.project_root,
        "runner_image": settings.runner_image.as_deref().unwrap_or_default(),
        "terraform_version": settings.tool.version.as_deref().unwrap_or_default(),
    });
    run
}

/// A stack.
pub fn about_stack(stack: &Stack, known: &OfStack) -> Value {
    let settings = &stack.settings;
    json!({
        "id": stack.id.as_str(),
        "name": settings.name,
        "additional_project_globs": [],
        "administrative": settings.administrative,
        "autodeploy": settings.approval == Approval::Automatic,
        "branch": settings.code.branch,
        "labels": settings.labels,
        "locked_by": stack.locked_by,
        "namespace": settings.code.namespace,
        "project_root": settings.code.project_root,
        "repository": settings.code.repository,
        "roles": [],
        "space": { "id": settings.space },
        "state": known.state.map_or("NONE", |state| state.as_str()),
        "terraform_version": settings.vendor.tool().version,
        "tracked_commit": stack.tracked.as_ref().map(|tracked| commit(&tracked.commit)),
        "worker_pool": {
            "id": settings.pool.map(|pool| pool.to_string()),
            "labels": known.pool.as_ref().map(|pool| &pool.labels),
            "name": known.pool.as_ref().map(|pool| &pool.name),
            "public": false,
        },
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
        "author_roles": [{ "id": review.role.as_str(), "slug": review.role.as_str(),
            "name": review.role.as_str() }],
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

/// Unix nanoseconds.
pub fn nanos(at: UnixMillis) -> i64 {
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
