//! What the supervisor decides, without doing it.

use gantry_protocol::control::run::Lease;

use crate::exit::Exit;
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
        }
    }

    /// Leases that would be taken now.
    pub(super) fn free_slots(&self) -> u32 {
        if !self.takes_runs() {
            return 0;
        }
        let busy = u32::try_from(self.leases.len()).unwrap_or(u32::MAX);
        self.capacity.saturating_sub(busy)
    }

    /// Whether a run would be taken if there were room.
    pub(super) fn takes_runs(&self) -> bool {
        !self.drained && !self.cycling && self.urgency == Urgency::Running
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
