//! Counts which log bytes the spool holds and decides which segment goes when the budget is spent.
//!
//! Takes segment openings, growth and acknowledgements, gives segments to unlink. Pure: no file is
//! touched. Must never happen here: dropping the segment that is being written, or one of the head.

use std::collections::{BTreeMap, VecDeque};

use gantry_protocol::socket::spool::SEGMENT;

/// Smallest segment size in bytes, however small the budget.
const MIN_SEGMENT: u64 = 4 << 10;

/// A segment file's place in its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The section.
    pub(super) section: u32,
    /// Raw offset of its first byte.
    pub(super) start: u64,
    /// Length in bytes.
    pub(super) len: u64,
}

/// The segments that the spool holds, oldest first.
#[derive(Debug)]
pub(super) struct Ledger {
    budget: u64,
    held: VecDeque<Segment>,
    acked: BTreeMap<u32, u64>,
    /// Sum of [`Ledger::pending`] over `held`.
    unacked: u64,
}

impl Ledger {
    /// An empty ledger with room for `budget` unacknowledged bytes.
    pub(super) fn new(budget: u64) -> Self {
        Self {
            budget,
            held: VecDeque::new(),
            acked: BTreeMap::new(),
            unacked: 0,
        }
    }

    /// Size in bytes at which a segment is closed: small budgets get small segments, so that there is
    /// something to drop between head and tail.
    pub(super) fn segment_size(&self) -> u64 {
        (self.budget / 8).clamp(MIN_SEGMENT, SEGMENT)
    }

    #[cfg(test)]
    fn unacknowledged(&self) -> u64 {
        self.unacked
    }

    /// A new segment was created with its first `len` bytes; it is the one that grows.
    pub(super) fn open(&mut self, section: u32, start: u64, len: u64) {
        let segment = Segment {
            section,
            start,
            len,
        };
        self.unacked += pending(&self.acked, &segment);
        self.held.push_back(segment);
    }

    /// The newest segment grew by `bytes`.
    pub(super) fn grow(&mut self, bytes: u64) {
        let Some(last) = self.held.back_mut() else {
            return;
        };
        let before = pending(&self.acked, last);
        last.len += bytes;
        self.unacked += pending(&self.acked, last) - before;
    }

    /// Bytes of `section` below `offset` are stored elsewhere. A lower offset than before changes nothing.
    pub(super) fn acknowledge(&mut self, section: u32, offset: u64) {
        let acked = self.acked.entry(section).or_default();
        if offset <= *acked {
            return;
        }
        *acked = offset;
        self.unacked = self.held.iter().map(|s| pending(&self.acked, s)).sum();
        let newest = self.held.back().copied();
        let acked = &self.acked;
        self.held
            .retain(|s| Some(*s) == newest || pending(acked, s) > 0);
    }

    /// The next segment to unlink because the budget is spent; `None` when nothing can or must go.
    ///
    /// What stays is the first half of the budget (how it began) and as much of the end as fits.
    pub(super) fn excess(&mut self) -> Option<Segment> {
        if self.unacked <= self.budget {
            return None;
        }
        let mut before = 0;
        let last = self.held.len().checked_sub(1)?;
        let victim = self.held.iter().take(last).position(|segment| {
            let in_head = before < self.budget / 2;
            before += pending(&self.acked, segment);
            !in_head
        })?;
        let segment = self.held.remove(victim)?;
        self.unacked -= pending(&self.acked, &segment);
        Some(segment)
    }
}

