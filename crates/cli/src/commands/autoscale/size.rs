//! How many launchers a pool wants.
//!
//! Takes what stands now and bounds, gives a number and why. Pure. Never: fewer than have a run, whatever the bounds say.

use std::num::NonZeroU32;

/// What one launcher of the pool does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Launcher {
    /// It has a run, whatever else is true of it.
    Busy,
    /// It waits for runs; its id.
    Idle(String),
    /// A person or an autoscaler closed it: it is about to go.
    Drained,
    /// It is there and takes no runs: paused, unhealthy, not let in.
    Closed,
    /// It has not been heard of for long.
    Silent,
}

/// A pool at one moment.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    /// Runs that wait for a launcher.
    pub pending: u32,
    /// Whether a launcher could take a run now.
    pub has_room: bool,
    /// Oldest first.
    pub launchers: Vec<Launcher>,
}

/// What the answer keeps to.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub min: u32,
    pub max: Option<u32>,
    /// Runs that a launcher takes at a time.
    pub per_launcher: NonZeroU32,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Launchers that the pool should have.
    pub size: u32,
    /// Launchers that it has: those that were heard of lately, and all that have a run.
    pub present: u32,
    /// Of them, those with a run.
    pub busy: u32,
    /// Idle ones that are too many, the oldest first: new runs go to the newest.
    pub may_go: Vec<String>,
    /// For people.
    pub reason: String,
}

/// The size that fits.
pub(super) fn wanted(stand: &Stand, bounds: &Bounds) -> Wanted {
    let count = |what: fn(&Launcher) -> bool| {
        let number = stand.launchers.iter().filter(|one| what(one)).count();
        u32::try_from(number).unwrap_or(u32::MAX)
    };
    let busy = count(|one| matches!(one, Launcher::Busy));
    let closed = count(|one| matches!(one, Launcher::Closed));
    let idle: Vec<_> = stand.launchers.iter().filter_map(idle_id).collect();
    let idle_count = u32::try_from(idle.len()).unwrap_or(u32::MAX);
    let drained = count(|one| matches!(one, Launcher::Drained));

    let for_pending = for_pending(stand, idle_count, bounds.per_launcher);
    // Those that take no runs are no help, and their hosts are there all the same.
    let need = busy.saturating_add(for_pending).saturating_add(closed);
    let most = bounds.max.unwrap_or(u32::MAX).max(bounds.min);
    let size = need.clamp(bounds.min, most).max(busy);
    let too_many = (busy + closed + idle_count).saturating_sub(size) as usize;
    Wanted {
        size,
        present: busy + closed + idle_count + drained,
        busy,
        may_go: idle.into_iter().take(too_many).collect(),
        reason: reason(busy, stand.pending, closed, need, size),
    }
}

fn idle_id(launcher: &Launcher) -> Option<String> {
    match launcher {
        Launcher::Idle(id) => Some(id.clone()),
        _ => None,
    }
}

/// Launchers, idle ones counted, that the pending runs want. Room beside a run that goes on takes one of them.
fn for_pending(stand: &Stand, idle: u32, per_launcher: NonZeroU32) -> u32 {
    let beside = stand.has_room && idle == 0 && per_launcher.get() > 1;
    let pending = stand.pending.saturating_sub(u32::from(beside));
    pending.div_ceil(per_launcher.get())
}

