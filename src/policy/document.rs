//! The input document, as `docs/POLICIES.md` has it.
//!
//! Takes facts, gives JSON; pure. Never: a secret's value: variables and files that are secret are there by name and
//! with a digest whose key lives in this process only.

use std::sync::Arc;

use gantry_protocol::crypto::random_text;
use gantry_protocol::payload::{Hooks, RunPayload, ToolKind};
use gantry_protocol::plan::PlannedChange;
use gantry_protocol::socket::Phase;
use gantry_protocol::{Digest, Secret};
use hmac::{Hmac, Mac as _};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

/// Grows when a member changes its meaning or goes; new members do not change it.
pub const INPUT_VERSION: u32 = 1;

const NANOS_PER_MILLI: i64 = 1_000_000;

/// What is known of a run's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// There is no plan yet.
    Nothing,
    /// There is one, and what it changes is not known here.
    Unknown,
    /// There is one that changes this.
    Changes(Arc<[PlannedChange]>),
}

impl Planned {
    /// A list, or null where there is none that could be looked through.
    fn shown(&self) -> Json {
        match self {
            Self::Nothing => json!([]),
            Self::Unknown => Json::Null,
            Self::Changes(changes) => changes.iter().map(PlannedChange::shown).collect(),
        }
    }
}

/// What is known about a run when its policy is asked.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The opened run.
    pub payload: &'a RunPayload,
    /// Which phase it is about to get: plan, apply, perform, destroy.
    pub phase: Phase,
    /// The image that the run gets, as it was asked for.
    pub image: &'a str,
    /// What that is.
    pub image_digest: &'a str,
    /// The worker's version.
    pub worker_version: &'a str,
    /// The worker's executable.
    pub worker_digest: Digest,
    /// What the phase is going to change.
    pub planned: &'a Planned,
    /// When it is asked, in Unix nanoseconds by this host's clock.
    pub now: i64,
}

/// Makes digests of secrets that can't be guessed from outside this process.
#[derive(Clone)]
pub(super) struct DigestKey(Secret);

impl Default for DigestKey {
    fn default() -> Self {
        Self(random_text())
    }
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestKey")
    }
}

impl DigestKey {
    /// `secret:` and 16 hex digits: equal for equal values, until the launcher ends.
    fn of(&self, secret: &Secret) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.expose().as_bytes());
        let mut mac = mac.expect("invariant: a key of any length fits");
        mac.update(secret.expose().as_bytes());
        format!("secret:{}", hex(&mac.finalize().into_bytes()[..8]))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of a run that is about to be handed to its container.
const STATE: &str = "PREPARING";

