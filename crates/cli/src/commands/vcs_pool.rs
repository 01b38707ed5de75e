//! `gantry vcs-agent-pool …`.
//!
//! Never: a pool made whose token can't be kept: the token comes once.

use std::path::Path;

use anyhow::Context as _;
use gantry_protocol::Secret;
use serde_json::json;

use crate::args::{
    VcsPoolCommand, VcsPoolCreateArgs, VcsPoolLogArgs, VcsPoolResetArgs, VcsPoolUpdateArgs,
};
use crate::client::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::files::NewFile;
use crate::model::{NewVcsPool, VcsConnection, VcsPool, VcsPoolDetails, VcsPoolKey, VcsRequest};
use crate::ops;
use crate::printer::Row;
use crate::text::date;

pub async fn run(context: &Context, command: VcsPoolCommand) -> anyhow::Result<Exit> {
    match command {
        VcsPoolCommand::Create(args) => create(context, args).await,
        VcsPoolCommand::List => {
            let pools = context.api()?.call(&ops::VCS_POOLS, json!({})).await?;
            context.printer.rows(&pools.vcs_agent_pools)?;
            Ok(Exit::Done)
        }
        VcsPoolCommand::Show(pool) => show(context, &pool.id).await,
        VcsPoolCommand::Update(args) => update(context, args).await,
        VcsPoolCommand::Reset(args) => reset(context, args).await,
        VcsPoolCommand::Delete(pool) => {
            let api = context.api()?;
            let id = id_of(&api, &pool.id).await?;
            let done = api.call(&ops::VCS_POOL_DELETE, json!({ "id": id })).await?;
            said(context, &done.vcs_agent_pool_delete.id, "deleted")
        }
        VcsPoolCommand::Log(args) => log(context, args).await,
    }
}

/// The id of the pool that has this id or this name.
async fn id_of(api: &Api, text: &str) -> anyhow::Result<String> {
    let pools = api.call(&ops::VCS_POOLS, json!({})).await?.vcs_agent_pools;
    let found = pools
        .into_iter()
        .find(|pool| pool.id == text || pool.name == text);
    Ok(found
        .with_context(|| format!("there is no VCS agent pool `{text}`"))?
        .id)
}

fn said(context: &Context, id: &str, what: &str) -> anyhow::Result<Exit> {
    let lines = [("id", id.to_owned()), ("done", what.to_owned())];
    context.printer.details(&json!({ "id": id }), &lines)?;
    Ok(Exit::Done)
}

async fn create(context: &Context, args: VcsPoolCreateArgs) -> anyhow::Result<Exit> {
    let file = new_file(args.token_file.as_deref())?;
    let vars = json!({ "name": args.name, "description": args.description, "space": args.space });
    let made = context.api()?.call(&ops::VCS_POOL_CREATE, vars).await?;
    keep(context, file, made.vcs_agent_pool_create)
}

async fn reset(context: &Context, args: VcsPoolResetArgs) -> anyhow::Result<Exit> {
    let file = new_file(args.token_file.as_deref())?;
    let api = context.api()?;
    let id = id_of(&api, &args.pool.id).await?;
    let overlap = u64::from(args.overlap_hours) * 3600;
    let vars = json!({ "id": id, "overlap": overlap });
    let done = api.call(&ops::VCS_POOL_RESET, vars).await?;
    keep(context, file, done.vcs_agent_pool_reset)
}

async fn update(context: &Context, args: VcsPoolUpdateArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let id = id_of(&api, &args.pool.id).await?;
    let vars = json!({ "id": id, "name": args.name, "description": args.description,
        "space": args.space });
    let done = api.call(&ops::VCS_POOL_UPDATE, vars).await?;
    said(context, &done.vcs_agent_pool_update.id, "changed")
}

fn new_file(path: Option<&Path>) -> anyhow::Result<Option<NewFile>> {
    path.map(NewFile::create).transpose()
}

