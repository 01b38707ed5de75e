//! One request, from its arrival to its line in the audit.
//!
//! Takes an HTTP request of the gateway, gives its answer through [`Reply`]. Never: a request sent to the host that the
//! rules have not admitted, two answers, or an inside cause told to the gateway.

use std::sync::Arc;

use bytes::Bytes;
use gantry_vcs_wire::wire::HttpRequest;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Agent;
use super::reply::{Gone, Reply, TAKEN_BACK};
use crate::audit::{Ending, Record, Wanted};
use crate::filter::{LIST_LIMIT, ListFilter};
use crate::forward::{At, Class, Failure, Incoming, Outgoing, chain};
use crate::route::Place;
use crate::rules::{Asked, Refusal};

/// Why there is no whole answer.
enum Short {
    Failed(Failure),
    Gone,
}

impl From<Gone> for Short {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Failure> for Short {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Serves one request to its end, or until `taken_back`.
pub(super) async fn serve(
    agent: Arc<Agent>,
    slot: usize,
    http: HttpRequest,
    mut reply: Reply,
    taken_back: CancellationToken,
) {
    let HttpRequest {
        path,
        method,
        headers,
        body,
    } = http;
    let body = Bytes::from(body);
    let id = reply.id().to_owned();
    let mut record = agent.audit.begin(&Wanted {
        id: &id,
        method: &method,
        target: &path,
        body: body.len(),
        stream: slot,
    });
    let asked = Asked {
        method: &method,
        target: &path,
        body: &body,
    };
    let admitted = match agent.rules.admit(&asked) {
        Ok(admitted) => admitted,
        Err(refusal) => return refuse(record, reply, &refusal).await,
    };
    let codeload = admitted.place() == Place::Codeload;
    record.admitted(admitted.purpose(), admitted.project(), codeload);
    let outgoing = Outgoing {
        id: &id,
        admitted: &admitted,
        headers,
        body: body.clone(),
    };
    let work = answer(&agent, outgoing, &mut reply, &mut record);
    let answered = tokio::select! {
        biased;
        () = taken_back.cancelled() => None,
        answered = work => Some(answered),
    };
    match answered {
        Some(Ok(())) => record.finish(Ending::Served),
        Some(Err(Short::Failed(failure))) => {
            // The record first: who waits for the gateway must not hide what happened here.
            record.finish(Ending::Failed {
                error: failure.cause.clone(),
            });
            let _ = reply.fail(failure.told()).await;
        }
        // Says that it was cut when it is dropped.
        Some(Err(Short::Gone)) => drop(record),
        None => {
            record.finish(Ending::Cancelled);
            let _ = reply.fail(TAKEN_BACK.into()).await;
        }
    }
}

async fn refuse(mut record: Record, mut reply: Reply, refusal: &Refusal) {
    record.refused(refusal.purpose(), refusal.project());
    let error = refusal.for_gateway();
    record.finish(Ending::Refused {
        error: error.clone(),
        reason: refusal.to_string(),
    });
    let _ = reply.fail(error).await;
}

async fn answer(
    agent: &Agent,
    outgoing: Outgoing<'_>,
    reply: &mut Reply,
    record: &mut Record,
) -> Result<(), Short> {
    let deadline = agent.forwarder.deadline(outgoing.admitted);
    let filter = outgoing.admitted.filter();
    let mut incoming = agent
        .forwarder
        .send(&agent.rules, outgoing, deadline)
        .await?;
    record.status(incoming.status().as_u16());
    if let Some(filter) = filter.filter(|_| incoming.status().is_success()) {
        let body = filtered(filter, &mut incoming).await?;
        in_time(deadline, reply.head(incoming.status(), incoming.headers())).await?;
        record.sent(body.len());
        in_time(deadline, reply.body(body)).await?;
        return in_time(deadline, reply.end()).await;
    }
    in_time(deadline, reply.head(incoming.status(), incoming.headers())).await?;
    let limit = reply.limit(agent.whole_limit);
    let mut total = 0;
    while let Some(piece) = incoming.piece().await? {
        total += piece.len();
        if let Some(limit) = limit.filter(|limit| total > *limit) {
            return Err(too_large(limit).into());
        }
        let bytes = piece.len();
        in_time(deadline, reply.body(piece)).await?;
        record.sent(bytes);
    }
    in_time(deadline, reply.end()).await
}

/// A list of projects without those that this agent is not for.
async fn filtered(filter: &ListFilter, incoming: &mut Incoming) -> Result<Bytes, Short> {
    let mut body = Vec::new();
    while let Some(piece) = incoming.piece().await? {
        if body.len() + piece.len() > LIST_LIMIT {
            return Err(too_large(LIST_LIMIT).into());
        }
        body.extend_from_slice(&piece);
    }
    let kept = filter.apply(&body).map_err(|error| Failure {
        at: At::Reading,
        class: Class::Unfiltered,
        cause: chain(&error),
    })?;
    Ok(Bytes::from(kept))
}

/// A gateway that takes nothing more must not hold a request for ever.
async fn in_time(
    deadline: Instant,
    said: impl Future<Output = Result<(), Gone>>,
) -> Result<(), Short> {
    match timeout_at(deadline, said).await {
        Ok(said) => said.map_err(Short::from),
        Err(_) => {
            let cause = "the gateway didn't take the answer within the limit";
            Err(Failure::timed_out(At::Reading, cause).into())
        }
    }
}

fn too_large(limit: usize) -> Failure {
    Failure {
        at: At::Reading,
        class: Class::TooLarge { limit },
        cause: format!(
            "the answer has more than the {limit} bytes that can be sent as one message"
        ),
    }
}
