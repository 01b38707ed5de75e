//! `gantry stack local-preview`: a preview of files that were not pushed.
//!
//! Takes a directory, sends what its ignore files leave of it, starts and follows the run. Never: an apply.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::stack_runs::follow;
use crate::args::LocalPreviewArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::files_to_send::{Rules, listed, packed, repository_root};
use crate::ops;

pub async fn run(context: &Context, args: LocalPreviewArgs) -> anyhow::Result<Exit> {
    ensure!(
        args.sign_key.is_none(),
        "previews of local files can't be signed: push the commit and sign a preview of it (`gantry stack preview --sign-key`)"
    );
    if args.sign_command.is_some() || context.env.sign_key.is_some() {
        context.printer.note(
            "not signed: previews of local files can't be, and launchers that require signatures of all runs refuse them",
        );
    }
    let rules = rules(&args)?;
    let files = listed(&rules)?;
    ensure!(
        !files.is_empty(),
        "there is no file to send in `{}`",
        rules.root.join(&rules.below).display()
    );
    let api = context.api()?;
    let stack = json!({ "stack": args.id });
    let place = api.call(&ops::UPLOAD_LOCAL_WORKSPACE, stack).await?;
    let place = place.upload_local_workspace;
    let (archive, length) = packed(&rules, &files, &place.id)?;
    let kib = length.div_ceil(1024);
    let line = format!("sending {} files, {kib} KiB packed", files.len());
    context.printer.note(&line);
    api.upload(&place, archive, length).await?;
    let vars = json!({ "stack": args.id, "workspace": place.id, "overrides": overrides(&args) });
    let metadata = args.run_metadata.as_deref();
    let made = api
        .call_with(&ops::RUN_PROPOSE_LOCAL_WORKSPACE, vars, metadata)
        .await?;
    let run = made.run_propose_local_workspace;
    if args.prioritize_run {
        let vars = json!({ "stack": args.id, "run": run.id, "to": true });
        if let Err(error) = api.call(&ops::RUN_PRIORITIZE_SET, vars).await {
            context.printer.note(&format!("not moved ahead: {error}"));
        }
    }
    follow(context, &api, &args.id, run, !args.no_tail).await
}

fn rules(args: &LocalPreviewArgs) -> anyhow::Result<Rules> {
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None => ".".into(),
    };
    let directory = std::fs::canonicalize(&directory)
        .with_context(|| format!("`{}` is no directory to preview", directory.display()))?;
    let root = match args.no_find_repository_root {
        true => directory.clone(),
        false => repository_root(&directory),
    };
    let below = directory.strip_prefix(&root).unwrap_or(&directory);
    Ok(Rules {
        below: match args.project_root_only {
            true => below.to_owned(),
            false => std::path::PathBuf::new(),
        },
        root,
        gitignore: !args.disregard_gitignore,
    })
}

fn overrides(args: &LocalPreviewArgs) -> Vec<Value> {
    let plain = args.env_var_override.iter();
    let plain = plain.map(|(name, value)| (name.clone(), value.clone()));
    let prefixed = args.tf_env_var_override.iter();
    let prefixed = prefixed.map(|(name, value)| (format!("TF_{name}"), value.clone()));
    let targets: Vec<String> = args
        .target
        .iter()
        .map(|address| format!("-target={address}"))
        .collect();
    let targets = (!targets.is_empty()).then(|| ("TF_CLI_ARGS_plan".to_owned(), targets.join(" ")));
    let all = plain.chain(prefixed).chain(targets);
    all.map(|(key, value)| json!({ "key": key, "value": value }))
        .collect()
}
