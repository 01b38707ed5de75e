//! `gantry stack …`: making, listing, showing, setting.

use std::io::{IsTerminal as _, Read as _};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{local_preview, stack_control, stack_runs, stack_state, stack_update};
use crate::args::{ConfigArgs, CreateArgs, HookArgs, ResourcesCommand, StackCommand, ToolArg};
use crate::context::Context;
use crate::exit::Exit;
use crate::model::Stack;
use crate::ops;
use crate::printer::Row;
use crate::text;

/// Stacks per page of a listing.
const PAGE: u32 = 50;

pub async fn run(context: &Context, command: StackCommand) -> anyhow::Result<Exit> {
    match command {
        StackCommand::Create(args) => create(context, *args).await,
        StackCommand::List => list(context).await,
        StackCommand::Show { id } => show(context, &id).await,
        StackCommand::Update(args) => stack_update::update(context, *args).await,
        StackCommand::State(command) => stack_update::state(context, command).await,
        StackCommand::SetEnv(args) => set_env(context, args).await,
        StackCommand::Outputs { id } => stack_state::outputs(context, &id).await,
        StackCommand::Changes { id, run } => stack_state::changes(context, &id, &run).await,
        StackCommand::Resources(ResourcesCommand::List { id }) => {
            stack_state::resources(context, &id).await
        }
        StackCommand::Deploy(args) => stack_runs::deploy(context, *args).await,
        StackCommand::Preview(args) => stack_runs::preview(context, *args).await,
        StackCommand::Task(args) => stack_runs::task(context, *args).await,
        StackCommand::Confirm(args) => stack_runs::confirm(context, *args).await,
        StackCommand::Approve(args) => stack_runs::review(context, args, "APPROVE").await,
        StackCommand::Reject(args) => stack_runs::review(context, args, "REJECT").await,
        StackCommand::Discard(args) => stack_runs::discard(context, args).await,
        StackCommand::Cancel(args) => stack_runs::cancel(context, args).await,
        StackCommand::Retry(args) => stack_runs::retry(context, args).await,
        StackCommand::LocalPreview(args) => local_preview::run(context, *args).await,
        StackCommand::Destroy(args) => stack_runs::destroy(context, *args).await,
        StackCommand::Promote(args) => stack_control::promote(context, args).await,
        StackCommand::Replan(args) => stack_control::replan(context, args).await,
        StackCommand::Prioritize(args) => stack_control::prioritize(context, args, true).await,
        StackCommand::Deprioritize(args) => stack_control::prioritize(context, args, false).await,
        StackCommand::Lock(args) => stack_control::lock(context, args).await,
        StackCommand::Unlock(args) => stack_control::unlock(context, args).await,
        StackCommand::Enable(args) => stack_control::enable(context, args).await,
        StackCommand::Disable(args) => stack_control::disable(context, args).await,
        StackCommand::SyncCommit(args) => stack_control::sync_commit(context, args).await,
        StackCommand::SetCurrentCommit(args) => stack_control::set_commit(context, args).await,
        StackCommand::Drift(args) => stack_control::drift(context, args).await,
        StackCommand::Delete(args) => stack_control::delete(context, args).await,
        StackCommand::Stop(args) => stack_runs::stop(context, args).await,
        StackCommand::Logs(args) => stack_runs::logs(context, args).await,
    }
}

async fn create(context: &Context, args: CreateArgs) -> anyhow::Result<Exit> {
    let vars = json!({
        "manageState": !args.no_manage_state,
        "slug": args.slug,
        "input": input(&args),
    });
    let made = context
        .api()?
        .call(&ops::STACK_CREATE, vars)
        .await?
        .stack_create;
    let lines = [("id", made.id.clone()), ("name", made.name.clone())];
    context.printer.details(&made, &lines)?;
    Ok(Exit::Done)
}

