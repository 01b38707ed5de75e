//! The complete run as a launcher will execute it, in the form in which people read and sign it.
//!
//! Takes a payload, gives a document without its secrets, and the fields that a signature states. Never: a part
//! of the payload left out by accident (both functions name every member, so a new one does not compile), or a
//! value of a variable or file in a form that can be guessed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::canonical;
use crate::control::workspace::WorkspaceAttestation;
use crate::ids::{Digest, PoolId, RunId, StackId};
use crate::payload::{
    Hooks, MountedFile, RunPayload, Source, Tool, ToolKind, UploadedArchive, Variable,
};
use crate::run::RunType;
use crate::secret::Secret;

/// The variable whose value is the run's id, which nobody knows when a run is signed for.
const RUN_ID: &str = "TF_VAR_spacelift_run_id";

/// What stands for a value that is the run's own id.
const THE_RUN: &str = "the run's id";

/// Longest value that a signature states as it is, in bytes of canonical JSON; longer ones are stated by digest.
const VERBATIM: usize = 80;

/// A run, complete. What is not in it: the run's id and attempt (bound at the signature's first use), the host's
/// credentials for fetching the commit, and what only policies see: metadata (it carries the signature), times,
/// flags, facts about the stack, and what the commit's author wrote about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunDocument {
    /// Version of this document: 1.
    pub v: u32,
    /// The pool whose launchers may execute it.
    pub pool: PoolId,
    /// The stack.
    pub stack: StackId,
    /// Its space.
    pub space: String,
    /// What the run is for.
    pub run_type: RunType,
    /// Who triggers it, as the run will say.
    pub triggered_by: String,
    /// The stack's labels.
    pub labels: Vec<String>,
    /// Clone URL.
    pub url: String,
    /// The name people use, such as `owner/repo`.
    pub repository: String,
    /// The branch that holds the commit.
    pub branch: String,
    /// Full commit hash.
    pub commit: String,
    /// Directory of the code below the checkout.
    pub project_root: String,
    /// SHA-256 of the files that a person uploaded in place of the commit's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Digest>,
    /// Addresses that the plan is limited to; empty is all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Runner image; `None` is the launcher's default.
    pub image: Option<String>,
    /// Which tool.
    pub tool: ToolKind,
    /// Its version; `None` is what the image holds.
    pub tool_version: Option<String>,
    /// Whether a plan with changes may ask for its apply at once.
    pub autodeploy: bool,
    /// Task only: leave the tool's init out.
    pub skip_init: bool,
    /// Task only: the command.
    pub command: Option<String>,
    /// Whether the server keeps the tool's state.
    pub managed_state: bool,
    /// Environment, in the order in which it is set.
    pub environment: Vec<StatedVariable>,
    /// Files laid below `/mnt/workspace`.
    pub files: Vec<StatedFile>,
    /// Commands around the phases.
    pub hooks: Hooks,
}

/// One environment variable, its value by salted digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatedVariable {
    /// Name.
    pub name: String,
    /// `hmac-sha256:…`, or `the run's id`.
    pub value: String,
    /// Whether logs mask the value.
    pub secret: bool,
}

/// One file, its content by salted digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatedFile {
    /// Path relative to `/mnt/workspace`.
    pub path: String,
    /// `hmac-sha256:…`.
    pub content: String,
    /// Whether logs mask the content.
    pub secret: bool,
}

/// What a signature says about each part of a run: its value where that is short, else `{"sha256": …}` over its
/// canonical JSON. No value is an object by itself, so one can't stand for the other.
pub type Fields = BTreeMap<String, Value>;

impl RunDocument {
    /// The document of a payload.
    pub fn of(payload: &RunPayload) -> Self {
        let RunPayload {
            run,
            attempt: _,
            pool,
            stack,
            stack_facts: _,
            account_name: _,
            space,
            run_type,
            stage: _,
            triggered_by,
            created_at: _,
            updated_at: _,
            metadata: _,
            flags: _,
            labels,
            source,
            commit: _,
            image,
            tool,
            autodeploy,
            targets,
            skip_init,
            command,
            managed_state,
            environment,
            files,
            hooks,
            workspace: _,
            salt,
        } = payload;
        let Source {
            url,
            repository,
            branch,
            commit,
            project_root,
            credentials: _,
            archive,
        } = source;
        let Tool { kind, version } = tool;
        let environment = environment.iter();
        let files = files.iter();
        Self {
            v: 1,
            pool: *pool,
            stack: stack.clone(),
            space: space.clone(),
            run_type: *run_type,
            triggered_by: triggered_by.clone(),
            labels: labels.clone(),
            url: url.clone(),
            repository: repository.clone(),
            branch: branch.clone(),
            commit: commit.clone(),
            project_root: project_root.clone(),
            archive: archive.map(|UploadedArchive { digest, bytes: _ }| digest),
            targets: targets.clone(),
            image: image.clone(),
            tool: *kind,
            tool_version: version.clone(),
            autodeploy: *autodeploy,
            skip_init: *skip_init,
            command: command.clone(),
            managed_state: *managed_state,
            environment: environment.map(|one| variable(one, *run, salt)).collect(),
            files: files.map(|one| file(one, salt)).collect(),
            hooks: hooks.clone(),
        }
    }

