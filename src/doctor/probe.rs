//! A container that looks around: does it start as runs do, and what of the cloud's metadata does it reach?
//!
//! The container holds this very executable and nothing else, hardened like a run's. It is removed afterwards.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gantry_protocol::LauncherId;
use tokio::net::TcpStream;
use tokio::time::timeout;
use ulid::Ulid;

use super::Report;
use crate::config::Config;
use crate::container::{HostPolicy, Network, NetworkChoice, RunMounts, WORKER_TARGET, canary_spec};
use crate::engine::{Docker, EngineError, EngineInfo, Exit};
use crate::exit::Exit as Leave;
use crate::report::Chain;
use crate::start::host_policy;

/// Where clouds serve instance credentials.
const METADATA: &str = "169.254.169.254:80";

/// A connection that takes longer is none.
const CONNECT: Duration = Duration::from_secs(3);

/// The container has to be done by then.
const DONE: Duration = Duration::from_secs(30);

/// What a container found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Something answered.
    Yes,
    /// Nothing did.
    No,
}

impl Reached {
    /// How the process in the container tells it.
    pub fn exit(self) -> Leave {
        match self {
            Self::Yes => Leave::Drained,
            Self::No => Leave::Unavailable,
        }
    }

    fn told_by(exit: &Exit) -> Option<Self> {
        [Self::Yes, Self::No]
            .into_iter()
            .find(|reached| i64::from(reached.exit().code()) == exit.code)
    }
}

/// Whether `address` takes a connection from here.
pub async fn reach(address: SocketAddr) -> Reached {
    match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Reached::Yes,
        Ok(Err(_)) | Err(_) => Reached::No,
    }
}

pub(super) async fn examine(
    config: &Config,
    engine: &Docker,
    about: &EngineInfo,
    report: &mut Report,
) {
    if engine.socket().is_none() {
        let why = "the engine is remote and does not see this executable; a canary container proves it at start";
        return report.skipped("container", why);
    }
    let looked = look(config, engine, about).await;
    let exit = match looked {
        Ok(exit) => exit,
        Err(why) => return report.failed("container", why, "look at dockerd's log"),
    };
    let Some(reached) = Reached::told_by(&exit) else {
        let (code, why) = (exit.code, exit.error.unwrap_or_default());
        let found = format!("one that is hardened like a run's ended with code {code} {why}");
        return report.failed("container", found, "look at dockerd's log");
    };
    report.ok(
        "container",
        "one that is hardened like a run's starts and ends",
    );
    metadata(config, reached, report);
}

fn metadata(config: &Config, reached: Reached, report: &mut Report) {
    match (reached, config.containers.block_metadata) {
        (Reached::No, _) => report.ok("metadata address", format!("{METADATA} is out of a container's reach")),
        (Reached::Yes, true) => report.ok(
            "metadata address",
            format!("{METADATA} answers containers of other networks; those of runs are blocked (GANTRY_BLOCK_METADATA)"),
        ),
        (Reached::Yes, false) => report.warning(
            "metadata address",
            format!("{METADATA} answers containers: every run can have this host's instance credentials"),
            "set GANTRY_BLOCK_METADATA=true, unless runs are meant to use them",
        ),
    }
}

async fn look(config: &Config, engine: &Docker, about: &EngineInfo) -> Result<Exit, String> {
    let words = |error: &dyn std::error::Error| Chain(error).to_string();
    let program = std::env::current_exe().map_err(|error| words(&error))?;
    let place = tempfile::tempdir().map_err(|error| words(&error))?;
    let name = format!("gantry-doctor-{}", Ulid::generate());
    let image = format!("{}:latest", name.to_ascii_lowercase());
    let mounts = mounts(place.path().to_owned(), program).map_err(|error| words(&error))?;
    let network = match &config.containers.network {
        NetworkChoice::Named(network) => network.clone(),
        NetworkChoice::PerRun { .. } => Network::default(),
    };
    // A launcher that never started has not written the CAs yet, and this container needs none.
    let policy = HostPolicy {
        cas: None,
        ..host_policy(config)
    };
    let launcher: LauncherId = Ulid::generate()
        .to_string()
        .parse()
        .expect("invariant: a ULID is a launcher's id");
    let made = (image.as_str(), &about.platform);
    let mut spec = canary_spec(&policy, &mounts, &network, made, launcher, &name);
    spec.entrypoint = vec![
        WORKER_TARGET.to_owned(),
        "reach".to_owned(),
        METADATA.to_owned(),
    ];
    let ended = run(engine, &spec, &image).await;
    if let Ok(view) = engine.inspect_named(&name).await {
        let _ = engine.remove(&view.id).await;
    }
    let _ = engine.remove_image(&image).await;
    ended.map_err(|error| words(&error))
}

fn mounts(place: PathBuf, program: PathBuf) -> std::io::Result<RunMounts> {
    let make = |name: &str| {
        let path = place.join(name);
        std::fs::create_dir(&path).map(|()| path)
    };
    Ok(RunMounts {
        workspace: make("workspace")?,
        io: make("io")?,
        spool: make("spool")?,
        worker: program,
        tool: None,
        accounts: None,
        extra: Vec::new(),
    })
}

async fn run(
    engine: &Docker,
    spec: &crate::engine::ContainerSpec,
    image: &str,
) -> Result<Exit, EngineError> {
    engine.import_empty_image(image).await?;
    let container = engine.create(spec).await?;
    engine.start(&container).await?;
    match timeout(DONE, engine.wait(&container)).await {
        Ok(exit) => exit,
        Err(_) => Ok(Exit {
            code: -1,
            oom_killed: false,
            error: Some(format!("it did not end within {} s", DONE.as_secs())),
            finished_at: String::new(),
        }),
    }
}
