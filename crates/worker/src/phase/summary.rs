//! Reads a finished plan: what it would do and what it is.
//!
//! Takes the plan file, gives counts and digests. Must never happen here: the plan's content in the log
//! (it holds values that the tool masks), or the whole plan in memory.

use std::io::Read as _;
use std::path::Path;

use gantry_protocol::socket::{FailureKind, PhaseExit, PlanSummary};
use sha2::Digest as _;

use super::Room;
use crate::fault::Fault;
use crate::hash::Hash;
use crate::planner::Failure;
use crate::process::query::{QueryError, query};
use crate::report;
use crate::tool::{self, View};
use crate::workspace;

impl Room {
    /// The summary of the plan in `plan`, which the tool said has `changes` or not.
    pub(super) async fn summarize(
        &self,
        tool_file: &Path,
        plan: &Path,
        directory: &Path,
        changes: bool,
    ) -> Result<PlanSummary, Fault> {
        let what = format!("{} show", self.tool.program());
        let digest = workspace::digest(plan).await.map_err(|error| {
            Fault::not_started(&what, FailureKind::Workspace, report::chain(&error))
        })?;
        let show = |view| {
            let leave_out = self.tool.distractions();
            let mut command = tool::command(tool_file, &self.env, directory, &leave_out);
            command.args(self.tool.show(plan, view));
            command
        };
        let tool = self.tool;
        let (mut data, mut text) = (show(View::Data), show(View::Text));
        let (counts, rendered) = tokio::join!(
            query(&self.processes, &mut data, move |out| tool.count(out)),
            query(&self.processes, &mut text, |out| {
                let mut hash = Hash(sha2::Sha256::new());
                std::io::copy(&mut out.by_ref(), &mut hash).map(|_| hash.finish())
            }),
        );
        let counts = counts.map_err(|error| unreadable(&what, &error))?;
        let counts = counts.map_err(|error| unreadable(&what, &error))?;
        let rendered = rendered.map_err(|error| unreadable(&what, &error))?;
        let rendered = rendered.map_err(|error| unreadable(&what, &error))?;
        Ok(PlanSummary {
            has_changes: changes || counts.any(),
            add: counts.add,
            change: counts.change,
            delete: counts.delete,
            plan: Some(digest),
            rendered: Some(rendered),
        })
    }
}

fn unreadable(what: &str, error: &(dyn std::error::Error + 'static)) -> Fault {
    let message = format!(
        "the plan can't be read, `{what}` failed: {}",
        report::chain(error)
    );
    let exit = match error.downcast_ref::<QueryError>() {
        Some(QueryError::Failed { exit, .. }) => Fault::ended(what.to_owned(), *exit, None).exit,
        _ => PhaseExit::NotStarted {
            what: what.to_owned(),
            reason: report::chain(error),
        },
    };
    Fault {
        exit,
        line: Some(message.clone()),
        failure: Failure {
            kind: FailureKind::Tool,
            message,
        },
    }
}
