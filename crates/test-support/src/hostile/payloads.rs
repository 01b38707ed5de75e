//! Payloads as an honest server would make them: what a test then changes.
//!
//! Takes a stack and its code, gives complete payloads. The one place that names every field.

use gantry_protocol::control::run::Lease;
use gantry_protocol::crypto::random_text;
use gantry_protocol::payload::{
    CommitFacts, Hooks, PackedWorkspace, RunPayload, Source, StackFacts, Stage, Tool, ToolKind,
    Variable,
};
use gantry_protocol::{Attempt, RunId, RunType, Secret};
use ulid::Ulid;

use super::book::Packed;
use super::wire::unix_now;
use super::world::HostileWorld;

/// Where marks are seen from inside a run.
pub(super) const MARKS: &str = "/marks";

/// A command that leaves a mark on the host: a file of that name, one line for each time.
pub(super) fn leave_mark(name: &str) -> String {
    format!("echo ran >> {MARKS}/{name}")
}

impl HostileWorld {
    /// A task of a new run that leaves the mark `NAME.task`, without the tool's init.
    pub fn task(&self, name: &str) -> RunPayload {
        RunPayload {
            run_type: RunType::Task,
            skip_init: true,
            command: Some(leave_mark(&format!("{name}.task"))),
            hooks: Hooks::default(),
            ..self.plan(name)
        }
    }

    /// A tracked run of a new stack that plans. Every hook leaves a mark: `NAME.init`, `NAME.plan`, `NAME.apply`.
    pub fn plan(&self, name: &str) -> RunPayload {
        let hook = |phase: &str| vec![leave_mark(&format!("{name}.{phase}"))];
        RunPayload {
            run: RunId::from_ulid(Ulid::generate()),
            attempt: Attempt(1),
            pool: self.hostile().keys().pool(),
            stack: name.parse().expect("a slug"),
            stack_facts: StackFacts {
                name: name.to_owned(),
                branch: "main".to_owned(),
                ..StackFacts::default()
            },
            account_name: "gantry".to_owned(),
            space: "root".to_owned(),
            run_type: RunType::Tracked,
            stage: Stage::Start,
            triggered_by: "a-person".to_owned(),
            created_at: unix_now() * 1000,
            updated_at: unix_now() * 1000,
            metadata: Vec::new(),
            flags: Vec::new(),
            labels: Vec::new(),
            source: self.source(),
            commit: CommitFacts::default(),
            image: None,
            tool: Tool {
                kind: ToolKind::Terraform,
                version: None,
            },
            autodeploy: false,
            targets: Vec::new(),
            skip_init: false,
            command: None,
            managed_state: false,
            environment: Vec::new(),
            files: Vec::new(),
            hooks: Hooks {
                before_init: hook("init"),
                before_plan: hook("plan"),
                before_apply: hook("apply"),
                ..Hooks::default()
            },
            workspace: None,
            salt: random_text(),
        }
    }

    fn source(&self) -> Source {
        Source {
            url: self.repo().url(),
            repository: "it/code".to_owned(),
            branch: "main".to_owned(),
            commit: self.commit().to_owned(),
            project_root: String::new(),
            credentials: None,
            archive: None,
        }
    }
}

/// The lease of a payload.
pub fn lease_of(payload: &RunPayload) -> Lease {
    Lease {
        run: payload.run,
        attempt: payload.attempt,
    }
}

/// The next attempt of a planned run, to apply what was packed.
pub fn apply_of(planned: &RunPayload, packed: &Packed) -> RunPayload {
    let attestation = packed.attestation.clone();
    RunPayload {
        attempt: planned.attempt.next(),
        stage: Stage::Apply,
        workspace: Some(PackedWorkspace {
            attempt: planned.attempt,
            sealed: gantry_protocol::Digest::of(&packed.sealed),
            // The launcher reads it from the attestation; what stands here must not matter.
            plan: gantry_protocol::Digest::of(b"not looked at"),
            attestation,
            changes: None,
        }),
        ..planned.clone()
    }
}

/// A secret variable.
pub fn secret(name: &str, value: &str) -> Variable {
    Variable {
        name: name.to_owned(),
        value: Secret::new(value),
        secret: true,
    }
}