fn input(args: &CreateArgs) -> Value {
    let version = json!({ "version": args.tool_version });
    let vendor = match args.tool {
        ToolArg::Terraform => json!({ "terraform": version }),
        ToolArg::Opentofu => json!({ "openTofu": version }),
    };
    let mut input = json!({
        "name": args.name,
        "repository": args.repository,
        "branch": args.branch,
        "projectRoot": args.project_root,
        "runnerImage": args.runner_image,
        "workerPool": args.pool,
        "autodeploy": args.autodeploy,
        "localPreviewEnabled": args.local_preview,
        "labels": args.labels,
        "description": args.description,
        "vendorConfig": vendor,
    });
    for (name, commands) in hooks(&args.hooks) {
        if !commands.is_empty() {
            input[name] = json!(commands);
        }
    }
    input
}

pub(super) fn hooks(hooks: &HookArgs) -> [(&'static str, &[String]); 11] {
    [
        ("beforeInit", &hooks.before_init),
        ("afterInit", &hooks.after_init),
        ("beforePlan", &hooks.before_plan),
        ("afterPlan", &hooks.after_plan),
        ("beforeApply", &hooks.before_apply),
        ("afterApply", &hooks.after_apply),
        ("beforePerform", &hooks.before_perform),
        ("afterPerform", &hooks.after_perform),
        ("beforeDestroy", &hooks.before_destroy),
        ("afterDestroy", &hooks.after_destroy),
        ("afterRun", &hooks.after_run),
    ]
}

async fn list(context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let mut stacks = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let vars = json!({ "input": { "first": PAGE, "after": after } });
        let page = api.call(&ops::SEARCH_STACKS, vars).await?.search_stacks;
        stacks.extend(page.edges.into_iter().map(|edge| edge.node));
        let cursor = page.page_info.end_cursor;
        if !page.page_info.has_next_page || after.as_ref() == Some(&cursor) {
            break;
        }
        after = Some(cursor);
    }
    context.printer.rows(&stacks)?;
    Ok(Exit::Done)
}

impl Row for Stack {
    const HEADINGS: &'static [&'static str] =
        &["ID", "NAME", "STATE", "BRANCH", "REPOSITORY", "POOL"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.state.as_str().to_owned(),
            self.branch.clone(),
            self.repository.clone(),
            self.worker_pool
                .as_ref()
                .map(|pool| pool.name.clone())
                .unwrap_or_default(),
        ]
    }
}

async fn show(context: &Context, id: &str) -> anyhow::Result<Exit> {
    let stack = context
        .api()?
        .call(&ops::STACK, json!({ "id": id }))
        .await?
        .stack;
    let stack = stack.with_context(|| format!("stack `{id}` is not found"))?;
    let pool = stack
        .worker_pool
        .as_ref()
        .map(|pool| format!("{} ({})", pool.name, pool.id));
    let blocker = stack
        .blocker
        .as_ref()
        .map(|run| format!("{} {}", run.id, run.state.as_str()));
    let mut lines = vec![
        ("id", stack.id.clone()),
        ("name", stack.name.clone()),
        ("description", stack.description.clone().unwrap_or_default()),
        ("state", stack.state.as_str().to_owned()),
        ("blocked by", blocker.unwrap_or_default()),
        ("repository", stack.repository.clone()),
        ("branch", stack.branch.clone()),
        (
            "project root",
            stack.project_root.clone().unwrap_or_default(),
        ),
        ("tool", tool(&stack)),
        (
            "runner image",
            stack.runner_image.clone().unwrap_or_default(),
        ),
        ("pool", pool.unwrap_or_default()),
        ("autodeploy", stack.autodeploy.to_string()),
        ("managed state", stack.manages_state_file.to_string()),
        ("labels", stack.labels.join(", ")),
        ("created", text::date(stack.created_at)),
    ];
    for element in stack.config.iter().flatten() {
        let shown = if element.write_only {
            "secret"
        } else {
            "plain"
        };
        lines.push((
            "config",
            format!("{} ({}, {shown})", element.id, element.kind),
        ));
    }
    context.printer.details(&stack, &lines)?;
    Ok(Exit::Done)
}

