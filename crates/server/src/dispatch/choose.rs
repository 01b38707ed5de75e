//! Which waiting run goes to which launcher. Pure.
//!
//! Takes a pool's waiting runs and available launchers, gives pairs. What a person moved ahead goes first, then
//! deployments, destroys and tasks, then previews, then looks for drift, the oldest first within each; runs of one
//! stack and one type never pass each other. Idle launchers go before busy ones, the newest first (so
//! that the oldest hosts become idle and can be taken away). Never: a run twice, a launcher beyond its room.

use std::collections::BTreeMap;

use gantry_protocol::{LauncherId, RunId, RunType};
use ulid::Ulid;

use crate::domain::{Cause, Urgency};
use crate::store::leases::WaitingRun;

/// A run that waits for a launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// What is known of it.
    pub(super) run: WaitingRun,
    /// The pool's key that its packed workspace is sealed to, while that key counts: nobody else could open it.
    pub(super) key: Option<Ulid>,
}

/// A launcher that would take runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Which.
    pub(super) launcher: LauncherId,
    /// The pool's key that it has.
    pub(super) key: Ulid,
    /// How many runs it would take.
    pub(super) free: u32,
    /// How many it has.
    pub(super) busy: u32,
}

/// The pairs, most urgent first.
pub(super) fn choose(waiting: &[Waiting], rooms: &[Room]) -> Vec<(RunId, LauncherId)> {
    let mut rooms = rooms.to_vec();
    let mut pairs = Vec::new();
    for next in ordered(waiting) {
        // One at a time: a launcher that just got a run is no longer idle.
        let fits = |room: &&mut Room| room.free > 0 && next.key.is_none_or(|key| key == room.key);
        let best = rooms.iter_mut().filter(fits);
        let best = best.min_by_key(|room| (room.busy > 0, std::cmp::Reverse(room.launcher)));
        // Somebody may have room for the next one, which needs no key.
        let Some(room) = best else { continue };
        room.free -= 1;
        room.busy += 1;
        pairs.push((next.run.run, room.launcher));
    }
    pairs
}

/// The order in which waiting runs are handed out.
pub fn queue(waiting: Vec<WaitingRun>) -> Vec<RunId> {
    let keyless = |run| Waiting { run, key: None };
    let waiting: Vec<_> = waiting.into_iter().map(keyless).collect();
    let order = ordered(&waiting).into_iter();
    order.map(|one| one.run.run).collect()
}

/// The order in which runs are handed out. A run that was moved ahead moves its stack and type: the turn that it
/// gets is taken by the oldest of them.
fn ordered(waiting: &[Waiting]) -> Vec<&Waiting> {
    let mut turns: Vec<&Waiting> = waiting.iter().collect();
    turns.sort_by_key(|w| (w.run.urgency == Urgency::Normal, class(&w.run), w.run.run));
    let mut own: BTreeMap<_, BTreeMap<RunId, &Waiting>> = BTreeMap::new();
    for one in waiting {
        own.entry(kin(&one.run))
            .or_default()
            .insert(one.run.run, one);
    }
    let kins = turns.into_iter().map(|turn| kin(&turn.run));
    kins.filter_map(|kin| Some(own.get_mut(&kin)?.pop_first()?.1))
        .collect()
}

fn kin(run: &WaitingRun) -> (&str, &'static str) {
    (run.stack.as_str(), run.run_type.as_str())
}

