//! What the launcher does for people at a terminal, besides running: it explains itself.
//!
//! Takes arguments, gives an exit code; results go to standard output, everything else to standard error.
//! Never: a change of anything on the host.

mod configuration;
mod doctor;
mod health;
mod egress;
mod image;
mod policy;

use std::io::Write as _;

use clap::Subcommand;

pub use configuration::{page, variables};
pub use doctor::{DoctorArguments, ReachArguments};
pub use egress::EgressArguments;
pub use health::HealthArguments;
pub use image::ImageCommand;
pub use policy::PolicyCommand;

use crate::config::Mistake;
use crate::exit::Exit;

/// Everything but running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints the table of all variables as Markdown (docs/CONFIGURATION.md).
    Configuration,
    /// Looks at everything that runs need on this host: engine, networks, disk, server, clock, logins, metadata address.
    ///
    /// Reads all variables. Exit codes: 0 runs will work (warnings included), 1 something has to be done.
    Doctor(DoctorArguments),
    /// Asks the launcher that runs beside this whether it lives (GANTRY_HEALTH_LISTEN), for the probes of containers.
    ///
    /// Exit codes: 0 yes, 1 no, 64 there is no health address to ask.
    Health(HealthArguments),
    /// Prints every host, port and purpose that is contacted under the current settings; contacts nobody.
    ///
    /// Reads all variables. Exit codes: 0 printed, 64 the configuration is wrong.
    Egress(EgressArguments),
    /// Tries an address, for the doctor's container.
    #[command(hide = true)]
    Reach(ReachArguments),
    /// Explains what would become of an image on this host.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Checks and tries initialization policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
}

/// Performs a command.
pub async fn perform(command: Command) -> Exit {
    match command {
        Command::Configuration => print(&page()),
        Command::Doctor(arguments) => doctor::perform(arguments).await,
        Command::Health(arguments) => health::perform(&arguments),
        Command::Egress(arguments) => egress::perform(&arguments),
        Command::Reach(arguments) => doctor::perform_reach(arguments).await,
        Command::Image(command) => image::perform(command).await,
        Command::Policy(command) => policy::perform(command).await,
    }
}

/// Tells every mistake of the configuration, a line each.
pub fn misconfigured(mistakes: &[Mistake]) -> Exit {
    for mistake in mistakes {
        tracing::error!("{mistake}");
    }
    Exit::BadConfig
}

/// The one place of the commands that writes results.
fn print(text: &str) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::Drained,
        // Whoever read the result has gone; there is nobody to tell.
        Err(_) => Exit::Failed,
    }
}