/// Bytes of `segment` that are not acknowledged.
fn pending(acked: &BTreeMap<u32, u64>, segment: &Segment) -> u64 {
    let acked = acked.get(&segment.section).copied().unwrap_or(0);
    (segment.start + segment.len).saturating_sub(acked.max(segment.start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(budget: u64, segments: &[(u32, u64, u64)]) -> Ledger {
        let mut ledger = Ledger::new(budget);
        for (section, start, len) in segments {
            ledger.open(*section, *start, *len);
        }
        ledger
    }

    #[test]
    fn the_middle_goes_first() {
        let mut ledger = filled(
            100,
            &[
                (1, 0, 25),
                (1, 25, 25),
                (1, 50, 25),
                (1, 75, 25),
                (1, 100, 25),
            ],
        );
        assert_eq!(ledger.excess().map(|s| s.start), Some(50));
        assert_eq!(ledger.excess(), None);
        ledger.open(1, 125, 20);
        ledger.grow(5);
        assert_eq!(ledger.excess().map(|s| s.start), Some(75));
        assert_eq!(ledger.unacknowledged(), 100);
    }

    #[test]
    fn an_acknowledgement_makes_room() {
        let mut ledger = filled(100, &[(1, 0, 50), (1, 50, 50), (2, 0, 50)]);
        ledger.acknowledge(1, 70);
        assert_eq!(ledger.unacknowledged(), 80);
        assert_eq!(ledger.excess(), None);
        ledger.acknowledge(1, 10);
        assert_eq!(
            ledger.unacknowledged(),
            80,
            "an older acknowledgement is no news"
        );
        ledger.acknowledge(2, 1000);
        assert_eq!(ledger.unacknowledged(), 30);
    }

    #[test]
    fn what_is_being_written_stays() {
        let mut ledger = filled(100, &[(1, 0, 500)]);
        assert_eq!(ledger.excess(), None);
        assert_eq!(ledger.unacknowledged(), 500);
    }

    #[test]
    fn segments_fit_their_budget() {
        for (budget, size) in [
            (0, MIN_SEGMENT),
            (1 << 20, 128 << 10),
            (1 << 30, SEGMENT),
            (u64::MAX, SEGMENT),
        ] {
            assert_eq!(Ledger::new(budget).segment_size(), size);
        }
    }

    #[derive(Clone, Debug)]
    enum Action {
        Grow(u64),
        Next(u64),
        Section(u64),
        Ack(u32, u64),
    }

    fn any_action() -> impl Strategy<Value = Action> {
        prop_oneof![
            6 => (1..400u64).prop_map(Action::Grow),
            4 => (1..400u64).prop_map(Action::Next),
            1 => (1..400u64).prop_map(Action::Section),
            2 => (1..4u32, 0..4000u64).prop_map(|(section, offset)| Action::Ack(section, offset)),
        ]
    }

    proptest! {
        /// The count equals the sum over what is held; the newest segment and the head stay; what goes
        /// goes only over budget; and over budget remains only what can't go.
        #[test]
        fn the_arithmetic_holds(
            budget in 0..3000u64,
            actions in proptest::collection::vec(any_action(), 1..200),
        ) {
            let mut ledger = Ledger::new(budget);
            let (mut section, mut offset) = (1, 1);
            ledger.open(section, 0, 1);
            for action in actions {
                match action {
                    Action::Grow(bytes) => { ledger.grow(bytes); offset += bytes; }
                    Action::Next(bytes) => { ledger.open(section, offset, bytes); offset += bytes; }
                    Action::Section(bytes) => { section += 1; ledger.open(section, 0, bytes); offset = bytes; }
                    Action::Ack(section, offset) => ledger.acknowledge(section, offset),
                }
                loop {
                    let (newest, before) = (ledger.held.back().copied(), ledger.unacked);
                    let Some(gone) = ledger.excess() else { break };
                    prop_assert!(before > budget);
                    prop_assert_ne!(Some(gone), newest);
                    let older = ledger.held.iter().filter(|s| (s.section, s.start) < (gone.section, gone.start));
                    let head: u64 = older.map(|s| pending(&ledger.acked, s)).sum();
                    prop_assert!(head >= budget / 2, "dropped out of the head: {head} of {budget}");
                }
                let held: u64 = ledger.held.iter().map(|s| pending(&ledger.acked, s)).sum();
                prop_assert_eq!(ledger.unacknowledged(), held);
            }
        }
    }
}