fn class(run: &WaitingRun) -> u8 {
    match (run.cause, run.run_type) {
        (Cause::Drift, _) => 2,
        (Cause::Asked, RunType::Proposed) => 1,
        (Cause::Asked, RunType::Tracked | RunType::Destroy | RunType::Task | RunType::Testing) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(n: u128) -> RunId {
        RunId::from_ulid(Ulid::from(n))
    }

    fn launcher(n: u128) -> LauncherId {
        LauncherId::from_ulid(Ulid::from(n))
    }

    fn waits(n: u128, run_type: RunType) -> Waiting {
        Waiting {
            run: WaitingRun {
                run: run(n),
                stack: format!("s{n}").parse().unwrap(),
                run_type,
                cause: Cause::Asked,
                urgency: Urgency::Normal,
            },
            key: None,
        }
    }

    fn order(waiting: &[Waiting]) -> Vec<u128> {
        let found = |one: &&Waiting| (0..100).find(|n| run(*n) == one.run.run).unwrap();
        ordered(waiting).iter().map(found).collect()
    }

    #[test]
    fn moved_ahead_then_deployments_then_previews_then_drift() {
        let (mut drift, mut ahead) = (waits(1, RunType::Proposed), waits(9, RunType::Proposed));
        drift.run.cause = Cause::Drift;
        ahead.run.urgency = Urgency::Prioritised;
        let waiting = [
            drift,
            waits(2, RunType::Proposed),
            waits(4, RunType::Destroy),
            waits(3, RunType::Task),
            ahead,
        ];
        assert_eq!(order(&waiting), [9, 3, 4, 2, 1]);
    }

    #[test]
    fn runs_of_one_stack_and_type_never_pass_each_other() {
        let of = |n, urgency| {
            let mut one = waits(n, RunType::Proposed);
            one.run.stack = "one".parse().unwrap();
            one.run.urgency = urgency;
            one
        };
        let waiting = [
            of(2, Urgency::Normal),
            waits(1, RunType::Proposed),
            of(5, Urgency::Prioritised),
            of(4, Urgency::Normal),
        ];
        assert_eq!(order(&waiting), [2, 1, 4, 5]);
    }

    fn room(n: u128, free: u32, busy: u32) -> Room {
        Room {
            launcher: launcher(n),
            key: Ulid::nil(),
            free,
            busy,
        }
    }

    #[test]
    fn urgent_and_old_runs_first_to_new_and_idle_launchers() {
        let waiting = [
            waits(1, RunType::Proposed),
            waits(3, RunType::Tracked),
            waits(2, RunType::Task),
        ];
        let rooms = [room(1, 1, 0), room(2, 2, 0), room(9, 1, 1), room(10, 0, 0)];
        let pairs = choose(&waiting, &rooms);
        let expected = [
            (run(2), launcher(2)),
            (run(3), launcher(1)),
            (run(1), launcher(9)),
        ];
        assert_eq!(pairs, expected);
        assert_eq!(choose(&waiting, &[]), []);
        assert_eq!(choose(&[], &rooms), []);
    }

    #[test]
    fn a_sealed_workspace_goes_to_who_can_open_it() {
        let key = Ulid::from(7u128);
        let sealed = Waiting {
            key: Some(key),
            ..waits(1, RunType::Tracked)
        };
        let former = Room {
            key,
            ..room(1, 1, 1)
        };
        let waiting = [sealed, waits(2, RunType::Tracked)];
        let pairs = choose(&waiting, &[room(9, 2, 0), former]);
        assert_eq!(pairs, [(run(1), launcher(1)), (run(2), launcher(9))]);
        assert_eq!(choose(&waiting, &[room(9, 2, 0)]), [(run(2), launcher(9))]);
    }

    proptest! {
        #[test]
        fn nobody_gets_too_much(
            runs in prop::collection::btree_set(0u128..50, 0..30),
            rooms in prop::collection::btree_map(0u128..10, (0u32..4, 0u32..3), 0..8),
        ) {
            let waiting: Vec<_> = runs.iter().map(|n| waits(*n, RunType::ALL[*n as usize % 5])).collect();
            let rooms: Vec<_> = rooms.iter().map(|(n, (free, busy))| room(*n, *free, *busy)).collect();
            let pairs = choose(&waiting, &rooms);
            let given: std::collections::BTreeSet<_> = pairs.iter().map(|(run, _)| *run).collect();
            prop_assert_eq!(given.len(), pairs.len());
            let free: u32 = rooms.iter().map(|room| room.free).sum();
            prop_assert_eq!(pairs.len(), waiting.len().min(free as usize));
            for room in rooms {
                let got = pairs.iter().filter(|(_, to)| *to == room.launcher).count();
                prop_assert!(got <= room.free as usize);
            }
        }
    }
}
