//! `gantry stack changes`, `resources`, `outputs`: what plans change and what states hold.

use anyhow::Context as _;
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::model::{Change, Entity, Output};
use crate::ops;
use crate::printer::Row;

pub async fn outputs(context: &Context, id: &str) -> anyhow::Result<Exit> {
    let stack = context
        .api()?
        .call(&ops::STACK_OUTPUTS, json!({ "stack": id }))
        .await?
        .stack;
    let stack = stack.with_context(|| format!("stack `{id}` is not found"))?;
    context.printer.rows(&stack.outputs)?;
    Ok(Exit::Done)
}

pub async fn changes(context: &Context, id: &str, run: &str) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": id, "run": run });
    let stack = context.api()?.call(&ops::RUN_CHANGES, vars).await?.stack;
    let stack = stack.with_context(|| format!("stack `{id}` is not found"))?;
    let found = stack.run;
    let found = found.with_context(|| format!("run `{run}` of stack `{id}` is not found"))?;
    let phases = found.changes.into_iter();
    let changes: Vec<Change> = phases.flat_map(|phase| phase.resources).collect();
    context.printer.rows(&changes)?;
    Ok(Exit::Done)
}

pub async fn resources(context: &Context, id: &str) -> anyhow::Result<Exit> {
    let vars = json!({ "stack": id });
    let stack = context.api()?.call(&ops::STACK_ENTITIES, vars).await?.stack;
    let stack = stack.with_context(|| format!("stack `{id}` is not found"))?;
    context.printer.rows(&stack.entities)?;
    Ok(Exit::Done)
}

impl Row for Output {
    const HEADINGS: &'static [&'static str] = &["NAME", "VALUE"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.value.clone()]
    }
}

impl Row for Change {
    const HEADINGS: &'static [&'static str] = &["CHANGE", "ADDRESS", "BEFORE"];

    fn cells(&self) -> Vec<String> {
        let before = self.previous_address.clone().unwrap_or_default();
        vec![self.metadata.r#type.clone(), self.address.clone(), before]
    }
}

impl Row for Entity {
    const HEADINGS: &'static [&'static str] = &["ADDRESS", "TYPE", "MODULE"];

    fn cells(&self) -> Vec<String> {
        let address = self.address.clone().unwrap_or_else(|| self.name.clone());
        vec![
            address,
            self.r#type.clone(),
            self.parent.clone().unwrap_or_default(),
        ]
    }
}