fn reason(busy: u32, pending: u32, closed: u32, need: u32, size: u32) -> String {
    let mut words = vec![format!("{busy} busy"), format!("{pending} pending")];
    if closed > 0 {
        words.push(format!("{closed} that take no runs"));
    }
    let mut text = words.join(", ");
    if size > need {
        text.push_str(&format!(" would want {need}, and {size} is the least"));
    }
    if size < need {
        text.push_str(&format!(" would want {need}, and {size} is the most"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn idle(id: u32) -> Launcher {
        Launcher::Idle(format!("W{id}"))
    }

    fn bounds(min: u32, max: Option<u32>, per_launcher: u32) -> Bounds {
        let per_launcher = NonZeroU32::new(per_launcher).expect("not 0");
        Bounds {
            min,
            max,
            per_launcher,
        }
    }

    fn asked(pending: u32, launchers: &[Launcher], bounds: &Bounds) -> Wanted {
        let has_room = launchers.iter().any(|one| matches!(one, Launcher::Idle(_)));
        let launchers = launchers.to_vec();
        wanted(
            &Stand {
                pending,
                has_room,
                launchers,
            },
            bounds,
        )
    }

    #[test]
    fn sizes_and_why() {
        use Launcher::{Busy, Closed, Drained, Silent};
        let free = bounds(0, None, 1);
        for (pending, launchers, bounds, size, may_go) in [
            (0, vec![], free.clone(), 0, vec![]),
            (3, vec![], free.clone(), 3, vec![]),
            (3, vec![Busy, idle(1)], free.clone(), 4, vec![]),
            (
                0,
                vec![idle(1), Busy, idle(2)],
                free.clone(),
                1,
                vec!["W1", "W2"],
            ),
            (
                0,
                vec![idle(1), Busy, idle(2)],
                bounds(2, None, 1),
                2,
                vec!["W1"],
            ),
            (9, vec![Busy], bounds(0, Some(4), 1), 4, vec![]),
            (5, vec![idle(1)], bounds(0, None, 4), 2, vec![]),
            // A bound below what works ends nothing.
            (0, vec![Busy, Busy, Busy], bounds(0, Some(1), 1), 3, vec![]),
            // Hosts that take no runs stay beside those that do; those that go or are gone are not counted on.
            (1, vec![Closed, Drained, Silent], free.clone(), 2, vec![]),
        ] {
            let wanted = asked(pending, &launchers, &bounds);
            assert_eq!(
                (wanted.size, &wanted.may_go[..]),
                (
                    size,
                    &may_go.iter().map(ToString::to_string).collect::<Vec<_>>()[..]
                ),
                "{pending} {launchers:?}"
            );
        }
        let reason = asked(9, &[Busy, Closed], &bounds(0, Some(4), 1)).reason;
        assert_eq!(
            reason,
            "1 busy, 9 pending, 1 that take no runs would want 11, and 4 is the most"
        );
        let reason = asked(0, &[], &bounds(2, None, 1)).reason;
        assert_eq!(reason, "0 busy, 0 pending would want 0, and 2 is the least");
    }

    #[test]
    fn room_beside_a_run_is_used_first() {
        let stand = |pending| Stand {
            pending,
            has_room: true,
            launchers: vec![Launcher::Busy],
        };
        assert_eq!(wanted(&stand(1), &bounds(0, None, 4)).size, 1);
        assert_eq!(wanted(&stand(5), &bounds(0, None, 4)).size, 2);
        assert_eq!(wanted(&stand(6), &bounds(0, None, 4)).size, 3);
    }

    fn launcher() -> impl Strategy<Value = Launcher> {
        prop_oneof![
            Just(Launcher::Busy),
            (0..1000_u32).prop_map(idle),
            Just(Launcher::Drained),
            Just(Launcher::Closed),
            Just(Launcher::Silent),
        ]
    }

    proptest! {
        #[test]
        fn never_fewer_than_work_nor_outside_the_bounds(
            pending in 0..500_u32,
            has_room: bool,
            launchers in proptest::collection::vec(launcher(), 0..60),
            min in 0..20_u32,
            max in proptest::option::of(0..40_u32),
            per_launcher in 1..8_u32,
        ) {
            let stand = Stand { pending, has_room, launchers };
            let bounds = bounds(min, max, per_launcher);
            let found = wanted(&stand, &bounds);
            prop_assert!(found.size >= found.busy);
            prop_assert!(found.size >= min);
            prop_assert!(found.size <= max.unwrap_or(u32::MAX).max(min).max(found.busy));
            // Who may go is idle, and what stays is enough.
            let going = u32::try_from(found.may_go.len()).expect("few");
            prop_assert!(going == 0 || found.present - going >= found.size);
            // More work never wants fewer.
            let more = Stand { pending: pending + 1, ..stand.clone() };
            prop_assert!(wanted(&more, &bounds).size >= found.size);
            // What is wanted takes everything that waits, unless a bound is in the way.
            let most = max.unwrap_or(u32::MAX).max(min);
            let slots = u64::from(found.size - found.busy) * u64::from(per_launcher) + u64::from(has_room);
            prop_assert!(found.size >= most || slots >= u64::from(pending));
        }
    }
}
