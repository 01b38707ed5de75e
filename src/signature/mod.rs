//! Whether a lease carries a signature that lets it happen on this host.
//!
//! Takes the host's trusted keys and what the launcher is about to do, gives the rights of a lease. Never: a private
//! key, a lease let through because something could not be read, a grant that nobody signed for where signatures
//! are required.
//!
//! The verdict itself is `gantry_protocol::signature`; here are the files: keys (`GANTRY_RUN_TRUST_JWKS`) and the
//! ledger of what was used.

mod ledger;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use gantry_protocol::control::run::Lease;
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::payload::RunPayload;
use gantry_protocol::signature::{
    Audience, Checked, Expected, Requirement, SignatureRefusal, SignedPhase, TrustError,
    TrustedKeys, examine, required,
};
use gantry_protocol::{Digest, LauncherId};
use tracing::info;

use ledger::{Ledger, Shown};
pub use ledger::{LedgerError, UseError};

/// Longest file of keys, in bytes: a hundred of the longest fit.
const LONGEST_SET: u64 = 1 << 20;

/// What the host's owner asks of runs.
#[derive(Clone, Debug, Default)]
pub struct SignatureSettings {
    /// JWK set of those who may sign.
    pub jwks: Option<PathBuf>,
    /// Which leases need a signature.
    pub requirement: Requirement,
    /// The one name that signatures have to be made out to.
    pub audience: Option<String>,
}

/// Checks the signatures of leases.
#[derive(Debug)]
pub struct Signatures {
    trust: Option<TrustedKeys>,
    requirement: Requirement,
    audience: Option<String>,
    ledger: Ledger,
}

/// Why signatures can't be checked, so that the launcher does not start.
#[derive(Debug, thiserror::Error)]
pub enum SignatureSetupError {
    /// The file of keys can't be read.
    #[error("GANTRY_RUN_TRUST_JWKS: `{}` can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of keys is longer than any set of keys.
    #[error("GANTRY_RUN_TRUST_JWKS: `{}` has more than {LONGEST_SET} bytes", path.display())]
    Long {
        /// The file.
        path: PathBuf,
    },
    /// The file of keys is not acceptable.
    #[error("GANTRY_RUN_TRUST_JWKS: `{}` can't be used", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TrustError,
    },
    /// Signatures are asked for, and nobody is trusted.
    #[error("GANTRY_REQUIRE_SIGNATURE needs GANTRY_RUN_TRUST_JWKS, the keys that may sign")]
    NoKeys,
    /// The list of used signatures.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Why a lease is not let through, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum NotSigned {
    /// Its signature is missing or does not fit.
    #[error(transparent)]
    Signature(#[from] SignatureRefusal),
    /// Its signature was used.
    #[error(transparent)]
    Used(#[from] UseError),
    /// Nobody signed for a change of the world.
    #[error("nobody signed for a change of the world in this lease: it is signed for `{0}` only")]
    NoGrant(SignedPhase),
}

/// What a lease is about to do, and when.
#[derive(Clone, Copy, Debug)]
pub struct Admission<'a> {
    /// The opened payload.
    pub payload: &'a RunPayload,
    /// Of an apply: the verified attestation of its plan.
    pub plan: Option<&'a WorkspaceAttestation>,
    /// Digest of the envelope that brought it.
    pub envelope: Digest,
    /// Whether it is about to begin; else its container got the run's order before, and goes on.
    pub begins: bool,
    /// This launcher.
    pub launcher: LauncherId,
    /// Unix seconds.
    pub now: i64,
}

/// What a lease may do. Nothing but [`Signatures::admit`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    phase: SignedPhase,
    grants: bool,
    signed: Option<(Shown, String)>,
}

impl Rights {
    /// The name of the key that signed, if anybody did.
    pub fn signer(&self) -> Option<&str> {
        self.signed.as_ref().map(|(_, kid)| kid.as_str())
    }

    /// What the lease is signed for, or would have to be.
    pub fn phase(&self) -> SignedPhase {
        self.phase
    }
}

impl Signatures {
    /// Reads the keys: before anything else of the host is touched.
    ///
    /// # Errors
    /// [`SignatureSetupError`]: the launcher must not start.
    pub fn trusted(
        settings: &SignatureSettings,
    ) -> Result<Option<TrustedKeys>, SignatureSetupError> {
        let trust = settings.jwks.as_deref().map(trusted).transpose()?;
        if trust.is_none() && settings.requirement != Requirement::Off {
            return Err(SignatureSetupError::NoKeys);
        }
        Ok(trust)
    }

