//! `gantry stack deploy|task|confirm|discard|cancel|stop|logs`: starting, deciding, following.

use anyhow::Context as _;
use gantry_protocol::{RunState, RunType};
use serde_json::json;

use crate::args::{DecideArgs, DeployArgs, LogsArgs, StopArgs, TaskArgs};
use crate::client::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::model::NewRun;
use crate::ops;
use crate::tail::{AtDecision, Tail};
use crate::text;

pub async fn deploy(context: &Context, args: DeployArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let kind = if args.preview {
        RunType::Proposed
    } else {
        RunType::Tracked
    };
    let vars = json!({ "stack": args.id, "sha": args.sha, "type": kind });
    let made = api
        .call_with(&ops::RUN_TRIGGER, vars, args.run_metadata.as_deref())
        .await?;
    let at_decision = match () {
        () if args.auto_confirm => AtDecision::Confirm,
        () if context.printer.can_ask() => AtDecision::Ask,
        () => AtDecision::Leave,
    };
    let tail = args.tail || args.auto_confirm;
    started(
        context,
        &api,
        &args.id,
        made.run_trigger,
        tail.then_some(at_decision),
    )
    .await
}

pub async fn task(context: &Context, args: TaskArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let command = text::shell_line(&args.command);
    let vars = json!({ "stack": args.id, "command": command, "skip": args.no_init });
    let made = api
        .call_with(&ops::TASK_CREATE, vars, args.run_metadata.as_deref())
        .await?;
    let at_decision = args.tail.then_some(AtDecision::Leave);
    started(context, &api, &args.id, made.task_create, at_decision).await
}

pub async fn confirm(context: &Context, args: DecideArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let data = api
        .call_with(
            &ops::RUN_CONFIRM,
            which(&args),
            args.run_metadata.as_deref(),
        )
        .await?;
    decided(context, &api, &args, data.run_confirm, "confirmed").await
}

pub async fn discard(context: &Context, args: DecideArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let data = api
        .call_with(
            &ops::RUN_DISCARD,
            which(&args),
            args.run_metadata.as_deref(),
        )
        .await?;
    decided(context, &api, &args, data.run_discard, "discarded").await
}

pub async fn cancel(context: &Context, args: DecideArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let data = api
        .call_with(&ops::RUN_CANCEL, which(&args), args.run_metadata.as_deref())
        .await?;
    decided(context, &api, &args, data.run_cancel, "canceled").await
}

pub async fn stop(context: &Context, args: StopArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let vars = json!({ "stack": args.id, "run": args.run, "note": args.note });
    let run = api.call(&ops::RUN_STOP, vars).await?.run_stop;
    let done = DecideArgs {
        id: args.id,
        run: args.run,
        run_metadata: None,
        tail: args.tail,
    };
    decided(context, &api, &done, run, "asked to stop").await
}

pub async fn logs(context: &Context, args: LogsArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let phase = args
        .phase
        .as_deref()
        .map(|name| name.to_ascii_uppercase().parse::<RunState>());
    let phase = phase
        .transpose()
        .context("--phase takes a state such as PLANNING")?;
    let run = match args.which.run {
        Some(run) => run,
        None => latest(&api, &args.id).await?,
    };
    let tail = Tail {
        api: &api,
        printer: &context.printer,
        stack: &args.id,
        run: &run,
        at_decision: AtDecision::Wait,
        phase,
    };
    if args.tail {
        return tail.follow().await;
    }
    tail.print_known().await?;
    Ok(Exit::Done)
}

async fn latest(api: &Api, stack: &str) -> anyhow::Result<String> {
    let data = api
        .call(&ops::STACK_RUNS, json!({ "stack": stack, "before": null }))
        .await?;
    let stack_data = data
        .stack
        .with_context(|| format!("stack `{stack}` is not found"))?;
    let newest = stack_data.runs.into_iter().next();
    Ok(newest
        .with_context(|| format!("stack `{stack}` has no run yet"))?
        .id)
}

fn which(args: &DecideArgs) -> serde_json::Value {
    json!({ "stack": args.id, "run": args.run })
}

async fn decided(
    context: &Context,
    api: &Api,
    args: &DecideArgs,
    run: NewRun,
    what: &str,
) -> anyhow::Result<Exit> {
    context.printer.note(&format!("{what} {}", run.id));
    if args.tail {
        return follow(context, api, &args.id, &run.id, AtDecision::Leave).await;
    }
    if context.printer.json() {
        context.printer.json_line(&run)?;
    }
    Ok(Exit::Done)
}

/// Tells about a new run; follows it when asked to.
async fn started(
    context: &Context,
    api: &Api,
    stack: &str,
    run: NewRun,
    follow_to: Option<AtDecision>,
) -> anyhow::Result<Exit> {
    match follow_to {
        Some(at_decision) => {
            context.printer.note(&format!("started {}", run.id));
            follow(context, api, stack, &run.id, at_decision).await
        }
        None if context.printer.json() => {
            context.printer.json_line(&run)?;
            Ok(Exit::Done)
        }
        None => {
            context.printer.data(format!("{}\n", run.id).as_bytes())?;
            Ok(Exit::Done)
        }
    }
}

async fn follow(
    context: &Context,
    api: &Api,
    stack: &str,
    run: &str,
    at_decision: AtDecision,
) -> anyhow::Result<Exit> {
    let printer = &context.printer;
    Tail {
        api,
        printer,
        stack,
        run,
        at_decision,
        phase: None,
    }
    .follow()
    .await
}
