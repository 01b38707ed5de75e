//! Which waiting run goes to which launcher. Pure.
//!
//! Takes a pool's waiting runs and available launchers, gives pairs. Deployments, destroys and tasks go
//! before previews, the oldest first within each; idle launchers go before busy ones, the newest first (so
//! that the oldest hosts become idle and can be taken away). Never: a run twice, a launcher beyond its room.

use gantry_protocol::{LauncherId, RunId, RunType};
use ulid::Ulid;

/// A run that waits for a launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Which.
    pub(super) run: RunId,
    /// What it is for.
    pub(super) run_type: RunType,
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
    let mut waiting = waiting.to_vec();
    waiting.sort_by_key(|w| (class(w.run_type), w.run));
    let mut rooms = rooms.to_vec();
    let mut pairs = Vec::new();
    for next in waiting {
        // One at a time: a launcher that just got a run is no longer idle.
        let fits = |room: &&mut Room| room.free > 0 && next.key.is_none_or(|key| key == room.key);
        let best = rooms.iter_mut().filter(fits);
        let best = best.min_by_key(|room| (room.busy > 0, std::cmp::Reverse(room.launcher)));
        // Somebody may have room for the next one, which needs no key.
        let Some(room) = best else { continue };
        room.free -= 1;
        room.busy += 1;
        pairs.push((next.run, room.launcher));
    }
    pairs
}

fn class(run_type: RunType) -> u8 {
    match run_type {
        RunType::Tracked | RunType::Destroy | RunType::Task | RunType::Testing => 0,
        RunType::Proposed => 1,
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
            run: run(n),
            run_type,
            key: None,
        }
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
