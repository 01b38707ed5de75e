//! The story of the worker's process: harden, run, exit with the code of the run's end.
//!
//! Takes the command line, gives an exit code. Must never happen here: logic that a test would want.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;

use gantry_worker::args::{self, Command, Paths};
use gantry_worker::{dump, report, run};

/// Exit code of a wrong command line, as in sysexits.
const USAGE: u8 = 64;

/// Exit code of a run whose end could not be recorded; the same as of a failed one.
const BROKEN: u8 = 20;

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(paths)) => work(paths),
        Ok(Command::DumpEnv(number)) => match dump::dump(number) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!(
                    "could not pass on what the hooks exported: {error}"
                ));
                ExitCode::FAILURE
            }
        },
        Ok(Command::Version) => {
            let version = concat!("gantry-worker ", env!("CARGO_PKG_VERSION"), "\n");
            let printed = std::io::stdout().write_all(version.as_bytes());
            printed.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(USAGE)
        }
    }
}

fn work(paths: Paths) -> ExitCode {
    if let Err(error) = harden() {
        complain(&format!("could not shield the worker's memory: {error}"));
        return ExitCode::from(BROKEN);
    }
    // One thread decides; output has its own, which never waits for this one.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("could not start the worker's runtime: {error}"));
            return ExitCode::from(BROKEN);
        }
    };
    let ended = runtime.block_on(run::run(paths));
    // A blocked read of a stray's output must not hold the exit.
    runtime.shutdown_background();
    match ended {
        Ok(end) => ExitCode::from(end.exit_code()),
        Err(error) => {
            complain(&report::chain(&error));
            ExitCode::from(BROKEN)
        }
    }
}

/// Keeps processes of the same user out of the worker's memory, which holds the order and the session
/// key, and makes orphans come here to be reaped, also when the worker is not pid 1.
fn harden() -> nix::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    match std::process::id() {
        // Orphans of a container come to its first process anyway; emulators know no other way.
        1 => Ok(()),
        _ => nix::sys::prctl::set_child_subreaper(true),
    }
}

/// The only words outside the spool: there is no launcher to tell, or it can't be told.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "gantry-worker: {message}");
}
