//! One lease, driven from its journal entry to its reported and cleared end, whichever process began it.
//!
//! Takes a journaled lease. Gives an error only when this launcher can't go on. Never: a directory removed before its
//! content was told or stored, an end told that is not in the journal.

use std::sync::Arc;

use gantry_protocol::control::run::{FailReason, Gate, Outcome, RunResult};
use tokio::time::Instant;
use tracing::{Instrument, error, info, info_span, warn};

use super::secrets::RunSecrets;
use super::standby::Ticket;
use super::{Fault, Halt, Host, Job, Stop, StopReason, container_of, ending, gates, outcome};
use crate::journal::{Entry, Progress};
use crate::metrics::Ended;
use crate::report::Chain;
use crate::session::CallError;
use crate::ship::{Shipper, Store};
use crate::telemetry::LeaseTrace;

/// Brings a lease to its end. Gives an error only when this launcher can't go on.
///
/// # Errors
/// [`Fault`]: the lease stays in the journal for the next process.
pub async fn run(host: Arc<Host>, entry: Entry, stop: Stop) -> Result<(), Fault> {
    let lease = entry.lease;
    let span = info_span!("run", run = %lease.run, attempt = %lease.attempt);
    drive(host, entry, stop).instrument(span).await
}

async fn drive(host: Arc<Host>, mut entry: Entry, stop: Stop) -> Result<(), Fault> {
    let (mut _ticket, since) = (None, Instant::now());
    let trace = host.traces.lease(entry.lease, host.session.pool());
    let ended = match entry.progress.clone() {
        Progress::Ended { result } => Ok(*result),
        Progress::Accepted | Progress::Started(_) => {
            let worked = work(&host, entry, stop, trace.clone()).await;
            // The container counts until it is removed.
            (entry, _ticket) = (worked.entry, worked.ticket);
            worked.ended
        }
    };
    match ended {
        Ok(result) => {
            let outcome = counted(&result.outcome);
            host.metrics.run_ended(outcome, since.elapsed());
            if let Some(image) = &result.image {
                trace.set("gantry.image", image);
            }
            host.traces.ended(&trace, outcome.name(), outcome.is_fine());
            report(&host, entry, result).await
        }
        Err(Halt::Lost(why)) => {
            host.metrics.run_ended(Ended::Lost, since.elapsed());
            host.traces.ended(&trace, Ended::Lost.name(), false);
            warn!(error = %Chain(&why), "the lease is no longer ours; nothing is reported");
            clear(&host, &entry).await
        }
        Err(Halt::Fault(fault)) => Err(fault),
        Err(Halt::Refused(..) | Halt::Away(..) | Halt::Stopped(_)) => {
            unreachable!("invariant: work turns refusals and stops into results")
        }
    }
}

/// A lease that came to its end, with what is still held for it.
struct Worked {
    entry: Entry,
    ticket: Option<Ticket>,
    ended: Result<RunResult, Halt>,
}

/// Opens the payload and goes through gates, container and end.
async fn work(host: &Arc<Host>, entry: Entry, stop: Stop, trace: LeaseTrace) -> Worked {
    let opened = match gates::reopen(host, &entry) {
        Ok(opened) => opened,
        Err(message) => {
            let gate = Gate::Envelope;
            return Worked {
                entry,
                ticket: None,
                ended: Ok(plain(Outcome::Refused { gate, message })),
            };
        }
    };
    trace.set("gantry.stack", &opened.payload().stack.to_string());
    let secrets = RunSecrets::of(opened.payload(), &host.hidden);
    let _hidden = host.secrets.hide(secrets.values());
    let records = host.output.as_ref();
    let records = records.map(|output| output.run(entry.lease.run, &opened.payload().stack));
    let store = Store {
        session: host.session.clone(),
        lease: entry.lease,
        records,
        metrics: host.metrics.clone(),
    };
    let mask = secrets.mask();
    let shipper = Shipper::start(store, mask.clone());
    if let (Progress::Accepted, Some(warning)) = (&entry.progress, secrets.warning()) {
        shipper.narrator().say(warning);
    }
    let mut job = Job {
        host: host.clone(),
        entry,
        stop,
        shipper,
        mask,
        ticket: None,
        recipe: None,
        rights: None,
        trace,
    };
    let ended = match job.entry.progress.clone() {
        Progress::Started(started) => job.adopt(opened, started).await,
        Progress::Accepted | Progress::Ended { .. } => job.begin(opened).await,
    };
    let Job {
        entry,
        shipper,
        ticket,
        ..
    } = job;
    let ended = match result_of(&entry, ended) {
        Ok(result) => shipped(shipper, result).await,
        Err(halt) => {
            shipper.abandon();
            Err(halt)
        }
    };
    Worked {
        entry,
        ticket,
        ended,
    }
}

/// The result, once the log is stored.
async fn shipped(shipper: Shipper, result: RunResult) -> Result<RunResult, Halt> {
    shipper.narrator().say(closing_line(&result.outcome));
    match shipper.finish().await {
        Ok(()) => Ok(result),
        Err(error) if error.is_lost_lease() => Err(Halt::Lost(error)),
        Err(error) => {
            // The result matters more than the rest of the log.
            error!(error = %Chain(&error), "the server does not take the rest of the log");
            Ok(result)
        }
    }
}

