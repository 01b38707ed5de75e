//! `gantry policy …`: what the server decides by.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::args::{AttachArgs, PolicyCommand, PolicyCreateArgs, PolicyUpdateArgs, SimulateArgs};
use crate::client::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::model::{EvaluationRecord, Policy};
use crate::ops;
use crate::printer::Row;
use crate::text;

/// The longest text that is read from a file; the server takes less.
const MOST: u64 = 64 << 20;

pub async fn run(context: &Context, command: PolicyCommand) -> anyhow::Result<Exit> {
    match command {
        PolicyCommand::List => {
            let all = context.api()?.call(&ops::POLICIES, json!({})).await?;
            context.printer.rows(&all.policies)?;
        }
        PolicyCommand::Show { id } => {
            let policy = get(&context.api()?, &id).await?;
            show(context, &policy)?;
        }
        PolicyCommand::Create(args) => create(context, args).await?,
        PolicyCommand::Update(args) => update(context, args).await?,
        PolicyCommand::Delete { id } => {
            let (api, vars) = (context.api()?, json!({ "id": id }));
            let gone = api.call(&ops::POLICY_DELETE, vars).await?.policy_delete;
            context.printer.note(&format!("deleted {}", gone.id));
        }
        PolicyCommand::Attach(args) => attach(context, &args).await?,
        PolicyCommand::Detach(args) => detach(context, &args).await?,
        PolicyCommand::Samples { id } => {
            let policy = get(&context.api()?, &id).await?;
            let records = policy.evaluation_records.unwrap_or_default();
            context.printer.rows(&records)?;
        }
        PolicyCommand::Sample { id, key } => {
            let input = sample(&context.api()?, &id, &key).await?;
            context.printer.data(format!("{input}\n").as_bytes())?;
        }
        PolicyCommand::Simulate(args) => simulate(context, args).await?,
    }
    Ok(Exit::Done)
}

async fn get(api: &Api, id: &str) -> anyhow::Result<Policy> {
    let found = api.call(&ops::POLICY, json!({ "id": id })).await?.policy;
    found.with_context(|| format!("policy `{id}` is not found"))
}

fn show(context: &Context, policy: &Policy) -> anyhow::Result<()> {
    let lines = [
        ("id", policy.id.clone()),
        ("name", policy.name.clone()),
        ("type", policy.kind.clone()),
        (
            "description",
            policy.description.clone().unwrap_or_default(),
        ),
        ("labels", policy.labels.join(", ")),
        ("created", text::date(policy.created_at)),
        ("changed", text::date(policy.updated_at)),
    ];
    context.printer.details(policy, &lines)?;
    if context.printer.json() {
        return Ok(());
    }
    let body = policy.body.trim_end();
    context.printer.data(format!("\n{body}\n").as_bytes())
}

async fn create(context: &Context, args: PolicyCreateArgs) -> anyhow::Result<()> {
    let vars = json!({
        "name": args.name, "slug": args.slug, "type": args.kind.name(), "body": read(&args.body)?,
        "labels": args.labels, "description": args.description,
    });
    let made = context.api()?.call(&ops::POLICY_CREATE, vars).await?;
    told(context, &made.policy_create)
}

async fn update(context: &Context, args: PolicyUpdateArgs) -> anyhow::Result<()> {
    let body = args.body.as_deref().map(read).transpose()?;
    let labels = Some(args.labels).filter(|labels| !labels.is_empty());
    let vars = json!({
        "id": args.id, "name": args.name, "body": body, "labels": labels,
        "description": args.description,
    });
    let changed = context.api()?.call(&ops::POLICY_UPDATE, vars).await?;
    told(context, &changed.policy_update)
}

fn told(context: &Context, policy: &Policy) -> anyhow::Result<()> {
    if context.printer.json() {
        return context.printer.json_line(policy);
    }
    context.printer.data(format!("{}\n", policy.id).as_bytes())
}

async fn attach(context: &Context, args: &AttachArgs) -> anyhow::Result<()> {
    let vars = json!({ "id": args.id, "stack": args.stack });
    let policy = context.api()?.call(&ops::POLICY_ATTACH, vars).await?;
    let (id, stack) = (policy.policy_attach.id, &args.stack);
    context.printer.note(&format!("attached {id} to {stack}"));
    Ok(())
}

async fn detach(context: &Context, args: &AttachArgs) -> anyhow::Result<()> {
    let vars = json!({ "id": args.id, "stack": args.stack });
    let policy = context.api()?.call(&ops::POLICY_DETACH, vars).await?;
    let (id, stack) = (policy.policy_detach.id, &args.stack);
    context.printer.note(&format!("took {id} off {stack}"));
    Ok(())
}

async fn sample(api: &Api, id: &str, key: &str) -> anyhow::Result<String> {
    let vars = json!({ "id": id, "key": key });
    let found = api.call(&ops::POLICY_SAMPLE, vars).await?.policy;
    let policy = found.with_context(|| format!("policy `{id}` is not found"))?;
    let sample = policy.evaluation_sample;
    let sample = sample.with_context(|| format!("policy `{id}` has no evaluation `{key}`"))?;
    if sample.input.is_empty() {
        bail!("the input of evaluation `{key}` was too large to keep");
    }
    Ok(sample.input)
}

async fn simulate(context: &Context, args: SimulateArgs) -> anyhow::Result<()> {
    let api = context.api()?;
    let text = args.body.as_deref().map(read).transpose()?;
    let (body, kind) = match (&args.id, text, args.kind) {
        (Some(id), text, _) => {
            let policy = get(&api, id).await?;
            (text.unwrap_or(policy.body), policy.kind)
        }
        (None, Some(text), Some(kind)) => (text, kind.name().to_owned()),
        (None, _, _) => bail!("name a policy with --id, or a text with --body and --type"),
    };
    let input = match (&args.input, &args.sample, &args.id) {
        (Some(file), _, _) => read(file)?,
        (None, Some(key), Some(id)) => sample(&api, id, key).await?,
        (None, _, _) => {
            bail!("name an input document with --input, or an evaluation with --sample")
        }
    };
    let vars = json!({ "body": body, "input": input, "type": kind });
    let said = api.call(&ops::POLICY_SIMULATE, vars).await?.policy_simulate;
    context.printer.data(format!("{said}\n").as_bytes())
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let done = if path == Path::new("-") {
        std::io::stdin().take(MOST).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text))
    };
    done.with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(text)
}

impl Row for Policy {
    const HEADINGS: &'static [&'static str] = &["ID", "NAME", "TYPE", "LABELS", "CHANGED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.kind.clone(),
            self.labels.join(", "),
            text::date(self.updated_at),
        ]
    }
}

impl Row for EvaluationRecord {
    const HEADINGS: &'static [&'static str] = &["KEY", "OUTCOME", "WHEN"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.key.clone(),
            self.outcome.clone(),
            text::date(self.timestamp),
        ]
    }
}
