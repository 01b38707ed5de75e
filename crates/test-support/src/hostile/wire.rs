//! The control channel as a hostile server speaks it: the real paths and messages, answers from its [`Book`].
//!
//! Takes requests, gives answers. Never: a request that is refused for its content; what a launcher sends is written
//! down and judged by the test.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use gantry_protocol::control::inbox::{Batch, Poll};
use gantry_protocol::control::run::{
    EnterPhase, Entered, GrantAnswer, GrantRequest, Lease, LogStored, Renewed, ResultTaken,
    RunResult,
};
use gantry_protocol::control::session::{
    Claim, EnrolProof, EnrolRequest, Enrolled, Nonce, Session, SessionProof, SessionRequest,
};
use gantry_protocol::control::{Problem, ProblemCode, workspace};
use gantry_protocol::crypto::{PoolPublic, jws};
use gantry_protocol::{Attempt, LauncherId, RunId, RunState, Secret};
use serde::Deserialize;
use tokio::sync::Notify;
use ulid::Ulid;

use super::book::{Book, Packed};

/// What requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pool: PoolPublic,
    book: Mutex<Book>,
    /// Rings when the inbox grew.
    bell: Notify,
}

impl Shared {
    pub(super) fn new(pool: PoolPublic, book: Book) -> Self {
        Self {
            pool,
            book: Mutex::new(book),
            bell: Notify::new(),
        }
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ring(&self) {
        self.bell.notify_waiters();
    }
}

type Server = State<Arc<Shared>>;
type About = Path<(RunId, Attempt)>;

/// All paths of the control channel.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/nonce", post(nonce))
        .route("/v1/enrol", post(enrol))
        .route("/v1/session", post(session))
        .route("/v1/inbox", post(inbox))
        .route("/v1/leases", post(renew))
        .route("/v1/runs/{run}/{attempt}/phase", post(phase))
        .route(
            "/v1/runs/{run}/{attempt}/plan",
            axum::routing::put(take_plan),
        )
        .route("/v1/runs/{run}/{attempt}/grant", post(grant))
        .route("/v1/runs/{run}/{attempt}/result", post(result))
        .route(
            "/v1/runs/{run}/{attempt}/log/{section}",
            get(log_position).post(log),
        )
        .route(
            "/v1/runs/{run}/{attempt}/workspace",
            get(give_workspace).put(take_workspace),
        )
        .route(
            "/v1/runs/{run}/{attempt}/errored-state",
            axum::routing::put(errored_state),
        )
        .route("/v1/runs/{run}/{attempt}/state/{verb}", post(state))
        .route("/v1/worker/{arch}", get(manifest))
        .route("/v1/worker/{arch}/{digest}", get(worker))
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

/// Seconds since 1970.
pub(super) fn unix_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = now.expect("a clock after 1970").as_secs();
    i64::try_from(seconds).expect("a clock before the end of time")
}

async fn nonce() -> Json<Nonce> {
    Json(Nonce {
        nonce: Ulid::generate().to_string(),
    })
}

async fn enrol(State(server): Server, Json(request): Json<EnrolRequest>) -> Response {
    match jws::verify_pool::<EnrolProof>(&request.proof, &server.pool) {
        Ok(_) => {
            let launcher = LauncherId::from_ulid(Ulid::generate());
            server.book().launcher = Some(launcher);
            Json(Enrolled { launcher }).into_response()
        }
        Err(error) => malformed(&error.to_string()),
    }
}

async fn session(State(server): Server, Json(request): Json<SessionRequest>) -> Response {
    let mut book = server.book();
    if book.launcher.is_none() {
        return malformed("nobody has enrolled here");
    }
    // The launcher's key is of no interest here: who it is was settled by its enrolment.
    let takeover = claim(&request.proof).is_none_or(|claim| matches!(claim, Claim::Takeover(_)));
    if takeover {
        book.epoch += 1;
    }
    let lies = &book.lies;
    Json(Session {
        token: Secret::new("a-session-of-the-hostile-server"),
        expires_in: lies.session_seconds,
        epoch: book.epoch,
        lease_seconds: lies.lease_seconds,
        now: lies.clock.unwrap_or_else(unix_now),
        server_keys: Vec::new(),
    })
    .into_response()
}

/// What a session's proof claims, read without its signature.
fn claim(proof: &str) -> Option<Claim> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = URL_SAFE_NO_PAD.decode(proof.split('.').nth(1)?).ok()?;
    let proof: SessionProof = serde_json::from_slice(&payload).ok()?;
    Some(proof.claim)
}

async fn inbox(State(server): Server, Json(poll): Json<Poll>) -> Json<Batch> {
    let until = tokio::time::Instant::now() + Duration::from_secs(poll.wait_seconds.into());
    loop {
        let rung = server.bell.notified();
        let mut rung = std::pin::pin!(rung);
        rung.as_mut().enable();
        let messages = server.book().poll(&poll);
        if !messages.is_empty() || tokio::time::timeout_at(until, rung).await.is_err() {
            return Json(Batch { messages });
        }
    }
}

