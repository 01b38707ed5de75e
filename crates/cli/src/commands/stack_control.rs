//! `gantry stack promote|replan|prioritize|lock|enable|sync-commit|delete|drift …`: a stack's and a run's place.

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::stack_runs::{entry, follow, ran};
use crate::args::{
    DecideArgs, DeleteArgs, DriftArgs, LockArgs, ReplanArgs, RunOf, SetCommitArgs, StackIdArg,
};
use crate::context::Context;
use crate::exit::Exit;
use crate::model::OnlyId;
use crate::ops::{self, Op};
use crate::sign::Wish;
use crate::text;

pub async fn promote(context: &Context, args: DecideArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let vars = json!({ "stack": args.id, "run": args.run });
    let metadata = args.run_metadata.as_deref();
    let made = api.call_with(&ops::RUN_PROMOTE, vars, metadata).await?;
    follow(context, &api, &args.id, made.run_promote, args.tail).await
}

pub async fn replan(context: &Context, args: ReplanArgs) -> anyhow::Result<Exit> {
    let wish = Wish::Replan {
        stack: &args.id,
        run: &args.run,
        targets: &args.resources,
    };
    let api = context.api()?;
    let metadata = args.run_metadata.as_deref();
    let entry = entry(context, &api, &wish, metadata, &args.signer).await?;
    let run_metadata = entry.text().map(str::to_owned);
    let vars = json!({ "stack": args.id, "run": args.run, "targets": args.resources });
    let decide = DecideArgs {
        id: args.id,
        run: args.run,
        run_metadata,
        tail: args.tail,
    };
    let op = &ops::RUN_TARGETED_REPLAN;
    ran(
        context,
        &decide,
        (op, vars),
        |data| data.run_targeted_replan,
        "plans again",
    )
    .await
}

pub async fn prioritize(context: &Context, args: RunOf, to: bool) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": args.id, "run": args.run, "to": to });
    let word = if to { "moved ahead" } else { "moved back" };
    let done = |data: crate::model::RunPrioritizeSet| data.run_prioritize_set;
    told(context, &ops::RUN_PRIORITIZE_SET, vars, done, word).await
}

pub async fn lock(context: &Context, args: LockArgs) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": args.id, "note": args.note });
    told(
        context,
        &ops::STACK_LOCK,
        vars,
        |data| data.stack_lock,
        "locked",
    )
    .await
}

pub async fn unlock(context: &Context, args: StackIdArg) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": args.id });
    told(
        context,
        &ops::STACK_UNLOCK,
        vars,
        |data| data.stack_unlock,
        "unlocked",
    )
    .await
}

pub async fn enable(context: &Context, args: StackIdArg) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": args.id });
    told(
        context,
        &ops::STACK_ENABLE,
        vars,
        |data| data.stack_enable,
        "enabled",
    )
    .await
}

pub async fn disable(context: &Context, args: StackIdArg) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": args.id });
    told(
        context,
        &ops::STACK_DISABLE,
        vars,
        |data| data.stack_disable,
        "disabled",
    )
    .await
}

pub async fn sync_commit(context: &Context, args: StackIdArg) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": args.id });
    let done = |data: crate::model::StackSyncCommit| data.stack_sync_commit;
    told(
        context,
        &ops::STACK_SYNC_COMMIT,
        vars,
        done,
        "follows its branch again",
    )
    .await
}

pub async fn set_commit(context: &Context, args: SetCommitArgs) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": args.id, "sha": args.sha });
    let done = |data: crate::model::StackSetCurrentCommit| data.stack_set_current_commit;
    let word = "deploys this commit next";
    told(context, &ops::STACK_SET_CURRENT_COMMIT, vars, done, word).await
}

pub async fn delete(context: &Context, args: DeleteArgs) -> anyhow::Result<Exit> {
    let what = match args.destroy_resources {
        true => "destroy what it manages and delete it",
        false => "delete it and leave what it manages",
    };
    if !args.skip_confirmation {
        if !context.printer.can_ask() {
            bail!("nobody can be asked here: --skip-confirmation deletes without asking");
        }
        let question = format!("Stack {}: {what}?", args.id);
        let answer = context.printer.ask(&format!("{question} (y)es:"))?;
        if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(Exit::Done);
        }
    }
    let vars = json!({ "stack": args.id, "destroy": args.destroy_resources });
    let word = match args.destroy_resources {
        true => "goes when its destroy run has finished",
        false => "deleted",
    };
    let done = |data: crate::model::StackDelete| data.stack_delete;
    told(context, &ops::STACK_DELETE, vars, done, word).await
}

pub async fn drift(context: &Context, args: DriftArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    if args.off {
        let vars = json!({ "stack": args.id });
        let off = api.call(&ops::DRIFT_OFF, vars).await?;
        off.stack_drift_detection_delete
            .with_context(|| format!("stack `{}` has no drift detection", args.id))?;
        context
            .printer
            .note(&format!("{} is not looked at any more", args.id));
        return Ok(Exit::Done);
    }
    let input = json!({ "schedule": args.schedule, "timezone": args.timezone,
        "reconcile": args.reconcile });
    let vars = json!({ "stack": args.id, "input": input });
    let set = api.call(&ops::DRIFT_SET, vars).await?;
    let next = set.stack_drift_detection_set;
    let lines = [
        ("schedule", next.schedule.join("; ")),
        ("time zone", next.timezone.clone()),
        ("reconcile", next.reconcile.to_string()),
        ("next", text::date(next.next_schedule)),
    ];
    context.printer.details(&next, &lines)?;
    Ok(Exit::Done)
}

async fn told<D: DeserializeOwned>(
    context: &Context,
    op: &Op<D>,
    vars: Value,
    done: impl FnOnce(D) -> OnlyId,
    word: &str,
) -> anyhow::Result<Exit> {
    let done = done(context.api()?.call(op, vars).await?);
    context.printer.note(&format!("{} {word}", done.id));
    Ok(Exit::Done)
}
