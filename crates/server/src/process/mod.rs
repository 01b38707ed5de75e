//! The process: commands, listening, stopping.
//!
//! Takes the command line, gives an exit code. Never: an address bound before the settings were checked, or
//! requests cut while they could still end in time.

mod commands;
mod gateway;
mod listen;
mod printer;
mod serve;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

pub use commands::run;
pub use serve::{Running, start};

use crate::config::{Cli, ConfigError, LogFormat};

/// Sends log lines to standard error.
pub fn start_logs(cli: &Cli) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&cli.log);
    let filter = filter.map_err(|source| ConfigError::LogFilter {
        text: cli.log.clone(),
        source,
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people, not for files and collectors.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second subscriber (tests in one process) is no reason to fail.
    let _ = match cli.log_format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}
