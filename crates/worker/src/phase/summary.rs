//! Reads a finished plan: what it would do and what it is.
//!
//! Takes the plan file, gives counts and digests, and leaves the plan as redacted data for the launcher. Must never
//! happen here: the plan's content in the log (it holds values that the tool masks), more of it in memory than
//! `MAX_SHOWN`, or data that the tool's marks were not taken out of.

use std::io::{self, Read};
use std::path::Path;

use gantry_protocol::plan::{MAX_SHOWN, PLAN_DATA, PlanData, PlanError, Redacted};
use gantry_protocol::socket::{FailureKind, PhaseExit, PlanSummary};
use sha2::Digest as _;

use super::Room;
use crate::fault::Fault;
use crate::hash::Hash;
use crate::planner::Failure;
use crate::process::query::{QueryError, query};
use crate::report;
use crate::tool::{self, Counts, Tool, View};
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
            query(&self.processes, &mut data, move |out| look(tool, out)),
            query(&self.processes, &mut text, |out| {
                let mut hash = Hash(sha2::Sha256::new());
                io::copy(&mut out.by_ref(), &mut hash).map(|_| hash.finish())
            }),
        );
        let seen = counts.map_err(|error| unreadable(&what, &error))?;
        let seen = seen.map_err(|error| unreadable(&what, &error))?;
        let counts = seen.counts.map_err(|error| unreadable(&what, &error))?;
        self.leave_data(seen.data);
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

    /// A run without its plan as data goes on: whether that is enough is decided elsewhere.
    fn leave_data(&self, data: Result<Redacted, PlanError>) {
        let withheld = |why: String| {
            self.spool.note(&format!(
                "no plan as data leaves this container, so plan policies can't allow it: {why}"
            ));
            why
        };
        let bytes = match data {
            Ok(redacted) => [b"{\"document\":", redacted.bytes(), b"}"].concat(),
            Err(error) => {
                let withheld = PlanData::Withheld(withheld(report::chain(&error)));
                serde_json::to_vec(&withheld).expect("invariant: a text is JSON")
            }
        };
        if let Err(error) = self.spool.leave(PLAN_DATA, &bytes) {
            withheld(report::chain(&error));
        }
    }
}

/// What was read of a plan.
struct Seen {
    counts: Result<Counts, serde_json::Error>,
    data: Result<Redacted, PlanError>,
}

/// A plan that is too long for data is counted all the same.
fn look(tool: &dyn Tool, out: &mut impl Read) -> io::Result<Seen> {
    let mut kept = Vec::new();
    out.take(MAX_SHOWN + 1).read_to_end(&mut kept)?;
    Ok(Seen {
        counts: tool.count(&mut kept.as_slice().chain(&mut *out)),
        data: tool.redact(&kept),
    })
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
