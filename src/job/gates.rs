//! The first gates: envelope verified, accepted once, opened.
//!
//! [`accept`] runs when a message arrives and journals the lease; [`reopen`] runs when work on it begins,
//! which may be in a later process.

use std::sync::Arc;

use gantry_protocol::control::envelope::{self, EnvelopeError, Expected, VerifiedEnvelope};
use gantry_protocol::control::inbox::SealedRun;
use gantry_protocol::control::run::Lease;
use gantry_protocol::payload::RunPayload;

use super::Host;
use crate::journal::{Entry, JournalError};
use crate::report::Chain;

/// A payload that came in a verified envelope. Nothing else makes one.
#[derive(Debug)]
pub(crate) struct OpenedRun {
    payload: Arc<RunPayload>,
}

impl OpenedRun {
    pub(crate) fn payload(&self) -> &RunPayload {
        &self.payload
    }

    /// For what outlives a borrow.
    pub(crate) fn shared(&self) -> Arc<RunPayload> {
        Arc::clone(&self.payload)
    }
}

/// What became of a run message.
#[derive(Debug)]
pub enum Accepted {
    /// Journaled: work on it.
    New(Box<Entry>),
    /// The server signed it, but it can't be executed: tell the server why.
    Refused(Lease, String),
    /// Not validly signed, so nobody to tell: the log of this host says why.
    Dropped(EnvelopeError),
    /// It came again (the inbox delivers at least once) or it is a replay; either way nothing is executed.
    Again(Lease),
}

/// Verifies an envelope at its first arrival and journals the lease.
///
/// # Errors
/// Only when the journal can't be written: the message must not be acknowledged.
pub fn accept(host: &Host, sealed: SealedRun, now: i64) -> Result<Accepted, JournalError> {
    let verified = match verify(host, &sealed, Some(now)) {
        Ok(verified) => verified,
        Err(error) => return Ok(refusal(error)),
    };
    let claims = verified.claims();
    let lease = Lease {
        run: claims.run,
        attempt: claims.attempt,
    };
    let entry = Entry::accepted(lease, sealed, claims.exp);
    match host.journal.accept(&entry) {
        Ok(()) => Ok(Accepted::New(Box::new(entry))),
        Err(JournalError::Replay(lease)) => Ok(Accepted::Again(lease)),
        Err(error) => Err(error),
    }
}

/// Opens the payload of a journaled lease; expiry was checked when it was accepted.
pub(crate) fn reopen(host: &Host, entry: &Entry) -> Result<OpenedRun, String> {
    let opened = verify(host, &entry.sealed, None).and_then(|run| run.open(&host.pool_key));
    match opened {
        Ok(payload) => Ok(OpenedRun {
            payload: Arc::new(payload),
        }),
        Err(error) => Err(Chain(&error).to_string()),
    }
}

fn verify(
    host: &Host,
    sealed: &SealedRun,
    now: Option<i64>,
) -> Result<VerifiedEnvelope, EnvelopeError> {
    let expected = Expected {
        server_keys: &host.server_keys,
        pool: host.session.pool(),
        launcher: host.session.launcher(),
        now,
    };
    envelope::verify(sealed, &expected)
}

/// Whom to tell: only what the server signed names a run that can be believed.
fn refusal(error: EnvelopeError) -> Accepted {
    match error.lease() {
        Some((run, attempt)) => {
            Accepted::Refused(Lease { run, attempt }, Chain(&error).to_string())
        }
        None => Accepted::Dropped(error),
    }
}
