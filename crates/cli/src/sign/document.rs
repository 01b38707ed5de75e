//! What the server says it would run, checked against what was asked for.
//!
//! Takes a wish, gives the subject of a signature. Never: a document of another stack, commit, command or run.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use gantry_protocol::RunType;
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::crypto::{PoolPublic, jws};
use gantry_protocol::payload::Stage;
use gantry_protocol::signature::{Fields, RunDocument, SignedPhase};
use serde_json::json;

use super::read;
use crate::client::Api;
use crate::model::{ApplyDocument, Signable};
use crate::ops;

/// What is to be signed.
#[derive(Clone, Copy, Debug)]
pub enum Wish<'a> {
    /// A run that plans.
    Plan {
        stack: &'a str,
        run_type: RunType,
        commit: Option<&'a str>,
        triggered_by: Option<&'a str>,
    },
    /// One command.
    Task {
        stack: &'a str,
        command: &'a str,
        skip_init: bool,
        triggered_by: Option<&'a str>,
    },
    /// The apply of a run that waits for its confirm.
    Apply { stack: &'a str, run: &'a str },
    /// Another plan of such a run, of some addresses only.
    Replan {
        stack: &'a str,
        run: &'a str,
        targets: &'a [String],
    },
    /// Another run like one that ended without success.
    Retry {
        stack: &'a str,
        run: &'a str,
        triggered_by: Option<&'a str>,
    },
}

/// What a signature will be over.
#[derive(Debug)]
pub struct Subject {
    pub document: RunDocument,
    stage: Stage,
    plan: Option<Attested>,
}

/// What the launcher that planned signed.
#[derive(Debug)]
struct Attested {
    attestation: WorkspaceAttestation,
    /// Whether the pool's certificate proves it; the launcher that applies proves it anyway.
    proven: bool,
}

impl Wish<'_> {
    pub fn stack(&self) -> &str {
        match self {
            Self::Plan { stack, .. }
            | Self::Task { stack, .. }
            | Self::Apply { stack, .. }
            | Self::Replan { stack, .. }
            | Self::Retry { stack, .. } => stack,
        }
    }

    /// Which part of the run it is about.
    fn stage(&self) -> Stage {
        match self {
            Self::Apply { .. } => Stage::Apply,
            Self::Replan { .. } => Stage::Replan,
            Self::Plan { .. } | Self::Task { .. } | Self::Retry { .. } => Stage::Start,
        }
    }
}

impl Subject {
    /// Asks the server, and believes only an answer to what was asked.
    pub async fn fetch(
        api: &Api,
        wish: &Wish<'_>,
        certificate: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let signable = signable(api, wish).await?;
        let document: RunDocument = serde_json::from_str(&signable.json)
            .context("the server describes the run in a way that this program does not know")?;
        ensure!(
            document.v == 1,
            "the server's document has version {}, this program signs version 1",
            document.v
        );
        let plan = match (wish, &signable.attestation) {
            (Wish::Apply { run, .. }, Some(text)) => {
                Some(attested(text, run, &document, certificate)?)
            }
            (Wish::Apply { run, .. }, None) => {
                bail!("run `{run}` has no attested plan to sign for")
            }
            _ => None,
        };
        let subject = Self {
            document,
            stage: wish.stage(),
            plan,
        };
        subject.fits(wish)?;
        let phase = subject.phase();
        ensure!(
            signable.phase == phase.as_str(),
            "the server takes the run for `{}`, this program for `{phase}`",
            signable.phase
        );
        Ok(subject)
    }

    /// The phase that this is.
    pub fn phase(&self) -> SignedPhase {
        SignedPhase::of(self.document.run_type, self.stage, self.document.autodeploy)
    }

    /// What the signature states.
    pub fn fields(&self) -> Fields {
        match &self.plan {
            Some(plan) => self.document.apply_fields(&plan.attestation),
            None => self.document.fields(),
        }
    }

    /// The plan as people read it.
    pub fn plan_lines(&self) -> Vec<String> {
        let Some(Attested {
            attestation: plan,
            proven,
        }) = &self.plan
        else {
            return Vec::new();
        };
        let word = match proven {
            true => "attested by the pool's key",
            false => {
                "not checked here (--pool-certificate does); the launcher that applies checks it"
            }
        };
        let from = match plan.document == Some(self.document.planned()) {
            true => "what stands above",
            false => {
                "OTHER settings than stand above, or it is not known: launchers that let plans happen unsigned refuse the apply"
            }
        };
        vec![
            format!("  planned from        {from}"),
            format!("  run                 {}", plan.run),
            format!("  plan                {} ({word})", plan.plan),
            format!("  rendered plan       {}", plan.rendered),
            format!("  packed workspace    {}", plan.sealed),
            format!("  image that planned  {}", plan.image),
        ]
    }