fn tool(stack: &Stack) -> String {
    let vendor = &stack.vendor_config;
    let name = vendor
        .kind
        .strip_prefix("StackConfigVendor")
        .unwrap_or(&vendor.kind);
    match &vendor.version {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    }
}

async fn set_env(context: &Context, args: ConfigArgs) -> anyhow::Result<Exit> {
    let (name, value) = variable(context, &args.variable)?;
    let vars = json!({
        "stack": args.id,
        "config": {
            "id": name, "type": "ENVIRONMENT_VARIABLE", "value": value, "writeOnly": args.secret,
        },
    });
    let set = context
        .api()?
        .call(&ops::STACK_CONFIG_ADD, vars)
        .await?
        .stack_config_add;
    if context.printer.json() {
        context.printer.json_line(&set)?;
    } else {
        context
            .printer
            .note(&format!("set {} of stack {}", set.id, args.id));
    }
    Ok(Exit::Done)
}

/// Name and value of `NAME=VALUE`, or of `NAME` with the value on standard input.
pub(super) fn variable(context: &Context, text: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (text.to_owned(), value_from_stdin(context, text)?),
    };
    if name.is_empty() {
        bail!("`{text}` names no variable; expected NAME=VALUE or NAME");
    }
    Ok((name, value))
}

/// Standard input to its end, without its last line end; asked for on a terminal.
fn value_from_stdin(context: &Context, name: &str) -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        return Ok(context
            .printer
            .ask_secret(&format!("Value of {name}:"))?
            .expose()
            .to_owned());
    }
    let mut value = String::new();
    let read = std::io::stdin().read_to_string(&mut value);
    read.with_context(|| format!("cannot read the value of {name} from standard input"))?;
    Ok(value.strip_suffix('\n').unwrap_or(&value).to_owned())
}

#[cfg(test)]
mod tests {
    use apollo_compiler::schema::ExtendedType;
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::ops::tests::schema;

    /// Variables are JSON, which no schema check of the operation's text looks into.
    #[test]
    fn the_server_knows_every_field_of_a_new_stack() {
        let schema = schema();
        let fields = |name: &str| match schema.types.get(name) {
            Some(ExtendedType::InputObject(input)) => input
                .fields
                .keys()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            other => panic!("`{name}` is no input type: {other:?}"),
        };
        for (tool, inner) in [
            ("terraform", "TerraformInput"),
            ("opentofu", "OpenTofuInput"),
        ] {
            let input = input(&every_option(tool));
            let sent = |value: &Value| {
                value
                    .as_object()
                    .map(|map| map.keys().cloned().collect::<Vec<_>>())
                    .unwrap_or_default()
            };
            let unknown = |value: &Value, kind: &str| {
                let known = fields(kind);
                sent(value)
                    .into_iter()
                    .filter(|name| !known.contains(name))
                    .collect::<Vec<_>>()
            };
            let vendor = &input["vendorConfig"];
            assert_eq!(unknown(&input, "StackInput"), Vec::<String>::new());
            assert_eq!(unknown(vendor, "VendorConfigInput"), Vec::<String>::new());
            let tool = vendor
                .as_object()
                .and_then(|map| map.values().next())
                .unwrap();
            assert_eq!(unknown(tool, inner), Vec::<String>::new());
        }
    }

    fn every_option(tool: &str) -> CreateArgs {
        let mut words = vec![
            "gantry",
            "stack",
            "create",
            "--name",
            "n",
            "--repository",
            "r",
            "--pool",
            "p",
            "--tool",
            tool,
        ];
        let hooks = ["init", "plan", "apply", "perform", "destroy"];
        let mut options: Vec<_> = hooks
            .iter()
            .flat_map(|phase| [format!("--before-{phase}"), format!("--after-{phase}")])
            .collect();
        options.push("--after-run".to_owned());
        for option in &options {
            words.extend([option.as_str(), "true"]);
        }
        match Cli::try_parse_from(words).unwrap().command {
            Command::Stack(StackCommand::Create(args)) => *args,
            other => panic!("{other:?}"),
        }
    }
}
