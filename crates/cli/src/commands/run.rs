//! `gantry run …`: what ran.

use anyhow::Context as _;
use serde_json::json;

use crate::args::RunCommand;
use crate::context::Context;
use crate::exit::Exit;
use crate::model::{Commit, Run};
use crate::ops;
use crate::printer::Row;
use crate::text;

pub async fn run(context: &Context, command: RunCommand) -> anyhow::Result<Exit> {
    match command {
        RunCommand::List { stack, limit } => list(context, &stack, limit).await,
        RunCommand::Show { stack, run } => show(context, &stack, &run).await,
    }
}

async fn list(context: &Context, stack: &str, limit: usize) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let mut runs: Vec<Run> = Vec::new();
    while runs.len() < limit {
        let before = runs.last().map(|run| run.id.clone());
        let data = api
            .call(
                &ops::STACK_RUNS,
                json!({ "stack": stack, "before": before }),
            )
            .await?;
        let page = data
            .stack
            .with_context(|| format!("stack `{stack}` is not found"))?
            .runs;
        if page.is_empty() {
            break;
        }
        runs.extend(page);
    }
    runs.truncate(limit);
    context.printer.rows(&runs)?;
    Ok(Exit::Done)
}

async fn show(context: &Context, stack: &str, run: &str) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": stack, "run": run });
    let found = context
        .api()?
        .call(&ops::STACK_RUN, vars)
        .await?
        .stack
        .and_then(|stack| stack.run);
    let run = found.with_context(|| format!("run `{run}` of stack `{stack}` is not found"))?;
    let commit = format!("{} {}", run.commit.hash, first_line(&run.commit.message));
    let mut lines = vec![
        ("id", run.id.clone()),
        ("type", run.kind.clone()),
        ("state", state(&run)),
        ("note", run.note.clone().unwrap_or_default()),
        ("title", run.title.clone()),
        ("command", run.command.clone().unwrap_or_default()),
        ("branch", run.branch.clone().unwrap_or_default()),
        ("commit", commit.trim().to_owned()),
        ("author", author(&run.commit)),
        ("triggered by", run.triggered_by.clone().unwrap_or_default()),
        ("changes", changes(&run)),
        ("image", run.image_digest.clone().unwrap_or_default()),
        ("attempt", run.attempt.to_string()),
        ("created", text::date(run.created_at)),
    ];
    let entries = run.user_provided_metadata.iter();
    lines.extend(entries.map(|entry| ("metadata", entry.clone())));
    lines.extend(run.flags.iter().map(|flag| ("flag", flag.clone())));
    context.printer.details(&run, &lines)?;
    Ok(Exit::Done)
}

/// A silent launcher after a grant has to be seen: nobody knows how far the run is.
fn state(run: &Run) -> String {
    match run.contact_lost {
        Some(true) => format!("{} (contact with its launcher is lost)", run.state.as_str()),
        Some(false) | None => run.state.as_str().to_owned(),
    }
}

fn author(commit: &Commit) -> String {
    if commit.timestamp == 0 {
        return commit.author_name.clone();
    }
    format!("{}, {}", commit.author_name, text::date(commit.timestamp))
}

fn changes(run: &Run) -> String {
    let delta = run.delta.as_ref();
    delta
        .map(|d| format!("+{} ~{} -{}", d.add_count, d.change_count, d.delete_count))
        .unwrap_or_default()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

impl Row for Run {
    const HEADINGS: &'static [&'static str] = &[
        "ID",
        "TYPE",
        "STATE",
        "CHANGES",
        "COMMIT",
        "TRIGGERED BY",
        "CREATED",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.kind.clone(),
            self.state.as_str().to_owned(),
            changes(self),
            self.commit.hash.chars().take(8).collect(),
            self.triggered_by.clone().unwrap_or_default(),
            text::date(self.created_at),
        ]
    }
}