    fn fits(&self, wish: &Wish<'_>) -> anyhow::Result<()> {
        let document = &self.document;
        let same = |what: &str, found: &str, asked: &str| {
            ensure!(
                found == asked,
                "the server describes a run of {what} `{found}`, and `{asked}` was asked for"
            );
            Ok(())
        };
        same("stack", document.stack.as_str(), wish.stack())?;
        // Whatever was asked for, it is about a commit.
        ensure!(
            document.archive.is_none(),
            "the server describes a run of uploaded files in place of the commit's: such runs can't be signed"
        );
        match *wish {
            Wish::Plan {
                run_type,
                commit,
                triggered_by,
                ..
            } => {
                self.whole()?;
                same("type", document.run_type.as_str(), run_type.as_str())?;
                if let Some(commit) = commit {
                    same("commit", &document.commit, &commit.to_ascii_lowercase())?;
                }
                same(
                    "trigger",
                    &document.triggered_by,
                    triggered_by.unwrap_or(&document.triggered_by),
                )
            }
            Wish::Task {
                command,
                skip_init,
                triggered_by,
                ..
            } => {
                self.whole()?;
                same("type", document.run_type.as_str(), RunType::Task.as_str())?;
                same(
                    "command",
                    document.command.as_deref().unwrap_or(""),
                    command,
                )?;
                ensure!(
                    document.skip_init == skip_init,
                    "the server describes a task with another choice of the tool's init"
                );
                same(
                    "trigger",
                    &document.triggered_by,
                    triggered_by.unwrap_or(&document.triggered_by),
                )
            }
            Wish::Apply { .. } => Ok(()),
            Wish::Replan { targets, .. } => {
                ensure!(
                    document.targets == targets,
                    "the server describes a run of the addresses `{}`, and `{}` was asked for",
                    addresses(&document.targets),
                    addresses(targets)
                );
                Ok(())
            }
            Wish::Retry { triggered_by, .. } => same(
                "trigger",
                &document.triggered_by,
                triggered_by.unwrap_or(&document.triggered_by),
            ),
        }
    }

    /// Nobody asked for a part of the plan.
    fn whole(&self) -> anyhow::Result<()> {
        let targets = &self.document.targets;
        ensure!(
            targets.is_empty(),
            "the server describes a run of the addresses `{}` only, and all of it was asked for",
            addresses(targets)
        );
        Ok(())
    }
}

/// Addresses for a sentence in which the whole stands between back quotes.
fn addresses(targets: &[String]) -> String {
    targets.join("`, `")
}

async fn signable(api: &Api, wish: &Wish<'_>) -> anyhow::Result<Signable> {
    match *wish {
        Wish::Plan {
            stack,
            run_type,
            commit,
            triggered_by,
        } => {
            let vars =
                json!({ "stack": stack, "type": run_type, "sha": commit, "by": triggered_by });
            Ok(api.call(&ops::RUN_DOCUMENT, vars).await?.run_document)
        }
        Wish::Task {
            stack,
            command,
            skip_init,
            triggered_by,
        } => {
            let vars = json!({ "stack": stack, "command": command, "skip": skip_init, "by": triggered_by });
            Ok(api.call(&ops::TASK_DOCUMENT, vars).await?.run_document)
        }
        Wish::Apply { stack, run } => {
            let vars = json!({ "stack": stack, "run": run });
            let found = api.call(&ops::APPLY_DOCUMENT, vars).await?;
            of_run(found, stack, run)
        }
        Wish::Replan {
            stack,
            run,
            targets,
        } => {
            let vars = json!({ "stack": stack, "run": run, "targets": targets });
            let found = api.call(&ops::REPLAN_DOCUMENT, vars).await?;
            of_run(found, stack, run)
        }
        Wish::Retry {
            stack,
            run,
            triggered_by,
        } => {
            let vars = json!({ "stack": stack, "run": run, "by": triggered_by });
            let found = api.call(&ops::RETRY_DOCUMENT, vars).await?;
            of_run(found, stack, run)
        }
    }
}

fn of_run(found: ApplyDocument, stack: &str, run: &str) -> anyhow::Result<Signable> {
    let found = found.stack.and_then(|stack| stack.run);
    let run = found.with_context(|| format!("run `{run}` of stack `{stack}` is not found"))?;
    Ok(run.document)
}

fn attested(
    text: &str,
    run: &str,
    document: &RunDocument,
    certificate: Option<&Path>,
) -> anyhow::Result<Attested> {
    let (attestation, proven): (WorkspaceAttestation, bool) = match certificate {
        Some(path) => {
            let key = PoolPublic::from_certificate_pem(&read(path, "the pool's certificate")?)
                .with_context(|| format!("`{}` is not a pool's certificate", path.display()))?;
            let proven = jws::verify_pool(text, &key);
            (
                proven.context(
                    "the plan is not attested by the key of this pool: do not confirm it",
                )?,
                true,
            )
        }
        None => (
            // Whoever applies looks at its signature.
            jws::unproven(text).context("the attestation of the plan can't be read")?,
            false,
        ),
    };
    ensure!(
        attestation.run.to_string() == run && attestation.stack == document.stack,
        "the server gave the plan of run {} of stack `{}`, and run `{run}` was asked for",
        attestation.run,
        attestation.stack
    );
    Ok(Attested {
        attestation,
        proven,
    })
}