    /// What a signature for a phase other than an apply states.
    pub fn fields(&self) -> Fields {
        let Self {
            v,
            pool,
            stack,
            space,
            run_type,
            triggered_by,
            labels,
            url,
            repository,
            branch,
            commit,
            project_root,
            archive,
            targets,
            image,
            tool,
            tool_version,
            autodeploy,
            skip_init,
            command,
            managed_state,
            environment,
            files,
            hooks,
        } = self;
        let all = json!({
            "v": v, "pool": pool, "stack": stack, "space": space, "run_type": run_type,
            "triggered_by": triggered_by, "labels": labels, "url": url, "repository": repository,
            "branch": branch, "commit": commit, "project_root": project_root, "image": image,
            "tool": tool, "tool_version": tool_version, "autodeploy": autodeploy,
            "skip_init": skip_init, "command": command, "managed_state": managed_state,
            "environment": environment, "files": files,
        });
        let mut fields = stated(all);
        // Stated only where there is something to state, so that what older programs sign stays whole.
        if let Some(archive) = archive {
            fields.insert("archive".to_owned(), short(json!(archive)));
        }
        if !targets.is_empty() {
            fields.insert("targets".to_owned(), short(json!(targets)));
        }
        for (list, commands) in members(canonical::value_of(hooks)) {
            fields.insert(format!("hooks.{list}"), short(commands));
        }
        fields
    }

    /// Digest of all that is executed up to a plan. What only says how far it goes is no part of it: whether it may go on
    /// by itself (a server that parks a plan has a person decide), and which addresses it is limited to.
    pub fn planned(&self) -> Digest {
        let mut fields = self.fields();
        fields.remove("autodeploy");
        fields.remove("targets");
        Digest::of(&canonical::bytes_of(&fields))
    }

    /// What a signature for an apply states: the run, and of the plan what the packing launcher attested.
    pub fn apply_fields(&self, plan: &WorkspaceAttestation) -> Fields {
        // Attested, and pinned by the digest of the workspace: its attempt, worker and tool. The document is compared
        // with this one by whoever needs it; the changes are those of the plan that is stated.
        let WorkspaceAttestation {
            v: _,
            run,
            stack: _,
            attempt: _,
            sealed,
            plan,
            rendered,
            image,
            worker: _,
            tool: _,
            document: _,
            changes: _,
        } = plan;
        let mut fields = self.fields();
        let planned = json!({
            "run": run, "plan": plan, "rendered": rendered,
            "workspace": sealed, "planned_image": image,
        });
        fields.append(&mut stated(planned));
        fields
    }
}

fn variable(variable: &Variable, run: RunId, salt: &Secret) -> StatedVariable {
    let Variable {
        name,
        value,
        secret,
    } = variable;
    let own_id = name == RUN_ID && value.expose() == run.to_string();
    StatedVariable {
        name: name.clone(),
        value: match own_id {
            true => THE_RUN.to_owned(),
            false => salted(salt, "variable", name, value),
        },
        secret: *secret,
    }
}

fn file(file: &MountedFile, salt: &Secret) -> StatedFile {
    let MountedFile {
        path,
        content,
        secret,
    } = file;
    StatedFile {
        path: path.clone(),
        content: salted(salt, "file", path, content),
        secret: *secret,
    }
}

/// HMAC-SHA256 of kind, name and value under the stack's salt: equal values of two variables look different.
fn salted(salt: &Secret, kind: &str, name: &str, value: &Secret) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.expose().as_bytes())
        .expect("invariant: a key of any length is taken");
    for part in [kind, name, value.expose()] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let digest = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("hmac-sha256:{digest}")
}

fn stated(all: Value) -> Fields {
    let members = members(all).into_iter();
    members.map(|(name, value)| (name, short(value))).collect()
}

fn members(value: Value) -> BTreeMap<String, Value> {
    match value {
        Value::Object(members) => members.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

/// The value itself where it is short, else its digest.
fn short(value: Value) -> Value {
    let bytes = canonical::bytes(&value);
    if bytes.len() <= VERBATIM {
        return value;
    }
    json!({ "sha256": URL_SAFE_NO_PAD.encode(Sha256::digest(bytes)) })
}
