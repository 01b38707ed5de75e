//! `gantry stack update` and `gantry stack state …`: settings changed one by one, states looked at and gone back to.
//!
//! Never: a setting lost because it was not named, or a state printed where it would stay on a terminal.

use anyhow::{Context as _, bail};
use reqwest::Url;
use serde_json::{Map, Value, json};

use crate::args::{StackUpdateArgs, StateCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::files::NewFile;
use crate::model::StateVersion;
use crate::ops;
use crate::printer::Row;
use crate::text;

pub async fn update(context: &Context, args: StackUpdateArgs) -> anyhow::Result<Exit> {
    let (api, id) = (context.api()?, args.id.clone());
    let vars = json!({ "id": id });
    let settings = api.call(&ops::STACK_SETTINGS, vars).await?.stack;
    let settings = settings.with_context(|| format!("stack `{id}` is not found"))?;
    let input = changed(settings, args)?;
    let vars = json!({ "id": id, "input": input });
    let changed = api.call(&ops::STACK_UPDATE, vars).await?.stack_update;
    context.printer.note(&format!("changed {}", changed.id));
    Ok(Exit::Done)
}

/// The settings as the server takes them, with what was named.
fn changed(mut all: Map<String, Value>, args: StackUpdateArgs) -> anyhow::Result<Value> {
    let vendor = all.remove("vendorConfig").unwrap_or_default();
    let version = &vendor["version"];
    let vendor = match vendor["__typename"].as_str().unwrap_or_default() {
        "StackConfigVendorTerraform" => {
            json!({ "terraform": { "version": version, "workflowTool": vendor["workflowTool"] } })
        }
        "StackConfigVendorOpenTofu" => json!({ "openTofu": { "version": version } }),
        other => bail!(
            "stack `{}` has a tool that this program does not know: {other}",
            args.id
        ),
    };
    let pool = all.remove("workerPool").unwrap_or_default();
    let pool = args.pool.map_or_else(|| pool["id"].clone(), Value::from);
    if pool.is_null() {
        bail!(
            "stack `{}` has no worker pool that you see: name one with --pool",
            args.id
        );
    }
    let bare = |text: Option<String>| {
        text.map(|text| match text.is_empty() {
            true => Value::Null,
            false => Value::from(text),
        })
    };
    if args.repository.is_some() {
        // It is that of the old URL.
        all.remove("namespace");
    }
    let labels = Some(args.labels).filter(|labels| !labels.is_empty());
    let given = [
        ("name", args.name.map(Value::from)),
        ("repository", args.repository.map(Value::from)),
        ("branch", args.branch.map(Value::from)),
        ("projectRoot", bare(args.project_root)),
        ("runnerImage", bare(args.runner_image)),
        ("autodeploy", args.autodeploy.map(Value::from)),
        ("localPreviewEnabled", args.local_preview.map(Value::from)),
        ("description", args.description.map(Value::from)),
        ("labels", labels.map(Value::from)),
        ("workerPool", Some(pool)),
        ("vendorConfig", Some(vendor)),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            all.insert(name.to_owned(), value);
        }
    }
    Ok(Value::Object(all))
}

pub async fn state(context: &Context, command: StateCommand) -> anyhow::Result<Exit> {
    match command {
        StateCommand::List { id, limit } => list(context, &id, limit).await?,
        StateCommand::Pull { id, out } => {
            let file = NewFile::create(&out)?;
            let (api, vars) = (context.api()?, json!({ "stack": id }));
            let place = api.call(&ops::STATE_DOWNLOAD_URL, vars).await?;
            let place = Url::parse(place.state_download_url.url.expose());
            let place = place.context("the server named no URL for the state")?;
            let query = place.query_pairs();
            let query: Vec<_> = query
                .map(|(name, value)| (name, value.into_owned()))
                .collect();
            let query: Vec<_> = query.iter().map(|(n, v)| (&**n, v.clone())).collect();
            let at = place.path().find("/api/states/").unwrap_or_default();
            let path = place.path()[at..].trim_start_matches('/');
            let mut state = Vec::new();
            let mut pieces = api.download(path, &query).await?;
            while let Some(piece) = pieces.next().await? {
                state.extend_from_slice(&piece);
            }
            file.finish(&state)?;
            let note = format!("wrote the state of {id} to {}", out.display());
            context.printer.note(&note);
        }
        StateCommand::Rollback { id, version } => {
            let vars = json!({ "stack": id, "version": version });
            let made = context.api()?.call(&ops::STATE_ROLLBACK, vars).await?;
            let made = made.stack_state_rollback;
            if context.printer.json() {
                context.printer.json_line(&made)?;
            } else {
                let note = format!(
                    "version {} of {id} is what version {version} was",
                    made.version
                );
                context.printer.note(&note);
            }
        }
    }
    Ok(Exit::Done)
}

async fn list(context: &Context, id: &str, limit: usize) -> anyhow::Result<()> {
    let (api, mut all) = (context.api()?, Vec::<StateVersion>::new());
    loop {
        let before = all.last().map(|one| one.version);
        let vars = json!({ "stack": id, "before": before });
        let stack = api.call(&ops::STATE_VERSIONS, vars).await?.stack;
        let page = stack.with_context(|| format!("stack `{id}` is not found"))?;
        let ended = page.state_versions.is_empty();
        all.extend(page.state_versions);
        if ended || all.len() >= limit {
            all.truncate(limit);
            return context.printer.rows(&all);
        }
    }
}

impl Row for StateVersion {
    const HEADINGS: &'static [&'static str] = &["VERSION", "SERIAL", "BYTES", "WRITTEN", "RUN"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.version.to_string(),
            self.serial.to_string(),
            self.size.to_string(),
            text::date(self.created_at),
            self.run_id.clone(),
        ]
    }
}
