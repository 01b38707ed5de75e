//! The worker's command line.
//!
//! Takes arguments, gives a [`Command`]. The paths are those of the container; other ones are for tests
//! and not advertised. Never: a setting that changes what is run.

use std::ffi::OsString;
use std::path::PathBuf;

use gantry_protocol::socket::{PROVIDERS_DIR, TOOL_DIR};

/// What the executable is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the phases.
    Run(Paths),
    /// Write the environment to this descriptor; the last command of a hooks' shell.
    DumpEnv(i32),
    /// Print the version.
    Version,
}

/// Where the container's mounts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Directory of the launcher's socket.
    pub io: PathBuf,
    /// Directory of facts and log bytes.
    pub spool: PathBuf,
    /// Root of the workspace.
    pub workspace: PathBuf,
    /// Directory of a tool that the host brought.
    pub tool: PathBuf,
    /// Directory with the host's mirror of providers.
    pub providers: PathBuf,
    /// Directory with the image's own providers.
    pub plugins: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            io: "/gantry/io".into(),
            spool: "/gantry/spool".into(),
            workspace: "/mnt/workspace".into(),
            tool: TOOL_DIR.into(),
            providers: PROVIDERS_DIR.into(),
            plugins: "/plugins".into(),
        }
    }
}

/// The arguments are none that the worker has.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown argument `{0}`; the worker is started by the launcher as `gantry-worker run`")]
pub struct UsageError(String);

/// Reads the arguments after the program's name.
///
/// # Errors
/// [`UsageError`] names the argument that is not known or not complete.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut arguments = arguments.into_iter();
    let first = arguments.next().unwrap_or_default();
    let command = match first.to_str() {
        Some("run") => return run(arguments),
        Some("dump-env") => {
            let number = arguments.next().unwrap_or_default();
            let parsed = number.to_str().and_then(|number| number.parse().ok());
            Command::DumpEnv(parsed.ok_or_else(|| unknown(&number))?)
        }
        Some("--version") => Command::Version,
        _ => return Err(unknown(&first)),
    };
    match arguments.next() {
        None => Ok(command),
        Some(more) => Err(unknown(&more)),
    }
}

fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut paths = Paths::default();
    while let Some(option) = arguments.next() {
        let path = match option.to_str() {
            Some("--io") => &mut paths.io,
            Some("--spool") => &mut paths.spool,
            Some("--workspace") => &mut paths.workspace,
            Some("--tool") => &mut paths.tool,
            Some("--providers") => &mut paths.providers,
            Some("--plugins") => &mut paths.plugins,
            _ => return Err(unknown(&option)),
        };
        *path = arguments.next().ok_or_else(|| unknown(&option))?.into();
    }
    Ok(Command::Run(paths))
}

fn unknown(argument: &OsString) -> UsageError {
    UsageError(argument.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let read = |text: &str| parse(text.split_whitespace().map(OsString::from));
        let paths = Paths {
            spool: "/s".into(),
            io: "/i".into(),
            ..Paths::default()
        };
        assert_eq!(read("run"), Ok(Command::Run(Paths::default())));
        assert_eq!(read("run --spool /s --io /i"), Ok(Command::Run(paths)));
        assert_eq!(read("dump-env 200"), Ok(Command::DumpEnv(200)));
        assert_eq!(read("--version"), Ok(Command::Version));
        for bad in [
            "",
            "walk",
            "run /s",
            "run --spool",
            "dump-env",
            "dump-env x",
            "--version x",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
