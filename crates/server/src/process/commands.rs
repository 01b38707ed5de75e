//! What each subcommand does.
//!
//! Takes the command line, gives an exit code; every failure is said once, with its causes.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Parser;

use gantry_service::probe::{Place, Question, ask};

use super::{printer, serve, start_logs};
use crate::app::{AppError, open_blobs, open_store};
use crate::auth::{NewKey, issue_key, revoke_key};
use crate::config::{
    ApiKeyCommand, Cli, Command, HealthArgs, MasterKeyCommand, Output, WorkerCommand, outside,
};
use crate::dist;
use crate::domain::Actor;
use crate::egress;
use crate::error::{Exit, chain};
use crate::graphql;
use crate::store::api_keys::Reach;
use crate::vault::Vault;

/// A file of the command line that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read `{}`", path.display())]
struct FileError {
    path: PathBuf,
    source: std::io::Error,
}

type Done = Result<(), Box<dyn Error + Send + Sync>>;

/// Reads the command line and does what it says.
pub async fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                Exit::BadConfig
            } else {
                Exit::Done
            };
        }
    };
    if let Err(error) = start_logs(&cli) {
        return refuse(&error, Exit::BadConfig);
    }
    let mut command = cli.command;
    if let Command::Serve(args) | Command::Egress { args, .. } = &mut command {
        if let Err(error) = args.check() {
            return refuse(&error, Exit::BadConfig);
        }
        match outside() {
            Ok(outside) => args.outside = outside,
            Err(error) => return refuse(&error, Exit::BadConfig),
        }
    }
    match dispatch(command).await {
        Ok(()) => Exit::Done,
        Err(error) => refuse(error.as_ref(), Exit::Failed),
    }
}

fn refuse(error: &(dyn Error + 'static), exit: Exit) -> Exit {
    printer::failure(&chain(error));
    exit
}

async fn dispatch(command: Command) -> Done {
    match command {
        Command::Serve(args) => Ok(serve::until_stopped(&args).await?),
        Command::MasterKey(MasterKeyCommand::Generate) => {
            Ok(printer::text(Vault::generate().expose())?)
        }
        Command::ApiKey(ApiKeyCommand::Create {
            data_dir,
            name,
            role,
            spaces,
            output,
        }) => {
            let reach = if spaces.is_empty() {
                Reach::All
            } else {
                Reach::Spaces(spaces)
            };
            let new = NewKey {
                name,
                description: None,
                role,
                reach,
                expires_at: None,
            };
            create_api_key(&data_dir, new, output).await
        }
        Command::ApiKey(ApiKeyCommand::Revoke { data_dir, id }) => {
            revoke_api_key(&data_dir, &id).await
        }
        Command::Worker(WorkerCommand::Add {
            data_dir,
            manifest,
            binary,
        }) => add_worker(&data_dir, &manifest, &binary).await,
        Command::Health(args) => health(&args),
        Command::Schema => Ok(printer::text(&graphql::sdl())?),
        Command::Egress { args, output } => {
            let inventory = egress::inventory(&args.data_dir, &args.outside.proxies).await?;
            Ok(printer::inventory(&inventory, output)?)
        }
    }
}

fn health(args: &HealthArgs) -> Done {
    let answer = ask(&Place::Tcp(args.health_listen), Question::about(args.ready))?;
    if !answer.is_good() {
        return Err(format!("the server is not well: {}", answer.text).into());
    }
    Ok(printer::text(&format!("{}\n", answer.text))?)
}

async fn create_api_key(data_dir: &Path, new: NewKey, output: Output) -> Done {
    let store = open_existing(data_dir).await?;
    let (_, key) = issue_key(&store, new, &Actor::Server).await?;
    store.close().await;
    Ok(printer::issued_key(&key, output)?)
}

async fn revoke_api_key(data_dir: &Path, id: &str) -> Done {
    let store = open_existing(data_dir).await?;
    let revoked = revoke_key(&store, id, &Actor::Server).await;
    store.close().await;
    Ok(revoked?)
}

async fn add_worker(data_dir: &Path, manifest: &Path, binary: &Path) -> Done {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| FileError { path, source }
    };
    let text = std::fs::read_to_string(manifest).map_err(unreadable(manifest))?;
    let executable = std::fs::read(binary).map_err(unreadable(binary))?;
    let store = open_existing(data_dir).await?;
    let blobs = open_blobs(data_dir)?;
    let added = dist::add(&store, &blobs, &text, executable.into()).await?;
    store.close().await;
    Ok(printer::text(&format!(
        "worker {} for {}\n",
        added.version, added.arch
    ))?)
}

/// The first key is often made before the first start, so the directory may be new.
async fn open_existing(data_dir: &Path) -> Result<crate::store::Store, AppError> {
    crate::app::make_private(data_dir)?;
    open_store(data_dir).await
}
