//! `gantry pool …`.
//!
//! Never: a pool made whose token can't be kept: the token comes once.

use std::path::Path;

use anyhow::Context as _;
use gantry_protocol::Secret;
use serde_json::{Value, json};

use crate::args::PoolCommand;
use crate::client::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::files::NewFile;
use crate::model::{NewPool, Pool, Worker};
use crate::ops;
use crate::printer::Row;

pub async fn run(context: &Context, command: PoolCommand) -> anyhow::Result<Exit> {
    match command {
        PoolCommand::List => list(context).await,
        PoolCommand::Workers { id } => workers(context, &id).await,
        PoolCommand::Create {
            name,
            csr,
            token_file,
            description,
            labels,
        } => {
            let file = token_file.as_deref().map(NewFile::create).transpose()?;
            let extra = json!({ "description": description, "labels": labels });
            let (pool, token) = create(&context.api()?, &name, &csr, extra).await?;
            match file {
                Some(file) => {
                    file.finish(format!("{}\n", token.expose()).as_bytes())?;
                    print_without_token(context, &pool)?;
                }
                None => print_with_token(context, &pool, &token)?,
            }
            Ok(Exit::Done)
        }
    }
}

/// Makes a pool; gives it and its token.
pub async fn create(
    api: &Api,
    name: &str,
    csr: &Path,
    extra: Value,
) -> anyhow::Result<(NewPool, Secret)> {
    let request = std::fs::read_to_string(csr);
    let request =
        request.with_context(|| format!("cannot read the signing request `{}`", csr.display()))?;
    let mut vars = json!({ "name": name, "csr": request });
    if let (Some(vars), Value::Object(extra)) = (vars.as_object_mut(), extra) {
        vars.extend(extra);
    }
    let mut pool = api
        .call(&ops::WORKER_POOL_CREATE, vars)
        .await?
        .worker_pool_create;
    let token = pool.config.take();
    let token =
        token.with_context(|| format!("the server made pool `{}` but gave no token", pool.id))?;
    Ok((pool, token))
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
    let api = context.api()?;
    let pools = api.call(&ops::WORKER_POOLS, json!({})).await?.worker_pools;
    let pool = pools.into_iter().find(|pool| pool.id == id);
    let pool = pool.with_context(|| format!("there is no pool `{id}`"))?;
    context.printer.rows(&pool.workers)?;
    Ok(Exit::Done)
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
