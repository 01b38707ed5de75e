//! The store's promises about runs: one winner, one lock holder, a complete history.

use gantry_protocol::{Attempt, RunState, RunType};

use super::{Listing, apply, history, list, lock_holder};
use crate::clock::UnixMillis;
use crate::domain::{Actor, GrantedPhase, IllegalTransition, PlanOutcome, RunEnd, RunEvent};
use crate::store::StoreError;
use crate::store::testing::{World, ann};

async fn step(world: &World, id: gantry_protocol::RunId, event: RunEvent) -> super::Applied {
    let by = match event.caused_by() {
        crate::domain::ActorKind::User => ann(),
        crate::domain::ActorKind::Server => Actor::Server,
        crate::domain::ActorKind::Launcher => {
            Actor::Launcher(gantry_protocol::LauncherId::from_ulid(ulid::Ulid::nil()))
        }
    };
    let mut tx = world.store.begin().await.unwrap();
    let applied = apply(&mut tx, id, &event, &by, None, UnixMillis::now())
        .await
        .unwrap();
    world.store.commit(tx).await.unwrap();
    applied
}

#[tokio::test]
async fn a_run_goes_its_way_and_hands_the_lock_on() {
    let world = World::new().await;
    let first = world.run(RunType::Tracked).await;
    let second = world.run(RunType::Task).await;
    let preview = world.run(RunType::Proposed).await;
    let states = [first.run.state, second.run.state, preview.run.state];
    assert_eq!(states, [RunState::Ready, RunState::Queued, RunState::Ready]);

    let id = first.run.id;
    let (one, two) = (Attempt(1), Attempt(2));
    for event in [
        RunEvent::Leased,
        RunEvent::InitStarted(one),
        RunEvent::PlanStarted(one),
        RunEvent::Planned(one, PlanOutcome::Changes),
        RunEvent::Confirm,
        RunEvent::Leased,
        RunEvent::Granted(two, GrantedPhase::Apply),
    ] {
        assert!(step(&world, id, event).await.unblocked.is_empty());
    }
    let mut conn = world.store.read().await.unwrap();
    let holder = lock_holder(&mut conn, &world.stack).await.unwrap().unwrap();
    assert_eq!(holder.run.id, id);

    let end = step(&world, id, RunEvent::Ended(two, RunEnd::Succeeded)).await;
    assert_eq!(end.record.run.state, RunState::Finished);
    assert_eq!(end.unblocked, [second.run.id]);

    let lines = history(&mut conn, id).await.unwrap();
    let states: Vec<_> = lines.iter().rev().map(|line| line.state.as_str()).collect();
    assert_eq!(
        states.join(" "),
        "QUEUED READY PREPARING INITIALIZING PLANNING UNCONFIRMED CONFIRMED PREPARING_APPLY \
         APPLYING FINISHED"
    );
    let versions: Vec<_> = lines.iter().map(|line| line.version.0).collect();
    assert_eq!(versions, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let confirmed = &lines[3];
    assert_eq!(
        (confirmed.state, confirmed.username.as_deref()),
        (RunState::Confirmed, Some("ann"))
    );
}

#[tokio::test]
async fn of_two_confirms_at_once_one_wins() {
    let world = World::new().await;
    let id = world.run(RunType::Tracked).await.run.id;
    let one = Attempt(1);
    for event in [
        RunEvent::Leased,
        RunEvent::InitStarted(one),
        RunEvent::PlanStarted(one),
        RunEvent::Planned(one, PlanOutcome::Changes),
    ] {
        step(&world, id, event).await;
    }
    let confirm = || async {
        let mut tx = world.store.begin().await?;
        let by = ann();
        apply(
            &mut tx,
            id,
            &RunEvent::Confirm,
            &by,
            None,
            UnixMillis::now(),
        )
        .await?;
        world.store.commit(tx).await
    };
    let (a, b) = tokio::join!(confirm(), confirm());
    let refused = match (a, b) {
        (Ok(()), Err(refused)) | (Err(refused), Ok(())) => refused,
        (a, b) => panic!("{a:?} {b:?}"),
    };
    let text = refused.to_string();
    assert!(
        matches!(
            refused,
            StoreError::Illegal(IllegalTransition::NotNow { .. })
        ),
        "{text}"
    );
    assert!(text.contains("CONFIRMED: cannot confirm"), "{text}");
}

#[tokio::test]
async fn the_database_itself_refuses_a_second_lock_holder() {
    let world = World::new().await;
    world.run(RunType::Tracked).await;
    let second = world.run(RunType::Tracked).await;
    let mut tx = world.store.begin().await.unwrap();
    let forced = sqlx::query("UPDATE runs SET holds_lock = TRUE WHERE id = $1")
        .bind(second.run.id.to_string())
        .execute(&mut *tx)
        .await;
    assert!(
        forced
            .unwrap_err()
            .as_database_error()
            .unwrap()
            .is_unique_violation()
    );
}

#[tokio::test]
async fn lists_page_backwards_to_an_empty_end() {
    let world = World::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.run(RunType::Proposed).await.run.id);
    }
    made.reverse();
    let mut conn = world.store.read().await.unwrap();
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = list(&mut conn, &world.stack, Listing::All, before, 2)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.run.id);
        seen.extend(page.iter().map(|record| record.run.id));
    }
    assert_eq!(seen, made);
    let tasks = Listing::Only(RunType::Task);
    assert!(
        list(&mut conn, &world.stack, tasks, None, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_not_committed_never_happened() {
    let world = World::new().await;
    let id = world.run(RunType::Tracked).await.run.id;
    let mut changes = world.store.changes();
    let mut tx = world.store.begin().await.unwrap();
    apply(
        &mut tx,
        id,
        &RunEvent::Cancel,
        &ann(),
        None,
        UnixMillis::now(),
    )
    .await
    .unwrap();
    drop(tx);
    assert!(!changes.has_changed().unwrap());
    let mut conn = world.store.read().await.unwrap();
    let record = super::get(&mut conn, id).await.unwrap();
    assert_eq!(record.run.state, RunState::Ready);
    step(&world, id, RunEvent::Cancel).await;
    changes.changed().await.unwrap();
}

/// A query whose plan reads a whole table would only show with years of runs.
#[tokio::test]
async fn hot_queries_use_an_index() {
    let world = World::new().await;
    let mut conn = world.store.read().await.unwrap();
    for sql in [
        "EXPLAIN QUERY PLAN SELECT * FROM runs WHERE stack_id = 'a' AND id < 'b' ORDER BY id DESC LIMIT 2",
        "EXPLAIN QUERY PLAN SELECT * FROM runs WHERE stack_id = 'a' AND holds_lock",
        "EXPLAIN QUERY PLAN SELECT * FROM runs WHERE stack_id = 'a' AND state IN ('READY', 'QUEUED') ORDER BY id",
        "EXPLAIN QUERY PLAN SELECT * FROM runs WHERE pool_id = 'a' AND state IN ('READY', 'CONFIRMED') ORDER BY id",
        "EXPLAIN QUERY PLAN SELECT * FROM run_transitions WHERE run_id = 'a' ORDER BY state_version DESC",
        "EXPLAIN QUERY PLAN SELECT * FROM stacks WHERE id > 'a' AND deleted_at IS NULL ORDER BY id LIMIT 2",
        "EXPLAIN QUERY PLAN SELECT * FROM audit WHERE subject = 'a' ORDER BY id",
    ] {
        let rows: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sql).fetch_all(&mut *conn).await.unwrap();
        for (.., detail) in rows {
            assert!(!detail.starts_with("SCAN"), "{sql}: {detail}");
        }
    }
}

/// SQLite's own limit stands for the disk's: it fails in the same way.
#[tokio::test]
async fn a_full_disk_is_told_apart_and_loses_nothing() {
    let world = World::new().await;
    let id = world.run(RunType::Tracked).await.run.id;
    let mut tx = world.store.begin().await.unwrap();
    // Anything above what is in use means: not one page more.
    sqlx::query("PRAGMA max_page_count = 1")
        .execute(&mut *tx)
        .await
        .unwrap();
    let long = "x".repeat(1 << 20);
    let refused = super::add_note(&mut tx, id, &long).await.unwrap_err();
    assert_eq!(
        refused.storage_fault(),
        Some(crate::store::StorageFault::Full),
        "{refused:?}"
    );
    drop(tx);

    // Space was freed: the next write finds a connection that works.
    let mut conn = world.store.read().await.unwrap();
    assert_eq!(super::get(&mut conn, id).await.unwrap().note, None);
    step(&world, id, RunEvent::Leased).await;
}
