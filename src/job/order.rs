//! Payload → what the worker is told: a pure reduction.
//!
//! Never: the repository's credentials, a secret of the host that its owner did not hand over, anything that the worker does not need.

use gantry_protocol::payload::RunPayload;
use gantry_protocol::socket::{Handed, WorkOrder};

use super::tool_choice::tool_from;
use crate::tool::NotExact;

/// A project root that does not stay below the checkout.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the stack's project root `{0}` is not a plain path below the repository; correct it in the stack's settings"
)]
pub(super) struct BadProjectRoot(String);

/// A payload that no order can be made of.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum BadOrder {
    #[error(transparent)]
    ProjectRoot(#[from] BadProjectRoot),
    #[error(transparent)]
    Tool(#[from] NotExact),
}

/// What the host adds to every order.
#[derive(Debug, Clone)]
pub struct HostOrder {
    /// Variables of the launcher that runs get.
    pub handed: Vec<Handed>,
    /// Write each command into the log.
    pub trace_commands: bool,
    /// Log bytes kept per run.
    pub spool_budget: u64,
}

/// The worker's order for a payload; `brought` says whether the host mounts the tool.
///
/// # Errors
/// [`BadOrder`].
pub(super) fn work_order(
    payload: &RunPayload,
    host: &HostOrder,
    brought: bool,
) -> Result<WorkOrder, BadOrder> {
    Ok(WorkOrder {
        run: payload.run,
        stack: payload.stack.clone(),
        run_type: payload.run_type,
        stage: payload.stage,
        tool: payload.tool.kind,
        tool_from: tool_from(&payload.tool, brought)?,
        project_root: project_root(&payload.source.project_root)?,
        autodeploy: payload.autodeploy,
        targets: payload.targets.clone(),
        skip_init: payload.skip_init,
        command: payload.command.clone(),
        managed_state: payload.managed_state,
        environment: payload.environment.clone(),
        handed: handed(payload, host),
        trace_commands: host.trace_commands,
        hooks: payload.hooks.clone(),
        spool_budget: host.spool_budget,
    })
}

/// Programs differ in which writing of a proxy variable they read, so a stack that sets one has set both.
fn handed(payload: &RunPayload, host: &HostOrder) -> Vec<Handed> {
    let own = |name: &str| {
        let mut set = payload.environment.iter();
        set.any(|variable| variable.name.eq_ignore_ascii_case(name))
    };
    let proxy = |name: &str| name.to_ascii_lowercase().ends_with("_proxy");
    let all = host.handed.iter();
    all.filter(|one| !(proxy(&one.name) && own(&one.name)))
        .cloned()
        .collect()
}

fn project_root(text: &str) -> Result<String, BadProjectRoot> {
    let bad = || BadProjectRoot(text.chars().take(200).collect());
    let trimmed = text.trim_end_matches('/').trim_start_matches("./");
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let fine = trimmed.is_empty()
        || trimmed == "."
        || (trimmed.split('/').all(plain) && !trimmed.contains('\0'));
    match fine {
        true if trimmed == "." => Ok(String::new()),
        true => Ok(trimmed.to_owned()),
        false => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_root_stays_below_the_checkout() {
        for (text, root) in [
            ("", ""),
            (".", ""),
            ("./a", "a"),
            ("a/b/", "a/b"),
            ("a.b", "a.b"),
        ] {
            assert_eq!(project_root(text).as_deref(), Ok(root), "{text}");
        }
        for text in ["..", "a/../b", "/etc", "a//b", "a/./b", "a\0b"] {
            assert!(project_root(text).is_err(), "{text:?}");
        }
    }
}
