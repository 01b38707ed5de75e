//! `gantry stack deploy|preview|task|confirm|discard|retry|cancel|stop|logs`: starting, deciding, following.

use anyhow::Context as _;
use gantry_protocol::{RunState, RunType};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::args::{DecideArgs, DeployArgs, LogsArgs, PreviewArgs, StopArgs, TaskArgs};
use crate::client::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::model::NewRun;
use crate::ops::{self, Op};
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

pub async fn preview(context: &Context, args: PreviewArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let vars = json!({ "stack": args.id, "sha": args.sha, "type": RunType::Proposed });
    let made = api
        .call_with(&ops::RUN_TRIGGER, vars, args.run_metadata.as_deref())
        .await?;
    let at_decision = args.tail.then_some(AtDecision::Leave);
    started(context, &api, &args.id, made.run_trigger, at_decision).await
}

pub async fn retry(context: &Context, args: DecideArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let vars = json!({ "stack": args.id, "run": args.run });
    let made = api
        .call_with(&ops::RUN_RETRY, vars, args.run_metadata.as_deref())
        .await?;
    let at_decision = args.tail.then_some(AtDecision::Leave);
    started(context, &api, &args.id, made.run_retry, at_decision).await
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
    decide(
        context,
        &args,
        &ops::RUN_CONFIRM,
        |data| data.run_confirm,
        "confirmed",
    )
    .await
}

pub async fn discard(context: &Context, args: DecideArgs) -> anyhow::Result<Exit> {
    decide(
        context,
        &args,
        &ops::RUN_DISCARD,
        |data| data.run_discard,
        "discarded",
    )
    .await
}

pub async fn cancel(context: &Context, args: DecideArgs) -> anyhow::Result<Exit> {
    decide(
        context,
        &args,
        &ops::RUN_CANCEL,
        |data| data.run_cancel,
        "canceled",
    )
    .await
}

pub async fn stop(context: &Context, args: StopArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let vars = json!({ "stack": args.id, "run": args.run, "note": args.note });
    let metadata = args.run_metadata.as_deref();
    let run = api
        .call_with(&ops::RUN_STOP, vars, metadata)
        .await?
        .run_stop;
    context.printer.note(&format!("asked to stop {}", run.id));
    if args.tail {
        let tail = tail(context, &api, &args.id, &run.id, AtDecision::Leave);
        return tail.follow().await;
    }
    only_told(context, &run)
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
        phase,
        ..tail(context, &api, &args.id, &run, AtDecision::Wait)
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

/// One decision about a run; following it goes on from there, because the plan was seen before.
async fn decide<D: DeserializeOwned>(
    context: &Context,
    args: &DecideArgs,
    op: &Op<D>,
    run: impl FnOnce(D) -> NewRun,
    what: &str,
) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let tail = tail(context, &api, &args.id, &args.run, AtDecision::Leave);
    let known = if args.tail {
        tail.newest().await?
    } else {
        None
    };
    let vars = json!({ "stack": args.id, "run": args.run });
    let run = run(api
        .call_with(op, vars, args.run_metadata.as_deref())
        .await?);
    context.printer.note(&format!("{what} {}", run.id));
    if args.tail {
        return Tail { known, ..tail }.follow().await;
    }
    only_told(context, &run)
}

fn only_told(context: &Context, run: &NewRun) -> anyhow::Result<Exit> {
    if context.printer.json() {
        context.printer.json_line(run)?;
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
            tail(context, api, stack, &run.id, at_decision)
                .follow()
                .await
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

fn tail<'a>(
    context: &'a Context,
    api: &'a Api,
    stack: &'a str,
    run: &'a str,
    at_decision: AtDecision,
) -> Tail<'a> {
    Tail {
        api,
        printer: &context.printer,
        stack,
        run,
        at_decision,
        phase: None,
        known: None,
    }
}
