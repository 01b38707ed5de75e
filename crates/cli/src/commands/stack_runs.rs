//! `gantry stack deploy|preview|task|confirm|discard|retry|cancel|stop|logs`: starting, deciding, following.

use anyhow::{Context as _, bail};
use gantry_protocol::{RunState, RunType};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::args::{
    DecideArgs, DeployArgs, LogsArgs, PreviewArgs, ReviewArgs, SignedDecideArgs, SignerArgs,
    StopArgs, TaskArgs,
};
use crate::client::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::model::NewRun;
use crate::ops::{self, Op};
use crate::sign::{self, SignedRun, Wish};
use crate::tail::{AtDecision, Tail};
use crate::text;

pub async fn deploy(context: &Context, args: DeployArgs) -> anyhow::Result<Exit> {
    let kind = if args.preview {
        RunType::Proposed
    } else {
        RunType::Tracked
    };
    deployed(context, args, kind).await
}

pub async fn destroy(context: &Context, args: DeployArgs) -> anyhow::Result<Exit> {
    if args.preview {
        bail!("--preview does not go with a destroy run: it plans first, and waits");
    }
    deployed(context, args, RunType::Destroy).await
}

async fn deployed(context: &Context, args: DeployArgs, kind: RunType) -> anyhow::Result<Exit> {
    let signs = sign::wanted(context, &args.signer);
    if signs && args.auto_confirm {
        bail!(
            "--auto-confirm can't go with a signature: a confirm is signed once its plan is known (`gantry stack confirm --sign-key`)"
        );
    }
    let at_decision = match () {
        () if args.auto_confirm => AtDecision::Confirm,
        // A confirm would need a signature of its own.
        () if context.printer.can_ask() && !signs => AtDecision::Ask,
        () => AtDecision::Leave,
    };
    let tail = args.tail || args.auto_confirm;
    let start = Start {
        stack: &args.id,
        kind,
        commit: args.sha.as_deref(),
        metadata: args.run_metadata.as_deref(),
        signer: &args.signer,
        follow_to: tail.then_some(at_decision),
    };
    triggered(context, start).await
}

pub async fn preview(context: &Context, args: PreviewArgs) -> anyhow::Result<Exit> {
    let start = Start {
        stack: &args.id,
        kind: RunType::Proposed,
        commit: args.sha.as_deref(),
        metadata: args.run_metadata.as_deref(),
        signer: &args.signer,
        follow_to: args.tail.then_some(AtDecision::Leave),
    };
    triggered(context, start).await
}

/// A run that plans, as a deployment or a preview.
struct Start<'a> {
    stack: &'a str,
    kind: RunType,
    commit: Option<&'a str>,
    metadata: Option<&'a str>,
    signer: &'a SignerArgs,
    follow_to: Option<AtDecision>,
}

async fn triggered(context: &Context, start: Start<'_>) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let wish = Wish::Plan {
        stack: start.stack,
        run_type: start.kind,
        commit: start.commit,
        triggered_by: None,
    };
    let entry = entry(context, &api, &wish, start.metadata, start.signer).await?;
    // The branch may move on: what was signed is what is triggered.
    let signed = entry
        .signed
        .as_ref()
        .map(|signed| signed.document.commit.as_str());
    let vars = json!({ "stack": start.stack, "sha": signed.or(start.commit), "type": start.kind });
    let made = api.call_with(&ops::RUN_TRIGGER, vars, entry.text()).await?;
    started(
        context,
        &api,
        start.stack,
        made.run_trigger,
        start.follow_to,
    )
    .await
}

pub async fn retry(context: &Context, args: SignedDecideArgs) -> anyhow::Result<Exit> {
    let SignedDecideArgs {
        decide: args,
        signer,
    } = args;
    let api = context.api()?;
    let wish = Wish::Retry {
        stack: &args.id,
        run: &args.run,
        triggered_by: None,
    };
    let entry = entry(context, &api, &wish, args.run_metadata.as_deref(), &signer).await?;
    let vars = json!({ "stack": args.id, "run": args.run });
    let made = api.call_with(&ops::RUN_RETRY, vars, entry.text()).await?;
    let at_decision = args.tail.then_some(AtDecision::Leave);
    started(context, &api, &args.id, made.run_retry, at_decision).await
}

