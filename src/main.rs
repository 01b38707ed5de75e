//! The story of the launcher process: settings, logging, joining the pool, runs, the exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use gantry_launcher::commands::{self, Command, misconfigured, perform};
use gantry_launcher::config::{Config, Environment, LogConfig};
use gantry_launcher::exit::Exit;
use gantry_launcher::health;
use gantry_launcher::logging::{self, Secrets};
use gantry_launcher::report::Chain;
use gantry_launcher::shutdown::Signals;
use gantry_launcher::start::{Ready, start};
use gantry_launcher::supervisor::Supervisor;
use tracing::{error, info};

/// Records of runs may take this long to leave through standard output at the end.
const LAST_OUTPUT: Duration = Duration::from_secs(3);

/// Runs Terraform and OpenTofu in isolated containers on this host. Everything is set by environment
/// variables; see below.
#[derive(Parser)]
#[command(version, after_long_help = commands::variables())]
struct Arguments {
    /// Without one, the launcher runs.
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> ExitCode {
    if let Some(ended) = gantry_policy::enter_if_asked() {
        return ended;
    }
    let Arguments { command } = Arguments::parse();
    // What runs and git have to read is readable whoever started this; what they must not read has a mode of its own.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    gantry_net::install_crypto();
    let LogConfig { filter, json } = LogConfig::read(&Environment);
    let secrets = logging::install(&filter, json);
    match command {
        Some(command) => in_runtime(perform(command)),
        None => run(secrets),
    }
}

fn run(secrets: Secrets) -> ExitCode {
    let config = match Config::read(&Environment) {
        Ok(config) => config,
        Err(mistakes) => return misconfigured(&mistakes).into(),
    };
    in_runtime(live(config, secrets))
}

fn in_runtime(work: impl Future<Output = Exit>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(work);
            // Tasks that still talk to a server that is away must not hold the process.
            runtime.shutdown_background();
            exit.into()
        }
        Err(error) => {
            error!(error = %Chain(&error), "the asynchronous runtime can't start");
            Exit::Failed.into()
        }
    }
}

async fn live(config: Config, secrets: Secrets) -> Exit {
    info!(version = env!("CARGO_PKG_VERSION"), "gantry-launcher");
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    let listen = config.health.clone();
    let Ready {
        host,
        settings,
        own,
    } = match start(config, secrets).await {
        Ok(ready) => ready,
        Err(error) => {
            let exit = failed(&error);
            return match () {
                () if error.is_configuration() => Exit::BadConfig,
                () if error.is_refusal() => Exit::Refused,
                () => exit,
            };
        }
    };
    let output = host.output.clone();
    let supervisor = Supervisor::new(host.clone(), settings);
    let health = match &listen {
        Some(listen) => match health::serve(listen, host.clone(), supervisor.watch()).await {
            Ok(health) => Some(health),
            Err(error) => return failed(&error),
        },
        None => None,
    };
    let ended = supervisor.run(signals).await;
    drop(health);
    // The exporter has a thread of its own that ends with its last batch.
    tokio::task::block_in_place(|| host.traces.finish());
    if let Some(output) = output {
        output.finish(LAST_OUTPUT);
    }
    drop(own);
    ended.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &dyn std::error::Error) -> Exit {
    error!("{}", Chain(error));
    Exit::Failed
}
