//! The children of `gantry dev`.
//!
//! Takes a place, gives running programs. Each is in a process group of its own, so that Ctrl-C reaches only
//! this program, which ends them in order. Never: a secret in an argument.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use super::place::Place;
use crate::args::DevArgs;

/// How long a child may take to end after a SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(30);

/// A program of ours that runs.
pub struct Child {
    name: &'static str,
    child: tokio::process::Child,
}

/// The server on its loopback address.
pub fn server(place: &Place, args: &DevArgs) -> anyhow::Result<Child> {
    let mut command = Command::new(place.program("gantry-server")?);
    command.arg("serve");
    command.arg("--data-dir").arg(place.server_data());
    command.arg("--master-key-file").arg(place.master_key());
    command.args([
        "--listen",
        &place.address().to_string(),
        "--public-url",
        &place.url(),
    ]);
    if let Some(prefixes) = source_prefixes(args)? {
        command.env("GANTRY_SOURCE_FILE_PREFIXES", prefixes);
    }
    start("gantry-server", command)
}

/// The launcher with the pool's credentials in its environment, which only its own user can read.
pub fn launcher(place: &Place, args: &DevArgs, trust: &str) -> anyhow::Result<Child> {
    let read = |path: std::path::PathBuf| {
        std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    let token = String::from_utf8(read(place.token())?).context("the pool token is not text")?;
    let mut command = Command::new(place.program("gantry-launcher")?);
    command
        .env("SPACELIFT_TOKEN", token.trim())
        .env(
            "SPACELIFT_POOL_PRIVATE_KEY",
            STANDARD.encode(read(place.pool_key())?),
        )
        .env("GANTRY_DATA_DIR", place.launcher_data())
        .env("GANTRY_WORKER_TRUST_KEYS", trust);
    if let Some(prefixes) = source_prefixes(args)? {
        command.env("GANTRY_SOURCE_FILE_PREFIXES", prefixes);
    }
    if !args.allow_registries.is_empty() {
        // The leading `+` keeps the known registries.
        command.env(
            "GANTRY_ALLOWED_REGISTRIES",
            format!("+,{}", args.allow_registries.join(",")),
        );
    }
    if let Some(image) = &args.runner_image {
        command.env("SPACELIFT_DEFAULT_RUNNER_IMAGE", image);
    }
    start("gantry-launcher", command)
}

/// The allowed directories, as server and launcher read them.
fn source_prefixes(args: &DevArgs) -> anyhow::Result<Option<String>> {
    let mut prefixes = Vec::new();
    for dir in &args.allow_source_dirs {
        let full = std::fs::canonicalize(dir);
        let full =
            full.with_context(|| format!("cannot open the source directory `{}`", dir.display()))?;
        prefixes.push(full.display().to_string());
    }
    Ok((!prefixes.is_empty()).then(|| prefixes.join(",")))
}

fn start(name: &'static str, mut command: Command) -> anyhow::Result<Child> {
    command
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    Ok(Child { name, child })
}

impl Child {
    /// Resolves when the program has ended, with an error that says how.
    pub async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow::anyhow!("{} ended by itself: {status}", self.name),
            Err(error) => {
                anyhow::Error::new(error).context(format!("cannot wait for {}", self.name))
            }
        }
    }

    /// Sends one SIGTERM, if it still runs.
    pub fn terminate(&self) -> anyhow::Result<()> {
        let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) else {
            return Ok(());
        };
        kill(Pid::from_raw(id), Signal::SIGTERM)
            .with_context(|| format!("cannot send SIGTERM to {}", self.name))
    }

    /// SIGTERM, a grace, SIGKILL.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.terminate()?;
        if tokio::time::timeout(GRACE, self.child.wait())
            .await
            .is_err()
        {
            let killed = self.child.kill().await;
            killed.with_context(|| format!("cannot end {}", self.name))?;
        }
        Ok(())
    }
}