pub async fn review(context: &Context, args: ReviewArgs, decision: &str) -> anyhow::Result<Exit> {
    let note = args.note.unwrap_or_default();
    let vars = json!({ "stack": args.id, "run": args.run, "decision": decision, "note": note });
    let metadata = args.run_metadata.as_deref();
    let api = context.api()?;
    let made = api.call_with(&ops::RUN_REVIEW, vars, metadata).await?;
    let review = made.run_review;
    context.printer.note(&format!("reviewed, as {}", review.id));
    Ok(Exit::Done)
}

pub async fn task(context: &Context, args: TaskArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let command = text::shell_line(&args.command);
    let wish = Wish::Task {
        stack: &args.id,
        command: &command,
        skip_init: args.no_init,
        triggered_by: None,
    };
    let entry = entry(
        context,
        &api,
        &wish,
        args.run_metadata.as_deref(),
        &args.signer,
    )
    .await?;
    let vars = json!({ "stack": args.id, "command": command, "skip": args.no_init });
    let made = api.call_with(&ops::TASK_CREATE, vars, entry.text()).await?;
    let at_decision = args.tail.then_some(AtDecision::Leave);
    started(context, &api, &args.id, made.task_create, at_decision).await
}

pub async fn confirm(context: &Context, args: SignedDecideArgs) -> anyhow::Result<Exit> {
    let SignedDecideArgs { mut decide, signer } = args;
    if sign::wanted(context, &signer) {
        let api = context.api()?;
        let wish = Wish::Apply {
            stack: &decide.id,
            run: &decide.run,
        };
        let metadata = decide.run_metadata.as_deref();
        let entry = entry(context, &api, &wish, metadata, &signer).await?;
        decide.run_metadata = entry.text().map(str::to_owned);
    }
    decided(
        context,
        &decide,
        &ops::RUN_CONFIRM,
        |data| data.run_confirm,
        "confirmed",
    )
    .await
}

pub async fn discard(context: &Context, args: DecideArgs) -> anyhow::Result<Exit> {
    decided(
        context,
        &args,
        &ops::RUN_DISCARD,
        |data| data.run_discard,
        "discarded",
    )
    .await
}

pub async fn cancel(context: &Context, args: DecideArgs) -> anyhow::Result<Exit> {
    decided(
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

/// What is kept with a run: a text, or a signature.
pub(super) struct Entry {
    plain: Option<String>,
    signed: Option<SignedRun>,
}

impl Entry {
    pub(super) fn text(&self) -> Option<&str> {
        let signed = self.signed.as_ref().map(|signed| signed.entry.as_str());
        signed.or(self.plain.as_deref())
    }
}

/// Signs where somebody signs; a step of a run takes one entry.
pub(super) async fn entry(
    context: &Context,
    api: &Api,
    wish: &Wish<'_>,
    metadata: Option<&str>,
    signer: &SignerArgs,
) -> anyhow::Result<Entry> {
    if !sign::wanted(context, signer) {
        let plain = metadata.map(str::to_owned);
        return Ok(Entry {
            plain,
            signed: None,
        });
    }
    if metadata.is_some() {
        bail!("--run-metadata can't go with a signature: each step of a run takes one entry");
    }
    let signed = sign::sign(context, api, wish, signer).await?;
    context.printer.note(&sign::told(&signed));
    Ok(Entry {
        plain: None,
        signed: Some(signed),
    })
}

/// Tells about a run that was made; follows it to where it waits or ends, if asked to.
pub(super) async fn follow(
    context: &Context,
    api: &Api,
    stack: &str,
    run: NewRun,
    tail: bool,
) -> anyhow::Result<Exit> {
    let at_decision = tail.then_some(AtDecision::Leave);
    started(context, api, stack, run, at_decision).await
}

/// One decision about a run; following it goes on from there, because the plan was seen before.
async fn decided<D: DeserializeOwned>(
    context: &Context,
    args: &DecideArgs,
    op: &Op<D>,
    run: impl FnOnce(D) -> NewRun,
    what: &str,
) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": args.id, "run": args.run });
    ran(context, args, (op, vars), run, what).await
}

/// The same, with variables of its own.
pub(super) async fn ran<D: DeserializeOwned>(
    context: &Context,
    args: &DecideArgs,
    (op, vars): (&Op<D>, Value),
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