async fn renew() -> Json<Renewed> {
    Json(Renewed::default())
}

async fn phase(State(server): Server, Path((run, attempt)): About, body: Bytes) -> Response {
    let Ok(entered) = serde_json::from_slice::<EnterPhase>(&body) else {
        return malformed("no phase");
    };
    let mut book = server.book();
    let told = book.note(Lease { run, attempt });
    told.bytes.extend(&body);
    told.phases.push(entered.state);
    Json(Entered { state_version: 1 }).into_response()
}

async fn take_plan(State(server): Server, Path((run, attempt)): About, body: Bytes) -> Response {
    let mut book = server.book();
    book.note(Lease { run, attempt }).bytes.extend(&body);
    Json(serde_json::json!({})).into_response()
}

async fn grant(State(server): Server, Path((run, attempt)): About, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<GrantRequest>(&body) else {
        return malformed("no question for a grant");
    };
    let mut book = server.book();
    let answer: GrantAnswer = book.lies.grant.clone();
    let told = book.note(Lease { run, attempt });
    told.bytes.extend(&body);
    told.grants.push(asked.state);
    Json(answer).into_response()
}

async fn result(State(server): Server, Path((run, attempt)): About, body: Bytes) -> Response {
    let Ok(result) = serde_json::from_slice::<RunResult>(&body) else {
        return malformed("no result");
    };
    let mut book = server.book();
    let told = book.note(Lease { run, attempt });
    told.bytes.extend(&body);
    told.results.push(result);
    Json(ResultTaken {
        state: RunState::Finished,
        counted: true,
    })
    .into_response()
}

#[derive(Deserialize)]
struct Range {
    from: u64,
    to: u64,
}

type AboutSection = Path<(RunId, Attempt, u32)>;

async fn log(
    State(server): Server,
    Path((run, attempt, section)): AboutSection,
    Query(Range { from, to }): Query<Range>,
    body: Bytes,
) -> Response {
    let lease = Lease { run, attempt };
    let mut book = server.book();
    book.note(lease).bytes.extend(&body);
    match book.store_log(lease, section, (from, to), &body) {
        Ok(offset) => Json(LogStored { offset }).into_response(),
        Err(offset) => (StatusCode::CONFLICT, Json(LogStored { offset })).into_response(),
    }
}

async fn log_position(
    State(server): Server,
    Path((run, attempt, section)): AboutSection,
) -> Json<LogStored> {
    let offset = server.book().log_position(Lease { run, attempt }, section);
    Json(LogStored { offset })
}

async fn take_workspace(
    State(server): Server,
    Path((run, attempt)): About,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let attestation = headers.get(workspace::HEADER);
    let Some(attestation) = attestation.and_then(|value| value.to_str().ok()) else {
        return malformed("no attestation");
    };
    let mut book = server.book();
    let told = book.note(Lease { run, attempt });
    told.bytes.extend(attestation.as_bytes());
    told.bytes.extend(&body);
    told.packed = Some(Packed {
        attestation: attestation.to_owned(),
        sealed: body.to_vec(),
    });
    StatusCode::NO_CONTENT.into_response()
}

async fn give_workspace(State(server): Server, Path((run, attempt)): About) -> Response {
    let mut book = server.book();
    book.note(Lease { run, attempt }).fetched = true;
    match book.workspace(run) {
        Some(sealed) => sealed.into_response(),
        None => problem(
            StatusCode::NOT_FOUND,
            ProblemCode::NotFound,
            "no workspace is stored",
        ),
    }
}

async fn errored_state(
    State(server): Server,
    Path((run, attempt)): About,
    body: Bytes,
) -> StatusCode {
    let mut book = server.book();
    book.note(Lease { run, attempt }).bytes.extend(&body);
    StatusCode::NO_CONTENT
}

/// Locks and writes are taken; what is read is what the book says.
async fn state(
    State(server): Server,
    Path((run, attempt, verb)): Path<(RunId, Attempt, String)>,
    body: Bytes,
) -> Response {
    let mut book = server.book();
    book.note(Lease { run, attempt }).bytes.extend(&body);
    match (verb.as_str(), &book.lies.state) {
        ("read", Some(state)) => state.clone().into_response(),
        ("read", None) => StatusCode::NO_CONTENT.into_response(),
        _ => StatusCode::OK.into_response(),
    }
}

async fn manifest(State(server): Server) -> String {
    server.book().lies.worker.manifest.clone()
}

async fn worker(State(server): Server) -> Vec<u8> {
    server.book().lies.worker.bytes.clone()
}

fn malformed(message: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, ProblemCode::Malformed, message)
}

fn problem(status: StatusCode, code: ProblemCode, message: &str) -> Response {
    let message = message.to_owned();
    (status, Json(Problem { code, message })).into_response()
}