/// What is reported, or why nothing is.
fn result_of(entry: &Entry, ended: Result<RunResult, Halt>) -> Result<RunResult, Halt> {
    match ended {
        Ok(result) => Ok(result),
        Err(Halt::Refused(gate, message) | Halt::Away(gate, message)) => {
            Ok(plain(refusal(entry, gate, message)))
        }
        Err(Halt::Stopped(StopReason::Lost)) => Err(Halt::Lost(CallError::lost())),
        Err(Halt::Stopped(why)) => {
            let message = why.sentence();
            Ok(plain(Outcome::Stopped { message }))
        }
        Err(halt) => Err(halt),
    }
}

/// A gate's no means that nothing was executed; after the worker got its order it can't mean that any more.
fn refusal(entry: &Entry, gate: Gate, message: String) -> Outcome {
    match &entry.progress {
        Progress::Started(started) if started.session.is_some() => Outcome::Failed {
            reason: FailReason::ContainerLost,
            message: format!("{message}{}", outcome::left_behind(started.has_any_grant())),
        },
        _ => Outcome::Refused { gate, message },
    }
}

fn plain(outcome: Outcome) -> RunResult {
    RunResult {
        outcome,
        plan: None,
        image: None,
        worker: None,
    }
}

fn counted(outcome: &Outcome) -> Ended {
    match outcome {
        Outcome::Succeeded => Ended::Succeeded,
        Outcome::Parked { .. } => Ended::Parked,
        Outcome::Refused { .. } => Ended::Refused,
        Outcome::Failed { .. } => Ended::Failed,
        Outcome::Stopped { .. } => Ended::Stopped,
    }
}

fn closing_line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded => "Done.".to_owned(),
        Outcome::Parked { .. } => {
            "The plan waits for a decision; the workspace is sealed and stored.".to_owned()
        }
        Outcome::Refused { message, .. } => format!("Refused: {message}"),
        Outcome::Failed { message, .. } => format!("Failed: {message}"),
        Outcome::Stopped { message } => format!("Stopped: {message}"),
    }
}

/// Writes the end down, tells it, and clears up.
async fn report(host: &Host, mut entry: Entry, result: RunResult) -> Result<(), Fault> {
    entry.progress = Progress::Ended {
        result: Box::new(result.clone()),
    };
    host.journal.write(&entry)?;
    match host.session.result(entry.lease, &result).await {
        Ok(taken) => info!(state = %taken.state, counted = taken.counted, "reported"),
        Err(refused) => error!(error = %Chain(&refused), "the server does not take the result"),
    }
    clear(host, &entry).await
}

/// Container first, then directory, then journal: each step can be repeated by the next process.
async fn clear(host: &Host, entry: &Entry) -> Result<(), Fault> {
    let lease = entry.lease;
    ending::remove_container(host, entry).await;
    host.networks.release(&container_of(entry));
    let dirs = host.data.run(lease.run, lease.attempt);
    for leftover in host.data.remove_run(&dirs) {
        warn!(path = %leftover.path, reason = %leftover.reason, "could not be removed");
    }
    // An envelope may be dated to the end of time: it is remembered for as long.
    let until = entry
        .expires
        .saturating_add(gantry_protocol::control::envelope::CLOCK_ALLOWANCE);
    Ok(host.journal.end(lease, until)?)
}

#[cfg(test)]
mod tests {
    use gantry_protocol::control::run::Lease;

    use super::*;
    use crate::journal::{GrantRecord, SessionRecord, Started};
    use gantry_protocol::control::inbox::SealedRun;
    use gantry_protocol::ids::{Attempt, Digest};
    use gantry_protocol::socket::Phase;

    fn entry(session: Option<SessionRecord>, granted: bool) -> Entry {
        let run = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap();
        let lease = Lease {
            run,
            attempt: Attempt(1),
        };
        let sealed = SealedRun {
            envelope: String::new(),
            sealed: String::new(),
        };
        let mut entry = Entry::accepted(lease, sealed, 0);
        let grant = GrantRecord {
            phase: Phase::Apply,
            section: 1,
            granted,
        };
        entry.progress = Progress::Started(Started {
            image: "image".into(),
            worker: Digest::of(b"worker"),
            worker_version: "0.1.0".into(),
            tool: None,
            session,
            grants: vec![grant],
            began: 0,
        });
        entry
    }

    #[test]
    fn what_has_begun_is_never_called_refused() {
        let key = Digest::of(b"key");
        let why = || "the container is gone".to_owned();
        let fresh = refusal(&entry(None, false), Gate::Container, why());
        assert!(matches!(fresh, Outcome::Refused { .. }), "{fresh:?}");
        let record = Some(SessionRecord { key, given: true });
        for granted in [false, true] {
            let begun = refusal(&entry(record, granted), Gate::Container, why());
            let Outcome::Failed { reason, message } = begun else {
                panic!("{begun:?}")
            };
            assert_eq!(reason, FailReason::ContainerLost);
            assert_eq!(message.contains("may be locked"), granted, "{message}");
        }
    }
}
