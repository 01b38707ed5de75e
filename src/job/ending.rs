//! After the container: the verdict, the packed workspace, what was left behind.

use std::io;

use gantry_protocol::control::run::{FailReason, Lease, Outcome, RunResult};
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::crypto::jws;
use gantry_protocol::ids::Digest;
use gantry_protocol::payload::Stage;
use gantry_protocol::plan::digest_of;
use gantry_protocol::signature::RunDocument;
use gantry_protocol::socket::PlanSummary;
use tracing::warn;

use super::attend::Attended;
use super::gates::OpenedRun;
use super::outcome::{Known, Verdict, verdict};
use super::standby::Recipe;
use super::{Halt, Host, Job, apply, container_of};
use crate::backoff::Backoff;
use crate::container::Class;
use crate::engine::{ContainerId, EngineError, ErrorKind};
use crate::journal::Entry;
use crate::policy::Planned;
use crate::report::Chain;
use crate::workspace::PackReport;

/// Bytes of a dead worker's own output that a message quotes.
const LAST_WORDS: usize = 2000;

/// Why a workspace could not be stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParkError {
    #[error("the worker parked the run without a plan's digests")]
    NoPlan,
    #[error("the plan file is not the one that the worker told of")]
    OtherPlan,
    #[error("the workspace could not be packed and sealed")]
    Seal(#[source] apply::SealWorkspaceError),
    #[error("the sealed workspace could not be read back")]
    Read(#[source] io::Error),
    #[error("the workspace could not be signed for")]
    Sign(#[source] jws::JwsError),
    #[error("the server does not take the sealed workspace")]
    Refused(#[source] crate::session::CallError),
}

impl Job {
    /// Turns what was seen into the result that is reported.
    pub(super) async fn conclude(
        &self,
        run: &OpenedRun,
        container: &ContainerId,
        seen: Attended,
    ) -> Result<RunResult, Halt> {
        let words = self.last_words(container, &seen).await;
        let known = Known {
            end: seen.course.end(),
            exit: &seen.exit,
            phase: seen.course.phase(),
            granted: seen.started.has_any_grant(),
            ended_by_us: seen.ended_by_us.as_ref(),
            memory: self.host.policy.limits.memory,
            last_words: &words,
        };
        self.keep_providers(run).await;
        let outcome = match verdict(&known) {
            Verdict::Report(outcome) => outcome,
            Verdict::Park => self.park_or_fail(run, &seen).await,
        };
        let outcome = self.with_errored_state(run, outcome).await;
        Ok(RunResult {
            outcome,
            plan: seen.course.plan().cloned(),
            image: Some(seen.started.image.clone()),
            worker: Some(seen.started.worker),
        })
    }

    async fn park_or_fail(&self, run: &OpenedRun, seen: &Attended) -> Outcome {
        match self.park(run, seen).await {
            Ok(attestation) => {
                self.expect_apply();
                Outcome::Parked { attestation }
            }
            Err(error) => Outcome::Failed {
                reason: FailReason::Workspace,
                message: Chain(&error).to_string(),
            },
        }
    }

    /// Packs, seals, signs and stores the workspace.
    /// A confirm may come: the apply's container would be made so.
    fn expect_apply(&self) {
        if let Some(recipe) = self.recipe.clone() {
            let class = Class::Writing;
            self.host.standbys.expect(Recipe { class, ..recipe });
        }
    }

    async fn park(&self, run: &OpenedRun, seen: &Attended) -> Result<String, ParkError> {
        let Some(PlanSummary {
            plan: Some(plan),
            rendered: Some(rendered),
            ..
        }) = seen.course.plan()
        else {
            return Err(ParkError::NoPlan);
        };
        let lease = self.entry.lease;
        let dirs = self.host.data.run(lease.run, lease.attempt);
        // The worker's word is a claim: what is signed for is what lies there.
        if apply::plan_digest(&dirs.workspace()) != Some(*plan) {
            return Err(ParkError::OtherPlan);
        }
        let sealed = apply::seal_workspace(&self.host, &dirs)
            .await
            .map_err(ParkError::Seal)?;
        let attestation = WorkspaceAttestation {
            v: 1,
            run: lease.run,
            stack: run.payload().stack.clone(),
            attempt: lease.attempt,
            sealed: sealed.digest,
            plan: *plan,
            rendered: *rendered,
            image: seen.started.image.clone(),
            worker: seen.started.worker,
            tool: seen.started.tool,
            document: self.planned_from(run),
            changes: match &seen.planned {
                Some(Planned::Changes(changes)) => digest_of(changes),
                Some(Planned::Nothing | Planned::Unknown) | None => None,
            },
        };
        let signed = jws::sign_pool(&attestation, &self.host.pool_key).map_err(ParkError::Sign)?;
        self.upload(lease, &signed, &sealed).await?;
        Ok(signed)
    }

    /// What the plan was made from, where anybody may sign for its apply: older servers and launchers refuse an
    /// attestation with more in it than they know. Of a replan nothing where the plan before it was made from something else, because
    /// its workspace is what that one left.
    fn planned_from(&self, run: &OpenedRun) -> Option<Digest> {
        if !self.host.signatures.has_keys() {
            return None;
        }
        let document = RunDocument::of(run.payload()).planned();
        let before = match run.payload().stage {
            Stage::Start | Stage::Apply => Some(document),
            Stage::Replan => self.attestation(run).ok().flatten()?.document,
        };
        before.filter(|before| *before == document)
    }

    async fn upload(
        &self,
        lease: Lease,
        attestation: &str,
        sealed: &apply::SealedWorkspace,
    ) -> Result<(), ParkError> {
        let narrator = self.shipper.narrator();
        if let Some(line) = left_out(&sealed.report) {
            narrator.say(line);
        }
        narrator.say(format!(
            "Storing the sealed workspace ({} KiB).",
            sealed.bytes.div_ceil(1024)
        ));
        let mut backoff = Backoff::default();
        loop {
            let file = tokio::fs::File::open(sealed.file.path())
                .await
                .map_err(ParkError::Read)?;
            match self
                .host
                .session
                .put_workspace(lease, attestation, file)
                .await
            {
                Ok(()) => return Ok(()),
                Err(error) if error.is_passing() => {
                    let wait = backoff.wait();
                    warn!(error = %Chain(&error), "storing the workspace; trying again");
                    tokio::time::sleep(wait).await;
                }
                Err(error) => return Err(ParkError::Refused(error)),
            }
        }
    }

    /// A state that the tool could not write is the only copy: it is stored before the directory goes.
    async fn with_errored_state(&self, run: &OpenedRun, outcome: Outcome) -> Outcome {
        let lease = self.entry.lease;
        let workspace = self.host.data.run(lease.run, lease.attempt).workspace();
        let root = &run.payload().source.project_root;
        let Some(sealed) = apply::sealed_errored_state(&self.host, &workspace, root) else {
            return outcome;
        };
        let digest = Digest::of(&sealed);
        let session = &self.host.session;
        let stored = session.put_errored_state(lease, sealed.into()).await;
        let note = match stored {
            Ok(()) => format!(
                "the tool left errored.tfstate; it is stored sealed to the pool key as {digest}"
            ),
            Err(error) => format!(
                "the tool left errored.tfstate, and it could not be stored: {}",
                Chain(&error)
            ),
        };
        self.shipper.narrator().say(note.clone());
        match outcome {
            Outcome::Failed { reason, message } => Outcome::Failed {
                reason,
                message: format!("{message}; {note}"),
            },
            other => other,
        }
    }

    /// What a worker printed that died before its last word.
    async fn last_words(&self, container: &ContainerId, seen: &Attended) -> String {
        if seen.course.end().is_some() {
            return String::new();
        }
        let words = self
            .host
            .engine
            .last_words(container, LAST_WORDS)
            .await
            .unwrap_or_default();
        String::from_utf8_lossy(&words).into_owned()
    }
}

/// The line about what the apply will not find in its workspace.
fn left_out(report: &PackReport) -> Option<String> {
    let PackReport {
        special,
        outward_links,
        skipped,
        ..
    } = report;
    let count = special + outward_links;
    let rest = match count.saturating_sub(skipped.len() as u64) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (count > 0).then(|| {
        format!(
            "Left out of the stored workspace: {outward_links} links that lead out of it and {special} sockets, pipes or devices: {}{rest}.",
            skipped.join(", ")
        )
    })
}

/// Removes a lease's container, however often it takes; one that is kept is stopped at least.
pub(super) async fn remove_container(host: &Host, entry: &Entry) {
    let name = container_of(entry);
    if host.keep_containers {
        warn!(%name, "kept for inspection (GANTRY_KEEP_CONTAINERS)");
        return;
    }
    let mut backoff = Backoff::default();
    loop {
        let removed = match host.engine.inspect_named(&name).await {
            Ok(view) => host.engine.remove(&view.id).await,
            Err(error) if is_gone(&error) => return,
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => return,
            Err(error) if error.is_transient() => {
                let wait = backoff.wait();
                warn!(error = %Chain(&error), "the container could not be removed; trying again");
                tokio::time::sleep(wait).await;
            }
            Err(error) => {
                warn!(error = %Chain(&error), %name, "the container can't be removed; remove it by hand");
                return;
            }
        }
    }
}

fn is_gone(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_told() {
        let mut report = PackReport::default();
        assert_eq!(left_out(&report), None);
        report.outward_links = 3;
        report.special = 1;
        report.skipped = vec!["a/link".into(), "pipe".into()];
        let line = left_out(&report).unwrap();
        assert!(
            line.contains("3 links") && line.contains("1 sockets"),
            "{line}"
        );
        assert!(line.ends_with("a/link, pipe and 2 more."), "{line}");
    }
}
