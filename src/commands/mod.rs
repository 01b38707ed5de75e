//! What the launcher does for people at a terminal, besides running: it explains itself.
//!
//! Takes arguments, gives an exit code; results go to standard output, everything else to standard error.
//! Never: a change of anything on the host.

mod configuration;
mod image;

use std::io::Write as _;

use clap::Subcommand;

pub use configuration::{page, variables};
pub use image::ImageCommand;

use crate::exit::Exit;

/// Everything but running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints the table of all variables as Markdown (docs/CONFIGURATION.md).
    Configuration,
    /// Explains what would become of an image on this host.
    #[command(subcommand)]
    Image(ImageCommand),
}

/// Performs a command.
pub async fn perform(command: Command) -> Exit {
    match command {
        Command::Configuration => print(&page()),
        Command::Image(command) => image::perform(command).await,
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
