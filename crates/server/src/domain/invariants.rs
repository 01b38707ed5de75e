//! Random events over several runs of one stack, and what must hold after each of them.
//!
//! Takes event sequences, legal and not. Never assumes an order: late, doubled and foreign events are in.

use gantry_protocol::{Attempt, RunId, RunState, RunType};
use proptest::prelude::*;
use ulid::Ulid;

use super::documented::{events, run_in};
use super::*;

const RUN_TYPES: [RunType; 5] = RunType::ALL;

#[derive(Clone, Debug)]
struct Happening {
    run: usize,
    event: usize,
    /// How far the named attempt is from the newest one.
    late: u32,
    /// Chosen among what is allowed, so that runs get far; otherwise among everything.
    allowed: bool,
}

fn happening() -> impl Strategy<Value = Happening> {
    (
        0..6usize,
        0..100usize,
        prop_oneof![4 => Just(0u32), 1 => 1..3u32],
        any::<bool>(),
    )
        .prop_map(|(run, event, late, allowed)| Happening {
            run,
            event,
            late,
            allowed,
        })
}

fn stack_of_runs(types: &[usize], settings: u8) -> Vec<Run> {
    let run = |(number, kind): (usize, &usize)| {
        let mut run = run_in(RunState::Queued, RUN_TYPES[*kind]);
        run.id = RunId::from_ulid(Ulid::from_parts(number as u64 + 1, 0));
        if settings & 1 == 1 {
            run.approval = Approval::Automatic;
        }
        if settings & 2 == 2 {
            run.task_init = TaskInit::Skip;
        }
        run
    };
    types.iter().enumerate().map(run).collect()
}

/// What the store does after every step: hand the lock to whoever is next.
fn settle(runs: &mut [Run]) {
    for id in lock::unblockable(runs.iter()) {
        let run = runs.iter_mut().find(|run| run.id == id).unwrap();
        *run = run.apply(&RunEvent::Unblocked).unwrap().run;
    }
}

fn check_step(before: &Run, after: &Run, event: &RunEvent) -> Result<(), TestCaseError> {
    prop_assert!(!before.state.is_terminal(), "{event} left {}", before.state);
    prop_assert!(after.attempt >= before.attempt);
    prop_assert!(after.attempt.0 <= before.attempt.0 + 1);
    prop_assert!(after.version >= before.version);
    if let Some(attempt) = event.attempt() {
        prop_assert_eq!(attempt, before.attempt, "a stale attempt was believed");
    }
    if after.state.needs_grant() && after.state != before.state {
        prop_assert!(
            matches!(event, RunEvent::Granted(..)),
            "{} without a grant",
            after.state
        );
        prop_assert_eq!(before.stop, Stop::NotAsked);
    }
    // After a grant no launcher ever gets the run again.
    if before.state.needs_grant() {
        prop_assert!(after.state.needs_grant() || after.state.is_terminal());
        prop_assert_eq!(after.attempt, before.attempt);
    }
    Ok(())
}

fn check_stack(runs: &[Run]) -> Result<(), TestCaseError> {
    let holders = runs.iter().filter(|run| run.holds_stack_lock()).count();
    prop_assert!(holders <= 1, "{holders} runs hold the lock");
    let waiting = |run: &&Run| run.state == RunState::Queued;
    if let Some(run) = runs.iter().find(waiting) {
        prop_assert!(
            holders == 1,
            "{} waits for a lock that nobody holds",
            run.id
        );
        prop_assert!(run.run_type.takes_stack_lock());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn random_events_keep_every_promise(
        types in prop::collection::vec(0..5usize, 6),
        settings in 0u8..4,
        happenings in prop::collection::vec(happening(), 1..300),
    ) {
        let mut runs = stack_of_runs(&types, settings);
        let mut granted: Vec<(RunId, RunState)> = Vec::new();
        settle(&mut runs);
        for Happening { run, event, late, allowed } in happenings {
            let newest = runs[run].attempt;
            let mut all = events(Attempt(newest.0.saturating_sub(late)));
            if allowed {
                all.retain(|event| runs[run].apply(event).is_ok());
            }
            if all.is_empty() { continue }
            let event = &all[event % all.len()];
            // Only the lock rule unblocks; the store never does it out of turn.
            if *event == RunEvent::Unblocked { continue }
            let before = runs[run].clone();
            if let Ok(transition) = before.apply(event) {
                check_step(&before, &transition.run, event)?;
                if let (RunEvent::Granted(_, phase), run) = (event, &transition.run) {
                    let key = (run.id, phase.state());
                    prop_assert!(!granted.contains(&key), "{key:?} was granted twice");
                    granted.push(key);
                }
                runs[run] = transition.run;
            }
            settle(&mut runs);
            check_stack(&runs)?;
        }
    }
}
