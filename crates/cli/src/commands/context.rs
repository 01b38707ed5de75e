//! `gantry context …`: variables, files and hooks that stacks share.

use anyhow::Context as _;
use serde_json::{Map, json};

use super::stack::{hooks, variable};
use crate::args::{ContextCommand, ContextCreateArgs, ContextSetArgs, ContextUpdateArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::model::SharedContext;
use crate::ops;
use crate::printer::Row;
use crate::text;

pub async fn run(context: &Context, command: ContextCommand) -> anyhow::Result<Exit> {
    let printer = &context.printer;
    match command {
        ContextCommand::List => {
            let all = context.api()?.call(&ops::CONTEXTS, json!({})).await?;
            printer.rows(&all.contexts)?;
        }
        ContextCommand::Show { id } => show(context, &id).await?,
        ContextCommand::Create(args) => create(context, *args).await?,
        ContextCommand::Update(args) => update(context, *args).await?,
        ContextCommand::Delete { id } => {
            let (api, vars) = (context.api()?, json!({ "id": id }));
            let gone = api.call(&ops::CONTEXT_DELETE, vars).await?.context_delete;
            printer.note(&format!("deleted {}", gone.id));
        }
        ContextCommand::Attach(args) => {
            let vars = json!({ "id": args.id, "stack": args.stack, "priority": args.priority });
            let done = context.api()?.call(&ops::CONTEXT_ATTACH, vars).await?;
            let id = done.context_attach.id;
            printer.note(&format!("attached {id} to {}", args.stack));
        }
        ContextCommand::Detach(args) => {
            let vars = json!({ "id": args.id, "stack": args.stack });
            let done = context.api()?.call(&ops::CONTEXT_DETACH, vars).await?;
            let id = done.context_detach.id;
            printer.note(&format!("took {id} off {}", args.stack));
        }
        ContextCommand::SetEnv(args) => set_env(context, args).await?,
        ContextCommand::Unset { id, element } => {
            let (api, vars) = (context.api()?, json!({ "context": id, "id": element }));
            let gone = api.call(&ops::CONTEXT_CONFIG_DELETE, vars).await?;
            let gone = gone.context_config_delete;
            gone.with_context(|| format!("context `{id}` has no `{element}`"))?;
            printer.note(&format!("removed {element} of context {id}"));
        }
    }
    Ok(Exit::Done)
}

async fn show(context: &Context, id: &str) -> anyhow::Result<()> {
    let (api, vars) = (context.api()?, json!({ "id": id }));
    let found = api.call(&ops::CONTEXT, vars).await?.context;
    let found = found.with_context(|| format!("context `{id}` is not found"))?;
    let elements = found.config.iter().flatten().map(|element| {
        let shown = match (&element.value, element.write_only) {
            (_, true) => "(write-only)",
            (Some(value), false) => value,
            (None, false) => "",
        };
        format!("{}={shown}", element.id)
    });
    let stacks = found.attached_stacks.iter().flatten();
    let stacks = stacks.map(|one| match one.is_autoattached {
        true => format!("{} (by label)", one.stack_id),
        false => format!("{} (priority {})", one.stack_id, one.priority),
    });
    let lines = [
        ("id", found.id.clone()),
        ("name", found.name.clone()),
        ("space", found.space.clone()),
        ("description", found.description.clone().unwrap_or_default()),
        ("labels", found.labels.join(", ")),
        ("holds", elements.collect::<Vec<_>>().join(", ")),
        ("attached to", stacks.collect::<Vec<_>>().join(", ")),
        ("changed", text::date(found.updated_at)),
    ];
    context.printer.details(&found, &lines)
}

async fn create(context: &Context, args: ContextCreateArgs) -> anyhow::Result<()> {
    let given = hooks(&args.hooks).into_iter();
    let given: Map<_, _> = given
        .map(|(name, commands)| (name.to_owned(), json!(commands)))
        .collect();
    let vars = json!({
        "name": args.name, "slug": args.slug, "space": args.space, "labels": args.labels,
        "description": args.description, "hooks": given,
    });
    let made = context.api()?.call(&ops::CONTEXT_CREATE, vars).await?;
    told(context, &made.context_create)
}

async fn update(context: &Context, args: ContextUpdateArgs) -> anyhow::Result<()> {
    let labels = Some(args.labels).filter(|labels| !labels.is_empty());
    let vars = json!({
        "id": args.id, "name": args.name, "labels": labels, "description": args.description,
    });
    let changed = context.api()?.call(&ops::CONTEXT_UPDATE, vars).await?;
    told(context, &changed.context_update)
}

fn told(context: &Context, made: &SharedContext) -> anyhow::Result<()> {
    if context.printer.json() {
        return context.printer.json_line(made);
    }
    context.printer.data(format!("{}\n", made.id).as_bytes())
}

async fn set_env(context: &Context, args: ContextSetArgs) -> anyhow::Result<()> {
    let (name, value) = variable(context, &args.variable)?;
    let vars = json!({
        "context": args.id,
        "config": {
            "id": name, "type": "ENVIRONMENT_VARIABLE", "value": value, "writeOnly": args.secret,
            "description": args.description,
        },
    });
    let set = context.api()?.call(&ops::CONTEXT_CONFIG_ADD, vars).await?;
    let set = set.context_config_add;
    if context.printer.json() {
        return context.printer.json_line(&set);
    }
    let note = format!("set {} of context {}", set.id, args.id);
    context.printer.note(&note);
    Ok(())
}

impl Row for SharedContext {
    const HEADINGS: &'static [&'static str] = &["ID", "NAME", "SPACE", "LABELS", "CHANGED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.space.clone(),
            self.labels.join(", "),
            text::date(self.updated_at),
        ]
    }
}