    /// Opens the ledger in the data directory, which this process has to itself.
    ///
    /// # Errors
    /// [`SignatureSetupError`]: the launcher must not start.
    pub fn open(
        settings: &SignatureSettings,
        trust: Option<TrustedKeys>,
        data: &Path,
    ) -> Result<Self, SignatureSetupError> {
        Ok(Self {
            trust,
            requirement: settings.requirement,
            audience: settings.audience.clone(),
            ledger: Ledger::open(data)?,
        })
    }

    /// Whether anybody is trusted to sign.
    pub fn has_keys(&self) -> bool {
        self.trust.is_some()
    }

    /// Checks a lease's signature and binds it to the run, durably. With keys and no requirement a signature that
    /// is there must still be good. The same lease again, after a restart, gets the same answer.
    ///
    /// # Errors
    /// [`NotSigned`]: nothing of the run may happen here.
    pub fn admit(&self, admission: &Admission<'_>) -> Result<Rights, NotSigned> {
        let payload = admission.payload;
        let phase = SignedPhase::of(payload.run_type, payload.stage, payload.autodeploy);
        let unsigned = Rights {
            phase,
            grants: self.requirement == Requirement::Off,
            signed: None,
        };
        let Some(trust) = &self.trust else {
            return Ok(unsigned);
        };
        let audience = match &self.audience {
            Some(name) => Audience::Only(name.clone()),
            None => Audience::of(&admission.launcher.to_string(), payload.pool),
        };
        let expected = Expected::new(payload, admission.plan, audience)?;
        let Some(checked) = examine(trust, &expected, &payload.metadata)? else {
            required(self.requirement, phase, &payload.metadata)?;
            return Ok(unsigned);
        };
        if self.requirement != Requirement::All {
            expected.planned_alike()?;
        }
        let shown = self.bound(&checked, admission)?;
        info!(key = %checked.kid, %phase, "the run's signature is good");
        Ok(Rights {
            phase,
            grants: phase.changes() || self.requirement == Requirement::Off,
            signed: Some((shown, checked.kid)),
        })
    }

    /// Whether the lease may be granted a phase that changes the world: asked before the server is.
    ///
    /// # Errors
    /// [`NotSigned::NoGrant`].
    pub fn may_change(&self, rights: &Rights) -> Result<(), NotSigned> {
        match rights.grants {
            true => Ok(()),
            false => Err(NotSigned::NoGrant(rights.phase)),
        }
    }

    /// The lease is granted a phase that changes the world: written down, durably, before the worker hears it.
    ///
    /// # Errors
    /// [`NotSigned`]: the worker must not hear it.
    pub fn spend(&self, rights: &Rights) -> Result<(), NotSigned> {
        self.may_change(rights)?;
        match &rights.signed {
            Some((shown, _)) => Ok(self.ledger.spend(shown)?),
            None => Ok(()),
        }
    }

    fn bound(&self, checked: &Checked, admission: &Admission<'_>) -> Result<Shown, NotSigned> {
        let payload = admission.payload;
        let lease = Lease {
            run: payload.run,
            attempt: payload.attempt,
        };
        let claims = &checked.claims;
        let then = self.ledger.shown_at(&claims.jti, lease, admission.envelope);
        checked.in_time(then.unwrap_or(admission.now))?;
        let shown = Shown {
            nonce: claims.jti.clone(),
            lease,
            envelope: admission.envelope,
            phase: claims.phase,
            ends: claims.exp,
        };
        match admission.begins {
            true => self.ledger.show(&shown, admission.now)?,
            false => self.ledger.show_again(&shown, admission.now)?,
        }
        Ok(shown)
    }
}

/// The keys of a file, each told: the owner sees who may sign.
fn trusted(path: &Path) -> Result<TrustedKeys, SignatureSetupError> {
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(LONGEST_SET + 1).read_to_string(&mut text));
    let read = read.map_err(|source| SignatureSetupError::Read {
        path: path.to_owned(),
        source,
    })?;
    if read as u64 > LONGEST_SET {
        return Err(SignatureSetupError::Long {
            path: path.to_owned(),
        });
    }
    let keys = TrustedKeys::parse(&text).map_err(|source| SignatureSetupError::Trust {
        path: path.to_owned(),
        source,
    })?;
    for (kid, key) in keys.iter() {
        info!(%kid, algorithm = %key.algorithm(), thumbprint = %key.thumbprint(), "a key that may sign runs (GANTRY_RUN_TRUST_JWKS)");
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
