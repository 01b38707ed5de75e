//! The run envelope: a signature by the server around a payload sealed to the pool.
//!
//! Gate order, by type: [`SealedRun`] → [`verify`] → [`VerifiedEnvelope`] → [`VerifiedEnvelope::open`] →
//! [`RunPayload`]. The signature is checked first, every bound field next, and only then is anything
//! decrypted. The caller checks replay with its journal before it opens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::inbox::SealedRun;
use crate::crypto::{EdKey, EdPublic, JwsError, PoolKey, PoolPublic, SealError, Signed, jws, seal};
use crate::ids::{Attempt, Digest, LauncherId, PoolId, RunId};
use crate::payload::{RunPayload, Stage};

/// Version of the envelope and of the payload in it.
pub const VERSION: u32 = 1;

/// Largest payload in bytes, after opening.
pub const MAX_PAYLOAD: usize = 48 << 20;

/// Clocks of server and launcher may differ by this much, in seconds.
pub const CLOCK_ALLOWANCE: i64 = 120;

/// What the server signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeClaims {
    /// [`VERSION`].
    pub v: u32,
    /// The run.
    pub run: RunId,
    /// The lease's attempt.
    pub attempt: Attempt,
    /// The pool that may open it.
    pub pool: PoolId,
    /// The one launcher that may execute it.
    pub launcher: LauncherId,
    /// Which part of the run.
    pub stage: Stage,
    /// Issued at, Unix seconds.
    pub iat: i64,
    /// First acceptance no later than this, Unix seconds.
    pub exp: i64,
    /// SHA-256 of the sealed payload.
    pub sealed: Digest,
}

impl Signed for EnvelopeClaims {
    const TYP: &'static str = "gantry-run+jws";
}

/// Why an envelope is refused.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not signed by the server of our token.
    #[error("the run envelope is not validly signed by the server named in the pool token")]
    Signature(#[source] JwsError),
    /// Another version.
    #[error(
        "run {run}: the envelope has version {found}, this launcher reads version {VERSION}; upgrade the launcher"
    )]
    Version {
        /// The run.
        run: RunId,
        /// Its attempt.
        attempt: Attempt,
        /// Found version.
        found: u32,
    },
    /// For another pool or launcher.
    #[error("run {run}: the envelope is for {what} {found}, this is {ours}")]
    Addressee {
        /// The run.
        run: RunId,
        /// Its attempt.
        attempt: Attempt,
        /// `pool` or `launcher`.
        what: &'static str,
        /// Found id.
        found: String,
        /// Our id.
        ours: String,
    },
    /// Too old.
    #[error("run {run}: the envelope expired {seconds} s ago; check the clocks of server and host")]
    Expired {
        /// The run.
        run: RunId,
        /// Its attempt.
        attempt: Attempt,
        /// How long ago.
        seconds: i64,
    },
    /// From the future.
    #[error(
        "run {run}: the envelope was issued {seconds} s in the future; check the clocks of server and host"
    )]
    Future {
        /// The run.
        run: RunId,
        /// Its attempt.
        attempt: Attempt,
        /// How far.
        seconds: i64,
    },
    /// The sealed payload is not the one that was signed for.
    #[error("run {run}: the sealed payload is not the one that the envelope was signed for")]
    Swapped {
        /// The run.
        run: RunId,
        /// Its attempt.
        attempt: Attempt,
    },
    /// It can't be opened with our key.
    #[error("run {run}: the payload can't be opened with this pool's private key")]
    Sealed {
        /// The run.
        run: RunId,
        /// Its attempt.
        attempt: Attempt,
        /// Why.
        source: SealError,
    },
    /// The content is not a payload that we understand whole.
    #[error(
        "run {run}: the payload has fields that this launcher does not understand; upgrade the launcher"
    )]
    Payload {
        /// The run.
        run: RunId,
        /// Its attempt.
        attempt: Attempt,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// Payload and envelope name different things.
    #[error("run {run}: payload and envelope disagree about the {field}")]
    Disagree {
        /// The run.
        run: RunId,
        /// Its attempt.
        attempt: Attempt,
        /// About what.
        field: &'static str,
    },
}

impl EnvelopeError {
    /// The run that a validly signed envelope named; `None` when the signature is not valid.
    pub fn lease(&self) -> Option<(RunId, Attempt)> {
        match self {
            Self::Signature(_) => None,
            Self::Version { run, attempt, .. }
            | Self::Addressee { run, attempt, .. }
            | Self::Expired { run, attempt, .. }
            | Self::Future { run, attempt, .. }
            | Self::Swapped { run, attempt }
            | Self::Sealed { run, attempt, .. }
            | Self::Payload { run, attempt, .. }
            | Self::Disagree { run, attempt, .. } => Some((*run, *attempt)),
        }
    }
}

/// Whom an envelope has to be for, and when it is looked at.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// Trusted server keys (from the pool token).
    pub server_keys: &'a [EdPublic],
    /// Our pool.
    pub pool: PoolId,
    /// Ourselves.
    pub launcher: LauncherId,
    /// Now, Unix seconds; `None` when the envelope was accepted before (adoption after a restart).
    pub now: Option<i64>,
}