/// Puts a token where it was asked to, or prints it.
fn keep(context: &Context, file: Option<NewFile>, pool: NewVcsPool) -> anyhow::Result<Exit> {
    let token: Secret = pool
        .config
        .with_context(|| format!("the server gave no token for pool `{}`", pool.id))?;
    let mut lines = vec![("id", pool.id.clone()), ("name", pool.name.clone())];
    let mut all = json!({ "id": pool.id, "name": pool.name });
    match file {
        Some(file) => {
            file.finish(format!("{}\n", token.expose()).as_bytes())?;
            context.printer.details(&all, &lines)?;
        }
        None => {
            lines.push(("token", token.expose().to_owned()));
            all["token"] = token.expose().into();
            context.printer.details(&all, &lines)?;
            context.printer.note(
                "the token is shown this once: it is SPACELIFT_VCS_AGENT_POOL_TOKEN of the pool's agents",
            );
        }
    }
    Ok(Exit::Done)
}

async fn show(context: &Context, id: &str) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let id = id_of(&api, id).await?;
    let found = api.call(&ops::VCS_POOL, json!({ "id": id })).await?;
    let VcsPoolDetails {
        pool,
        created_by,
        created_at,
        keys,
        connections,
    } = &found
        .vcs_agent_pool
        .as_ref()
        .with_context(|| format!("there is no VCS agent pool `{id}`"))?;
    let mut lines = vec![
        ("id", pool.id.clone()),
        ("name", pool.name.clone()),
        ("endpoint", format!("private://{}/", pool.name)),
        ("description", pool.description.clone().unwrap_or_default()),
        ("space", pool.space.clone()),
        ("created", format!("{} by {created_by}", date(*created_at))),
        ("streams", pool.active_connections.to_string()),
        ("waiting requests", pool.waiting_requests.to_string()),
    ];
    lines.extend(keys.iter().map(|key| ("key", about_key(key))));
    lines.extend(connections.iter().map(|one| ("agent", about_agent(one))));
    context.printer.details(&found.vcs_agent_pool, &lines)?;
    Ok(Exit::Done)
}

fn about_key(key: &VcsPoolKey) -> String {
    let ends = match key.retires_at {
        Some(at) => format!("counts until {}", date(at)),
        None => "current".to_owned(),
    };
    format!("by {} at {}; {ends}", key.created_by, date(key.created_at))
}

fn about_agent(agent: &VcsConnection) -> String {
    format!(
        "{} {} from {}, since {}, {} of {} streams busy, {} requests served, {}",
        agent.id,
        agent
            .version
            .as_deref()
            .map_or_else(|| "(version not told)".to_owned(), |v| format!("v{v}")),
        agent.address.as_deref().unwrap_or("?"),
        date(agent.connected_at),
        agent.requests_in_flight,
        agent.streams,
        agent.served,
        agent.metadata,
    )
}

async fn log(context: &Context, args: VcsPoolLogArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let id = id_of(&api, &args.pool.id).await?;
    let vars = json!({ "id": id, "first": args.limit });
    let found = api.call(&ops::VCS_POOL_LOG, vars).await?;
    let pool = found
        .vcs_agent_pool
        .with_context(|| format!("there is no VCS agent pool `{id}`"))?;
    context.printer.rows(&pool.access_log)?;
    Ok(Exit::Done)
}

impl Row for VcsPool {
    const HEADINGS: &'static [&'static str] = &["ID", "NAME", "STREAMS", "WAITING", "SPACE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.active_connections.to_string(),
            self.waiting_requests.to_string(),
            self.space.clone(),
        ]
    }
}

impl Row for VcsRequest {
    const HEADINGS: &'static [&'static str] = &[
        "AT", "ID", "PURPOSE", "METHOD", "PATH", "RESULT", "BYTES", "MS", "WHY",
    ];

    fn cells(&self) -> Vec<String> {
        let result = match self.status {
            Some(status) => format!("{} {status}", self.outcome.to_lowercase()),
            None => self.outcome.to_lowercase(),
        };
        vec![
            date(self.at),
            self.id.clone(),
            self.purpose.clone(),
            self.method.clone(),
            self.path.clone(),
            result,
            self.bytes_received.to_string(),
            self.milliseconds.to_string(),
            self.detail.clone().unwrap_or_default(),
        ]
    }
}
