//! The agent's process: what it is asked to do, logging, the exit code.
#![forbid(unsafe_code)]

use std::io::{self, stderr, stdout};
use std::process::ExitCode;
use std::time::Duration;

use gantry_vcs_agent::check::{self, Ended};
use gantry_vcs_agent::config::{self, Cli, Command, Config, Environment, Over};
use gantry_vcs_agent::exit::Exit;
use gantry_vcs_agent::run::run;
use tracing::error;
use tracing_subscriber::EnvFilter;

/// What is left at the end may take this long to be dropped.
const LAST_LINES: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    gantry_net::install_crypto();
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        // A wish for help is no failure; the code for a mistake is the usual one of command lines.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let source = cli.over(&Environment);
    match &cli.command {
        Command::Serve => {
            log(&config::read_log(&source));
            serve(&source).into()
        }
        Command::Check(question) => told(check::check(question, &source, &mut stdout())),
        Command::Routes => told(check::routes(&source, &mut stdout())),
        Command::Health { ready } => told(check::health(*ready, &source, &mut stdout())),
        Command::Configuration => told(check::configuration(&mut stdout())),
        Command::Egress { json } => told(check::egress(*json, &source, &mut stdout())),
    }
}

fn told(ended: io::Result<Ended>) -> ExitCode {
    // Whoever closed our output does not want the rest.
    ended.map_or(Exit::Failed.into(), |ended| ExitCode::from(ended.code()))
}

/// To standard error: standard output is for what becomes of requests.
fn log(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    builder.json().flatten_event(true).init();
}

fn serve(source: &Over<'_>) -> Exit {
    let config = match Config::read(source) {
        Ok(config) => config,
        Err(mistakes) => {
            for mistake in mistakes {
                error!("{mistake}");
            }
            return Exit::Failed;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(run(config));
            // Requests that were cut get their lines when they are dropped; nothing else is waited for.
            runtime.shutdown_timeout(LAST_LINES);
            exit
        }
        Err(error) => {
            error!(%error, "the asynchronous runtime can't start");
            Exit::Failed
        }
    }
}
