//! Every key and credential of a `gantry dev` directory, made once.
//!
//! Takes a place, gives the release key's public half. Never: a key that is not mode 0600, and never one made
//! anew while things sealed to it exist.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use gantry_protocol::Secret;
use tokio::process::Command;

use super::place::{ApiKey, Place};
use crate::commands::{SignRequest, keygen, public_key, sign_worker};
use crate::files::{self, NewFile};
use crate::printer::Printer;

/// Makes what is missing, signs the worker that lies beside this program, and registers it.
pub async fn prepare(place: &Place, printer: &Printer) -> anyhow::Result<String> {
    if !place.master_key().exists() {
        printer.note(&format!("setting up {}", place.root().display()));
        let key = server(place, &["master-key", "generate"]).await?;
        NewFile::create(&place.master_key())?.finish(key.expose().as_bytes())?;
    }
    let trust = match place.release_key().exists() {
        true => public_key(&place.release_key())?,
        false => keygen(&place.release_key())?,
    };
    if !place.csr().exists() {
        pool_key(place).await?;
    }
    if !place.api_key().exists() {
        api_key(place).await?;
    }
    register_worker(place).await?;
    Ok(trust)
}

async fn api_key(place: &Place) -> anyhow::Result<()> {
    let file = NewFile::create(&place.api_key())?;
    let args = [
        "api-key", "create", "--name", "dev", "--role", "admin", "--output", "json",
    ];
    let printed = server_on_data(place, &args).await?;
    let key: ApiKey = serde_json::from_str(printed.expose())
        .context("gantry-server api-key create printed something else than an API key")?;
    file.finish(&serde_json::to_vec(&key).context("cannot write the API key as JSON")?)
}

async fn register_worker(place: &Place) -> anyhow::Result<()> {
    let worker = place.program("gantry-worker")?;
    let key = place.release_key();
    let request = SignRequest {
        key: &key,
        binary: &worker,
        release: env!("CARGO_PKG_VERSION"),
    };
    files::replace(&place.manifest(), sign_worker(&request)?.as_bytes())?;
    let (manifest, worker) = (place.manifest(), worker.as_path());
    let args = [
        "worker",
        "add",
        "--manifest",
        text(&manifest)?,
        "--binary",
        text(worker)?,
    ];
    server_on_data(place, &args).await?;
    Ok(())
}

/// The pool's key and signing request, as any operator makes them.
async fn pool_key(place: &Place) -> anyhow::Result<()> {
    let (key, csr) = (place.pool_key(), place.csr());
    // A key without its request is what an interrupted start left.
    let _ = std::fs::remove_file(&key);
    NewFile::create(&key)?.finish(b"")?;
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-new",
        "-newkey",
        "rsa:4096",
        "-nodes",
        "-batch",
        "-subj",
        "/CN=gantry-dev",
    ]);
    command.arg("-keyout").arg(&key).arg("-out").arg(&csr);
    output("openssl", &mut command).await?;
    Ok(())
}

async fn server(place: &Place, args: &[&str]) -> anyhow::Result<Secret> {
    let mut command = Command::new(place.program("gantry-server")?);
    command.args(args);
    output(
        &format!("gantry-server {}", args[..2].join(" ")),
        &mut command,
    )
    .await
}

async fn server_on_data(place: &Place, args: &[&str]) -> anyhow::Result<Secret> {
    let data = place.server_data();
    server(place, &[args, &["--data-dir", text(&data)?]].concat()).await
}

async fn output(name: &str, command: &mut Command) -> anyhow::Result<Secret> {
    let done = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let done = done.with_context(|| format!("cannot start `{name}`"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!(
            "`{name}` failed: {}",
            said.trim().lines().last().unwrap_or("it said nothing")
        );
    }
    let text = String::from_utf8(done.stdout);
    Ok(Secret::new(text.with_context(|| {
        format!("`{name}` printed something that is not text")
    })?))
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .with_context(|| format!("`{}` is not UTF-8; choose another --dir", path.display()))
}
