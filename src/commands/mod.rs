//! What the launcher does for people at a terminal, besides running: it explains itself.
//!
//! Takes arguments, gives an exit code; results go to standard output, everything else to standard error.
//! Never: a change of anything on the host.

mod configuration;

use std::io::Write as _;

use clap::Subcommand;

pub use configuration::{page, variables};

use crate::exit::Exit;

/// Everything but running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints the table of all variables as Markdown (docs/CONFIGURATION.md).
    Configuration,
}

/// Performs a command.
pub async fn perform(command: Command) -> Exit {
    match command {
        Command::Configuration => print(&page()),
    }
}

/// The one place of the commands that writes results.
fn print(text: &str) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::Drained,
        // Whoever read the result has gone; there is nobody to tell.
        Err(_) => Exit::Failed,
    }
}
