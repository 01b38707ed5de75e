//! `gantry pool …`.
//!
//! Never: a pool made whose token can't be kept: the token comes once.

mod drain;

use std::path::Path;

use anyhow::{Context as _, ensure};
use gantry_protocol::Secret;
use serde_json::{Value, json};

use crate::args::{PoolChangeArgs, PoolCommand, PoolCreateArgs, PoolResetArgs, WorkerArgs};
use crate::client::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::files::NewFile;
use crate::model::{NewPool, Pool, PoolDetails, PoolEnrolment, PoolKey, Worker};
use crate::ops;
use crate::printer::Row;
use crate::text::date;

pub async fn run(context: &Context, command: PoolCommand) -> anyhow::Result<Exit> {
    match command {
        PoolCommand::List => list(context).await,
        PoolCommand::Show(pool) => show(context, &pool.id).await,
        PoolCommand::Workers(pool) => workers(context, &pool.id).await,
        PoolCommand::Create(args) => make(context, args).await,
        PoolCommand::Reset(args) => reset(context, args).await,
        PoolCommand::Update(args) => update(context, args).await,
        PoolCommand::Cycle(pool) => {
            let vars = json!({ "id": pool.id });
            let done = context.api()?.call(&ops::WORKER_POOL_CYCLE, vars).await?;
            ensure!(
                done.worker_pool_cycle,
                "the server did not cycle pool `{}`",
                pool.id
            );
            said(
                context,
                &pool.id,
                "its launchers finish what they have and start anew",
            )
        }
        PoolCommand::Delete(pool) => {
            let vars = json!({ "id": pool.id });
            let done = context.api()?.call(&ops::WORKER_POOL_DELETE, vars).await?;
            said(context, &done.worker_pool_delete.id, "deleted")
        }
        PoolCommand::Drain(args) => drain::drain(context, args).await,
        PoolCommand::Undrain(worker) => drain::undrain(context, worker).await,
        PoolCommand::Approve(worker) => {
            let (api, vars) = (context.api()?, named(&worker));
            let done = api.call(&ops::WORKER_APPROVE, vars).await?.worker_approve;
            said(context, &done.id, "let in")
        }
        PoolCommand::Revoke(worker) => {
            let (api, vars) = (context.api()?, named(&worker));
            let done = api.call(&ops::WORKER_REVOKE, vars).await?.worker_revoke;
            said(context, &done.id, "shut out for good")
        }
        PoolCommand::ClearQuarantine(worker) => {
            let (api, vars) = (context.api()?, named(&worker));
            let done = api
                .call(&ops::WORKER_QUARANTINE_CLEAR, vars)
                .await?
                .worker_quarantine_clear;
            said(context, &done.id, "let in again")
        }
    }
}

fn named(worker: &WorkerArgs) -> Value {
    json!({ "pool": worker.pool.id, "id": worker.worker })
}

fn said(context: &Context, id: &str, what: &str) -> anyhow::Result<Exit> {
    let lines = [("id", id.to_owned()), ("done", what.to_owned())];
    context.printer.details(&json!({ "id": id }), &lines)?;
    Ok(Exit::Done)
}

async fn make(context: &Context, args: PoolCreateArgs) -> anyhow::Result<Exit> {
    let file = args
        .token_file
        .as_deref()
        .map(NewFile::create)
        .transpose()?;
    let extra = json!({ "description": args.description, "labels": args.labels });
    let made = create(&context.api()?, &args.name, &args.csr, extra).await?;
    keep(context, file, made)
}

async fn reset(context: &Context, args: PoolResetArgs) -> anyhow::Result<Exit> {
    let file = args
        .token_file
        .as_deref()
        .map(NewFile::create)
        .transpose()?;
    let overlap = u64::from(args.overlap_hours) * 3600;
    let vars = json!({ "id": args.pool.id, "csr": request(&args.csr)?, "overlap": overlap });
    let answer = context.api()?.call(&ops::WORKER_POOL_RESET, vars).await?;
    keep(context, file, with_token(answer.worker_pool_reset)?)
}

async fn update(context: &Context, args: PoolChangeArgs) -> anyhow::Result<Exit> {
    let ruled = args.enrol_freely
        || args.enrol_by_approval
        || !args.enrol_from.is_empty()
        || args.max_launchers.is_some();
    let enrolment = ruled.then(|| {
        json!({ "approval": args.enrol_by_approval, "addresses": args.enrol_from,
            "maxWorkers": args.max_launchers })
    });
    let vars = json!({ "id": args.pool.id, "name": args.name, "description": args.description,
        "labels": args.labels, "enrolment": enrolment, "drift": args.drift_limit });
    let done = context.api()?.call(&ops::WORKER_POOL_UPDATE, vars).await?;
    said(context, &done.worker_pool_update.id, "changed")
}