/// An envelope whose signature and addressee were checked; nothing is decrypted yet.
#[derive(Debug)]
pub struct VerifiedEnvelope {
    claims: EnvelopeClaims,
    sealed: Vec<u8>,
}

/// Seals and signs one lease.
///
/// # Errors
/// [`EnvelopeError::Sealed`] or [`EnvelopeError::Signature`] when a key can't be used.
pub fn issue(
    payload: &RunPayload,
    launcher: LauncherId,
    times: (i64, i64),
    pool: &PoolPublic,
    key: &EdKey,
) -> Result<SealedRun, EnvelopeError> {
    let (run, attempt) = (payload.run, payload.attempt);
    let plain = serde_json::to_vec(payload).map_err(|source| EnvelopeError::Payload {
        run,
        attempt,
        source,
    })?;
    let sealed = seal::seal(pool, &plain).map_err(|source| EnvelopeError::Sealed {
        run,
        attempt,
        source,
    })?;
    let claims = EnvelopeClaims {
        v: VERSION,
        run,
        attempt: payload.attempt,
        pool: payload.pool,
        launcher,
        stage: payload.stage,
        iat: times.0,
        exp: times.1,
        sealed: Digest::of(&sealed),
    };
    let envelope = jws::sign_ed(&claims, key).map_err(EnvelopeError::Signature)?;
    Ok(SealedRun {
        envelope,
        sealed: STANDARD.encode(sealed),
    })
}

/// First gate: signature, version, addressee, time, digest. Decrypts nothing.
///
/// # Errors
/// See [`EnvelopeError`].
pub fn verify(
    arrived: &SealedRun,
    expected: &Expected<'_>,
) -> Result<VerifiedEnvelope, EnvelopeError> {
    let claims: EnvelopeClaims = jws::verify_ed(&arrived.envelope, expected.server_keys)
        .map_err(EnvelopeError::Signature)?;
    let (run, attempt) = (claims.run, claims.attempt);
    if claims.v != VERSION {
        return Err(EnvelopeError::Version {
            run,
            attempt,
            found: claims.v,
        });
    }
    let addressed = |what, found: String, ours: String| {
        let wrong = EnvelopeError::Addressee {
            run,
            attempt,
            what,
            found: found.clone(),
            ours: ours.clone(),
        };
        if found == ours { Ok(()) } else { Err(wrong) }
    };
    addressed("pool", claims.pool.to_string(), expected.pool.to_string())?;
    addressed(
        "launcher",
        claims.launcher.to_string(),
        expected.launcher.to_string(),
    )?;
    if let Some(now) = expected.now {
        check_time(&claims, now)?;
    }
    let swapped = |_| EnvelopeError::Swapped { run, attempt };
    let sealed = STANDARD.decode(&arrived.sealed).map_err(swapped)?;
    if Digest::of(&sealed) != claims.sealed {
        return Err(EnvelopeError::Swapped { run, attempt });
    }
    Ok(VerifiedEnvelope { claims, sealed })
}

fn check_time(claims: &EnvelopeClaims, now: i64) -> Result<(), EnvelopeError> {
    let (run, attempt) = (claims.run, claims.attempt);
    let late = now.saturating_sub(claims.exp);
    if late > CLOCK_ALLOWANCE {
        return Err(EnvelopeError::Expired {
            run,
            attempt,
            seconds: late,
        });
    }
    let early = claims.iat.saturating_sub(now);
    if early > CLOCK_ALLOWANCE {
        return Err(EnvelopeError::Future {
            run,
            attempt,
            seconds: early,
        });
    }
    Ok(())
}

impl VerifiedEnvelope {
    /// What the server signed.
    pub fn claims(&self) -> &EnvelopeClaims {
        &self.claims
    }

    /// Second gate: decrypts, and checks that payload and envelope speak of the same lease.
    ///
    /// # Errors
    /// See [`EnvelopeError`].
    pub fn open(&self, key: &PoolKey) -> Result<RunPayload, EnvelopeError> {
        let (run, attempt) = (self.claims.run, self.claims.attempt);
        let plain =
            seal::open(key, &self.sealed, MAX_PAYLOAD).map_err(|source| EnvelopeError::Sealed {
                run,
                attempt,
                source,
            })?;
        let payload: RunPayload =
            serde_json::from_slice(&plain).map_err(|source| EnvelopeError::Payload {
                run,
                attempt,
                source,
            })?;
        let disagree = |field| EnvelopeError::Disagree {
            run,
            attempt,
            field,
        };
        let same = [
            (payload.run == run, "run"),
            (payload.attempt == self.claims.attempt, "attempt"),
            (payload.pool == self.claims.pool, "pool"),
            (payload.stage == self.claims.stage, "stage"),
        ];
        match same.into_iter().find(|(equal, _)| !equal) {
            Some((_, field)) => Err(disagree(field)),
            None => Ok(payload),
        }
    }
}
