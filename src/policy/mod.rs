//! The host's own initialization policy: what it is asked about a run, and what follows.
//!
//! Takes a file at start ([`InitPolicy::load`]) and facts about a run whose image is resolved ([`Facts`]); gives a
//! [`Verdict`]. Never: a run allowed because the policy could not answer, a secret in the document or in a sample.

mod document;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use gantry_policy::{CompileError, Limits, Policy, PolicyKind, Sample, Sandbox, User};
use tracing::warn;

pub use document::{Facts, INPUT_VERSION, Planned};
pub use gantry_policy::Verdict;

use crate::logging::Secrets;
use document::DigestKey;

/// Whom evaluations and their commands are: neither root nor the user of runs.
pub const USER: User = User {
    uid: 1984,
    gid: 1984,
};

/// Most bytes of a file that are looked at; a policy has far fewer.
const MAX_FILE: u64 = 1 << 20;

/// Why there is no policy. No text here holds a line of it.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file.
    #[error("policy `{path}` can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A directory, a pipe, a device: what may give no end of bytes, or none ever.
    #[error("policy `{path}` is not a regular file; name the file that holds the policy")]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// Not text.
    #[error("policy `{path}` is not UTF-8 text, from byte {at} on; save it as UTF-8")]
    NoText {
        /// The file.
        path: PathBuf,
        /// How many bytes before that are.
        at: usize,
    },
    /// What it says.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Its commands would be this launcher's user, who may read the pool's key.
    #[error(
        "policy `{path}` calls `exec`, which needs a launcher that runs as root: its commands have to be a user of their own"
    )]
    NoUser {
        /// The file.
        path: PathBuf,
    },
}

/// The policy of this host.
#[derive(Debug)]
pub struct InitPolicy {
    policy: Policy,
    sandbox: Sandbox,
    secrets: Secrets,
    key: DigestKey,
}

/// The policy in `path`, compiled.
///
/// # Errors
/// The file can't be read, or is none that can be a policy.
pub fn compile(path: &Path) -> Result<Policy, PolicyError> {
    let read = |source| PolicyError::Read {
        path: path.to_owned(),
        source,
    };
    // Asked before it is opened: opening a pipe waits for who writes it.
    if !std::fs::metadata(path).map_err(read)?.is_file() {
        return Err(PolicyError::NoFile {
            path: path.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read)?;
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(read)?;
    let name = path.display().to_string();
    if bytes.len() as u64 == MAX_FILE {
        let (policy, bytes) = (name, bytes.len());
        return Err(CompileError::TooLong { policy, bytes }.into());
    }
    let text = String::from_utf8(bytes).map_err(|error| PolicyError::NoText {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to(),
    })?;
    Ok(Policy::compile(PolicyKind::Initialization, &name, &text)?)
}

/// What evaluates policies on this host.
pub fn sandbox() -> Sandbox {
    Sandbox::new(USER, Limits::default())
}

impl InitPolicy {
    /// Reads and compiles the policy in `path`. It is not read again: a launcher is restarted for a new one.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn load(path: &Path, secrets: Secrets) -> Result<Self, PolicyError> {
        let policy = compile(path)?;
        let mut sandbox = sandbox();
        if policy.calls_exec() {
            if !sandbox.has_own_user() {
                return Err(PolicyError::NoUser {
                    path: path.to_owned(),
                });
            }
            sandbox = sandbox.with_exec();
        }
        Ok(Self {
            policy,
            sandbox,
            secrets,
            key: DigestKey::default(),
        })
    }

    /// The same, with evaluations in processes of another program that has the entrance of `main`.
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.sandbox = self.sandbox.with_program(program);
        self
    }

    /// The compiled policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether the run may go on. Takes up to the limits of an evaluation (5 s, with `exec` 35 s); writes the sample
    /// line where the policy wants one.
    pub async fn evaluate(&self, facts: &Facts<'_>) -> Verdict {
        let input = facts.document(&self.key);
        let result = self.sandbox.evaluate(&self.policy, &input).await;
        if let Err(error) = &result {
            warn!(run = %facts.payload.run, "{error}; the run is denied");
        }
        let verdict = Verdict::of(&result);
        let outcome = match verdict {
            Verdict::Allowed => "allow",
            Verdict::Denied { .. } => "deny",
        };
        let sample = Sample {
            index: 0,
            policy: &self.policy,
            input: &input,
            result: &result,
            outcome,
        };
        if sample.is_wanted() {
            // A log that can't be written changes no decision.
            let _ = self.secrets.write_line(&sample.line());
        }
        verdict
    }
}