/// Puts a token where it was asked to, or prints it.
fn keep(
    context: &Context,
    file: Option<NewFile>,
    (pool, token): (NewPool, Secret),
) -> anyhow::Result<Exit> {
    match file {
        Some(file) => {
            file.finish(format!("{}\n", token.expose()).as_bytes())?;
            print_without_token(context, &pool)?;
        }
        None => print_with_token(context, &pool, &token)?,
    }
    Ok(Exit::Done)
}

fn request(csr: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(csr);
    text.with_context(|| format!("cannot read the signing request `{}`", csr.display()))
}

fn with_token(mut pool: NewPool) -> anyhow::Result<(NewPool, Secret)> {
    let token = pool.config.take();
    let token =
        token.with_context(|| format!("the server gave no token for pool `{}`", pool.id))?;
    Ok((pool, token))
}

/// Makes a pool; gives it and its token.
pub async fn create(
    api: &Api,
    name: &str,
    csr: &Path,
    extra: Value,
) -> anyhow::Result<(NewPool, Secret)> {
    let mut vars = json!({ "name": name, "csr": request(csr)? });
    if let (Some(vars), Value::Object(extra)) = (vars.as_object_mut(), extra) {
        vars.extend(extra);
    }
    let answer = api.call(&ops::WORKER_POOL_CREATE, vars).await?;
    with_token(answer.worker_pool_create)
}

fn print_without_token(context: &Context, pool: &NewPool) -> anyhow::Result<()> {
    let lines = [("id", pool.id.clone()), ("name", pool.name.clone())];
    context
        .printer
        .details(&json!({ "id": pool.id, "name": pool.name }), &lines)
}

fn print_with_token(context: &Context, pool: &NewPool, token: &Secret) -> anyhow::Result<()> {
    let token = token.expose();
    let lines = [
        ("id", pool.id.clone()),
        ("name", pool.name.clone()),
        ("token", token.to_owned()),
    ];
    let all = json!({ "id": pool.id, "name": pool.name, "token": token });
    context.printer.details(&all, &lines)?;
    context
        .printer
        .note("the token is shown this once: it is SPACELIFT_TOKEN of the pool's launchers");
    Ok(())
}

async fn list(context: &Context) -> anyhow::Result<Exit> {
    let pools = context
        .api()?
        .call(&ops::WORKER_POOLS, json!({}))
        .await?
        .worker_pools;
    context.printer.rows(&pools)?;
    Ok(Exit::Done)
}

async fn workers(context: &Context, id: &str) -> anyhow::Result<Exit> {
    context
        .printer
        .rows(&details(&context.api()?, id).await?.workers)?;
    Ok(Exit::Done)
}

/// The pool of this id.
async fn details(api: &Api, id: &str) -> anyhow::Result<PoolDetails> {
    let found = api.call(&ops::WORKER_POOL, json!({ "id": id })).await?;
    let missing = || format!("there is no pool `{id}`");
    found.worker_pool.with_context(missing)
}

async fn show(context: &Context, id: &str) -> anyhow::Result<Exit> {
    let pool = details(&context.api()?, id).await?;
    let mut lines = vec![
        ("id", pool.id.clone()),
        ("name", pool.name.clone()),
        ("description", pool.description.clone().unwrap_or_default()),
        ("labels", pool.labels.join(", ")),
        ("space", pool.space.clone()),
        ("created", date(pool.created_at)),
        (
            "launchers",
            format!("{}, {} busy", pool.workers.len(), pool.busy_workers),
        ),
        ("pending runs", pool.pending_runs.to_string()),
        ("newcomers", newcomers(&pool.enrolment)),
    ];
    lines.extend(pool.keys.iter().map(|key| ("key", about_key(key))));
    context.printer.details(&pool, &lines)?;
    Ok(Exit::Done)
}

fn newcomers(rules: &PoolEnrolment) -> String {
    let mut words = Vec::new();
    if rules.approval {
        words.push("wait to be let in".to_owned());
    }
    if !rules.addresses.is_empty() {
        words.push(format!("from {}", rules.addresses.join(", ")));
    }
    if let Some(most) = rules.max_workers {
        words.push(format!("at most {most} in all"));
    }
    match words.is_empty() {
        true => "whoever holds the key".to_owned(),
        false => words.join("; "),
    }
}

fn about_key(key: &PoolKey) -> String {
    let expires = key
        .certificate_expires_at
        .map_or_else(|| "?".to_owned(), date);
    let ends = match key.retires_at {
        Some(at) => format!("; counts until {}", date(at)),
        None => "; current".to_owned(),
    };
    format!(
        "by {} at {}, certificate until {expires}{ends}",
        key.created_by,
        date(key.created_at)
    )
}

impl Row for Worker {
    const HEADINGS: &'static [&'static str] = &["ID", "HOST", "STATUS", "WHY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.host(),
            self.status.to_lowercase(),
            self.status_reason.clone().unwrap_or_default(),
        ]
    }
}

impl Row for Pool {
    const HEADINGS: &'static [&'static str] = &["ID", "NAME", "LAUNCHERS", "BUSY", "PENDING RUNS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.workers.len().to_string(),
            self.busy_workers.to_string(),
            self.pending_runs.to_string(),
        ]
    }
}
