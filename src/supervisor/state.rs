//! What the supervisor decides, without doing it.

use gantry_protocol::control::run::Lease;

use super::Pause;
use crate::engine::Circuit;
use crate::exit::Exit;
use crate::room::Shortage;
use crate::shutdown::Urgency;

/// What has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Tell people.
    Say(Urgency),
    /// Stop every lease.
    StopAll,
}

/// Leases and intentions.
#[derive(Debug)]
pub(super) struct State {
    capacity: u32,
    leases: Vec<Lease>,
    urgency: Urgency,
    drained: bool,
    cycling: bool,
    spot: Option<String>,
    shortage: Option<Shortage>,
    engine: Circuit,
}

impl State {
    pub(super) fn new(capacity: u32) -> Self {
        let urgency = Urgency::Running;
        Self {
            capacity,
            leases: Vec::new(),
            urgency,
            drained: false,
            cycling: false,
            spot: None,
            shortage: None,
            engine: Circuit::Closed,
        }
    }

    /// Leases that would be taken now.
    pub(super) fn free_slots(&self) -> u32 {
        if !self.takes_runs() {
            return 0;
        }
        let busy = u32::try_from(self.leases.len()).unwrap_or(u32::MAX);
        let free = self.capacity.saturating_sub(busy);
        match self.engine {
            // One start shows whether the engine works again.
            Circuit::Trying { .. } => free.min(1),
            Circuit::Closed | Circuit::Open { .. } => free,
        }
    }

    /// Why no lease is taken; the one that lasts longest first.
    pub(super) fn pauses(&self) -> Vec<Pause> {
        let stopping = (self.urgency != Urgency::Running).then_some(Pause::Stopping);
        let engine = match &self.engine {
            Circuit::Open { why, .. } => Some(Pause::Engine { why: why.clone() }),
            Circuit::Closed | Circuit::Trying { .. } => None,
        };
        let notice = self.spot.clone().map(|notice| Pause::Spot { notice });
        let pauses = [
            stopping,
            notice,
            self.cycling.then_some(Pause::Cycling),
            self.drained.then_some(Pause::Drained),
            engine,
            self.shortage.clone().map(Pause::Room),
        ];
        pauses.into_iter().flatten().collect()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.cycling || self.urgency != Urgency::Running
    }

    /// The instance is to be taken away. There is no way back.
    pub(super) fn spot(&mut self, notice: String) {
        self.spot.get_or_insert(notice);
    }

    /// The last look at the disks; gives whether that changes the intake.
    pub(super) fn room(&mut self, shortage: Option<Shortage>) -> bool {
        let changed = self.shortage.is_some() != shortage.is_some();
        // While it lasts, the reason stays as it was first seen: its numbers change with every look.
        if changed {
            self.shortage = shortage;
        }
        changed
    }

    pub(super) fn is_short(&self) -> bool {
        self.shortage.is_some()
    }

    /// What is thought of the engine.
    pub(super) fn engine(&mut self, circuit: Circuit) {
        self.engine = circuit;
    }

    /// Whether a run would be taken if there were room.
    pub(super) fn takes_runs(&self) -> bool {
        self.pauses().is_empty()
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        self.leases.clone()
    }

    pub(super) fn started(&mut self, lease: Lease) {
        self.leases.push(lease);
    }

    pub(super) fn ended(&mut self, lease: Lease) {
        self.leases.retain(|known| *known != lease);
    }

    pub(super) fn drain(&mut self, on: bool) {
        self.drained = on;
    }

    pub(super) fn cycle(&mut self) {
        self.cycling = true;
    }

    /// One more stop signal.
    pub(super) fn signal(&mut self) -> Vec<Effect> {
        let before = self.urgency;
        self.urgency = before.next();
        let mut effects = Vec::new();
        if self.urgency != before {
            effects.push(Effect::Say(self.urgency));
        }
        if self.urgency == Urgency::Cancel {
            effects.push(Effect::StopAll);
        }
        effects
    }

    /// The reason to exit, when there is one.
    pub(super) fn exit(&self) -> Option<Exit> {
        let ending = self.cycling || self.urgency >= Urgency::Drain;
        match self.urgency {
            Urgency::Leave if !self.leases.is_empty() => Some(Exit::Left),
            _ if ending && self.leases.is_empty() => Some(Exit::Drained),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Until;
    use gantry_protocol::ids::Attempt;

    fn lease(attempt: u32) -> Lease {
        let run = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap();
        Lease {
            run,
            attempt: Attempt(attempt),
        }
    }

    #[test]
    fn draining_takes_nothing_new_and_ends_when_empty() {
        let mut state = State::new(2);
        state.started(lease(1));
        assert_eq!(state.free_slots(), 1);
        assert_eq!(state.signal(), [Effect::Say(Urgency::Drain)]);
        assert_eq!((state.free_slots(), state.exit()), (0, None));
        state.ended(lease(1));
        assert_eq!(state.exit(), Some(Exit::Drained));
    }

    fn short() -> Shortage {
        Shortage::Bytes {
            path: "/data".into(),
            free: 1,
            need: 2,
        }
    }

    #[test]
    fn each_reason_closes_the_intake_and_is_named() {
        let why = || "away".to_owned();
        type Change = fn(&mut State, String);
        let changes: [(&str, Change); 6] = [
            ("stopping", |state, _| drop(state.signal())),
            ("cycling", |state, _| state.cycle()),
            ("drained", |state, _| state.drain(true)),
            ("spot", |state, why| state.spot(why)),
            ("room", |state, _| assert!(state.room(Some(short())))),
            ("engine", |state, why| {
                state.engine(Circuit::Open {
                    why,
                    until: Until::Answered,
                })
            }),
        ];
        for (name, change) in changes {
            let mut state = State::new(2);
            assert_eq!((state.free_slots(), state.pauses().len()), (2, 0));
            change(&mut state, why());
            let names: Vec<_> = state.pauses().iter().map(Pause::name).collect();
            assert_eq!((state.free_slots(), names), (0, vec![name]));
            assert!(Pause::NAMES.contains(&name));
        }
    }

    #[test]
    fn room_and_engine_come_back() {
        let mut state = State::new(3);
        assert!(state.room(Some(short())) && !state.room(Some(short())));
        assert!(state.is_short() && state.room(None));
        let why = String::new();
        state.engine(Circuit::Trying { why });
        assert_eq!(state.free_slots(), 1, "one start shows");
        state.engine(Circuit::Closed);
        assert_eq!(state.free_slots(), 3);
    }

    #[test]
    fn the_second_signal_stops_the_third_leaves() {
        let mut state = State::new(1);
        state.started(lease(1));
        state.signal();
        assert_eq!(
            state.signal(),
            [Effect::Say(Urgency::Cancel), Effect::StopAll]
        );
        assert_eq!(state.exit(), None);
        state.signal();
        assert_eq!(state.exit(), Some(Exit::Left));
    }

    #[test]
    fn a_drain_from_the_server_does_not_end_the_process_a_cycle_does() {
        let mut state = State::new(1);
        state.drain(true);
        assert_eq!((state.free_slots(), state.exit()), (0, None));
        state.drain(false);
        assert_eq!(state.free_slots(), 1);
        state.cycle();
        assert_eq!((state.free_slots(), state.exit()), (0, Some(Exit::Drained)));
    }
}
