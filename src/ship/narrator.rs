//! The launcher's own lines in a run's log: what it does before and after the container.

use tokio::sync::mpsc;

use super::Command;

/// Writes lines into section 0 of a lease.
#[derive(Debug, Clone)]
pub struct Narrator {
    commands: mpsc::UnboundedSender<Command>,
}

impl Narrator {
    pub(super) fn new(commands: mpsc::UnboundedSender<Command>) -> Self {
        Self { commands }
    }

    /// Writes one line. Secrets of the run are masked on the way.
    pub fn say(&self, line: impl Into<String>) {
        // The shipper ends only after the job, or because the lease is lost: then nobody reads this.
        let _ = self.commands.send(Command::Say(line.into()));
    }
}