impl Facts<'_> {
    /// The document.
    pub(super) fn document(&self, key: &DigestKey) -> Json {
        let Self { payload, .. } = self;
        json!({
            "input_version": INPUT_VERSION,
            "docker_image": payload.image.as_deref().unwrap_or_default(),
            "image": { "reference": self.image, "digest": self.image_digest },
            "worker_version": self.worker_version,
            "worker_digest": self.worker_digest.to_string(),
            "phase": self.phase,
            "tool": {
                "kind": payload.tool.kind,
                "version": payload.tool.version.as_deref().unwrap_or_default(),
            },
            "commit": self.commit(),
            "request": { "timestamp_ns": self.now },
            "run": self.run(),
            "static_run_environment": self.environment(key),
            "stack": self.stack(),
        })
    }

    fn commit(&self) -> Json {
        let Self { payload, .. } = self;
        json!({
            "author": payload.commit.author,
            "branch": payload.source.branch,
            "created_at": payload.commit.created_at.map(nanos),
            "hash": payload.source.commit,
            "message": payload.commit.message,
        })
    }

    fn run(&self) -> Json {
        let Self { payload, .. } = self;
        json!({
            "id": payload.run,
            "state": STATE,
            "type": payload.run_type,
            "based_on_local_workspace": payload.source.archive.is_some(),
            "changes": self.planned.shown(),
            "commit": self.commit(),
            "created_at": nanos(payload.created_at),
            "updated_at": nanos(payload.updated_at),
            "flags": payload.flags,
            "runtime_config": {
                "before_init": payload.hooks.before_init,
                "project_root": payload.source.project_root,
                "runner_image": payload.image.as_deref().unwrap_or_default(),
                "terraform_version": payload.tool.version.as_deref().unwrap_or_default(),
            },
            "triggered_by": payload.triggered_by,
            "user_provided_metadata": payload.metadata,
        })
    }

    fn environment(&self, key: &DigestKey) -> Json {
        let Self { payload, .. } = self;
        json!({
            "account_name": payload.account_name,
            "auto_deploy": payload.autodeploy,
            "before_apply": nullable(&payload.hooks.before_apply),
            "before_init": nullable(&payload.hooks.before_init),
            "command": payload.command.as_deref().unwrap_or_default(),
            "commit_branch": payload.source.branch,
            "commit_sha": payload.source.commit,
            "endpoint_logs": "",
            "endpoint_registry": "",
            "environment_variables": variables(payload, key),
            "hooks": hooks(&payload.hooks),
            "managed_state": payload.managed_state,
            "mounted_files": files(payload, key),
            "project_root": payload.source.project_root,
            "refresh_state": true,
            "repository_path": payload.source.repository,
            "repository_url": payload.source.url,
            "run_type": payload.run_type,
            "run_ulid": payload.run,
            "skip_init": payload.skip_init,
            "stack_labels": nullable(&payload.labels),
            "stack_slug": payload.stack,
            "terraform_version": payload.tool.version.as_deref().unwrap_or_default(),
            "vendor_specific_config": {
                "vendor": "terraform",
                "typed_config": {
                    "use_terragrunt": false,
                    "use_infracost": false,
                    "workflow_tool": match payload.tool.kind {
                        ToolKind::Terraform => "TERRAFORM_FOSS",
                        ToolKind::OpenTofu => "OPEN_TOFU",
                    },
                },
            },
        })
    }

    fn stack(&self) -> Json {
        let Self { payload, .. } = self;
        json!({
            "administrative": payload.stack_facts.administrative,
            "autodeploy": payload.autodeploy,
            "branch": payload.stack_facts.branch,
            "id": payload.stack,
            "labels": payload.labels,
            "locked_by": payload.stack_facts.locked_by,
            "name": payload.stack_facts.name,
            "namespace": payload.space,
            "project_root": payload.source.project_root,
            "repository": payload.source.repository,
            "roles": [],
            // A stack is in the state of the run that holds it. Others' runs are not told to launchers.
            "state": payload.run_type.takes_stack_lock().then_some(STATE),
            "terraform_version": payload.tool.version,
        })
    }
}

fn nanos(millis: i64) -> i64 {
    millis.saturating_mul(NANOS_PER_MILLI)
}

/// As the documented sample has it: no entries are null, not an empty list.
fn nullable(list: &[String]) -> Option<&[String]> {
    (!list.is_empty()).then_some(list)
}

fn hooks(hooks: &Hooks) -> Json {
    json!({
        "before_init": hooks.before_init,
        "after_init": hooks.after_init,
        "before_plan": hooks.before_plan,
        "after_plan": hooks.after_plan,
        "before_apply": hooks.before_apply,
        "after_apply": hooks.after_apply,
        "before_perform": hooks.before_perform,
        "after_perform": hooks.after_perform,
        "before_destroy": hooks.before_destroy,
        "after_destroy": hooks.after_destroy,
        "after_run": hooks.after_run,
    })
}

fn variables(payload: &RunPayload, key: &DigestKey) -> Json {
    let variables = payload.environment.iter().map(|variable| {
        let value = match variable.secret {
            true => key.of(&variable.value),
            false => variable.value.expose().to_owned(),
        };
        (variable.name.clone(), Json::String(value))
    });
    // As for the run itself, a later entry of the same name wins.
    Json::Object(variables.collect::<Map<_, _>>())
}

fn files(payload: &RunPayload, key: &DigestKey) -> Json {
    let files = payload.files.iter().map(|file| {
        let digest = match file.secret {
            true => key.of(&file.content),
            false => content_digest(&file.content),
        };
        json!({ "path": file.path, "secret": file.secret, "digest": digest })
    });
    Json::Array(files.collect())
}

/// Of the bytes that the file will hold; content that is no base64 never becomes a file.
fn content_digest(content: &Secret) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(content.expose());
    bytes.map_or_else(
        |_| "unreadable".to_owned(),
        |bytes| format!("sha256:{}", hex(&Sha256::digest(bytes))),
    )
}
