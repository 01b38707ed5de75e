//! Signals → how urgently to stop. Each further SIGTERM (or SIGINT) is one step.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How urgently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Not at all.
    Running,
    /// Finish what runs, take nothing new.
    Drain,
    /// Stop what runs, with grace.
    Cancel,
    /// Leave at once; containers stay for the next process.
    Leave,
}

impl Urgency {
    /// After one more signal.
    pub fn next(self) -> Self {
        match self {
            Self::Running => Self::Drain,
            Self::Drain => Self::Cancel,
            Self::Cancel | Self::Leave => Self::Leave,
        }
    }
}

/// The process's stop signals.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn take() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Urgency;

    #[test]
    fn the_third_signal_leaves() {
        let mut urgency = Urgency::Running;
        let mut steps = vec![];
        for _ in 0..4 {
            urgency = urgency.next();
            steps.push(urgency);
        }
        assert_eq!(
            steps,
            [
                Urgency::Drain,
                Urgency::Cancel,
                Urgency::Leave,
                Urgency::Leave
            ]
        );
    }
}
