//! What is too long for the API's pages: logs and states as files, exactly, the audit trail, archives of repositories.
//!
//! Takes a bearer token and a place, gives a stream. Never: a byte of a log that was changed on the way, as
//! the API's text pages have to.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use gantry_protocol::StackId;
use serde::Deserialize;

use crate::app::App;
use crate::auth::bearer_token;
use crate::clock::UnixMillis;
use crate::domain::StateVersion;
use crate::error::chain;
use crate::operations::{Caller, Manage, OperationError, id_at, subject};

/// Which state's log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    state_version: u32,
}

/// Which part of the trail.
#[derive(Debug, Deserialize)]
struct Span {
    /// Unix seconds; none is the beginning.
    since: Option<i64>,
    /// Unix seconds, not included; none is now.
    until: Option<i64>,
}

/// Which commit of which repository.
#[derive(Debug, Deserialize)]
struct Wanted {
    /// Its name at the host, such as `acme/net`.
    repository: String,
    /// A full hash, or a branch.
    commit: String,
}

/// `GET /api/runs/{run}/logs?stateVersion=N`, `GET /audit.jsonl?since=S&until=S` and
/// `GET /api/vcs/{integration}/archive?repository=R&commit=C`.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/runs/{run}/logs", get(log))
        .route("/audit.jsonl", get(audit))
        .route("/api/vcs/{integration}/archive", get(archive))
        .route("/api/states/{stack}/{version}", get(state))
        .with_state(app)
}

async fn log(
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Query(place): Query<Place>,
    headers: HeaderMap,
) -> Response {
    let caller = match bearer(&app, &headers).await {
        Ok(caller) => caller,
        Err(refused) => return *refused,
    };
    let missing = || (StatusCode::NOT_FOUND, "there is no such log\n").into_response();
    let run = match caller.look().any_run(&run).await {
        Ok(Some(record)) => record.run.id,
        Ok(None) => return missing(),
        Err(error) => return failed(&error),
    };
    match app
        .control
        .logs
        .raw(run, StateVersion(place.state_version))
        .await
    {
        Ok(Some((length, bytes))) => {
            let about = [
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::CONTENT_LENGTH, length.to_string()),
            ];
            (about, Body::from_stream(bytes)).into_response()
        }
        Ok(None) => missing(),
        Err(error) => failed(&error),
    }
}

async fn bearer(app: &Arc<App>, headers: &HeaderMap) -> Result<Caller, Box<Response>> {
    let token = bearer_token(headers).unwrap_or("");
    match app.tokens.bearer(&app.store, token).await {
        Ok(Some(who)) => Ok(Caller::new(Arc::clone(app), who)),
        Ok(None) => {
            let refused = (StatusCode::UNAUTHORIZED, "unauthorized\n");
            Err(Box::new(refused.into_response()))
        }
        Err(error) => Err(Box::new(failed(&error))),
    }
}

/// A caller who may manage things.
async fn manager(app: &Arc<App>, headers: &HeaderMap) -> Result<Manage, Box<Response>> {
    let manage = bearer(app, headers).await?.manage();
    manage.map_err(|error| {
        let refused = (StatusCode::FORBIDDEN, format!("{error}\n"));
        Box::new(refused.into_response())
    })
}

/// One JSON object per line, oldest first.
async fn audit(
    State(app): State<Arc<App>>,
    Query(span): Query<Span>,
    headers: HeaderMap,
) -> Response {
    let manage = match manager(&app, &headers).await {
        Ok(manage) => manage,
        Err(refused) => return *refused,
    };
    let moment = |seconds: i64| UnixMillis(seconds.saturating_mul(1000));
    let until = span.until.map_or_else(UnixMillis::now, moment);
    let after = span.since.map(|since| id_at(moment(since)));
    let lines = stream::try_unfold(after.unwrap_or_default(), move |after| {
        let manage = manage.clone();
        async move {
            let found = manage.audit_export(&after, until).await?;
            Ok::<_, OperationError>(found.map(|(last, lines)| (lines, last)))
        }
    });
    let about = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (about, Body::from_stream(lines)).into_response()
}

/// All files of a commit as the code host packs them, for who may make stacks.
async fn archive(
    State(app): State<Arc<App>>,
    Path(integration): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let manage = match manager(&app, &headers).await {
        Ok(manage) => manage,
        Err(refused) => return *refused,
    };
    let found = manage.archive(&integration, &wanted.repository, &wanted.commit);
    match found.await {
        Ok(answer) => {
            let kind = answer.headers.get(header::CONTENT_TYPE).cloned();
            let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
            let about = [(header::CONTENT_TYPE, kind)];
            (about, Body::from_stream(answer.body)).into_response()
        }
        Err(error) if error.is_for_people() => {
            let status = match error {
                OperationError::Host(_) => StatusCode::BAD_GATEWAY,
                _ => StatusCode::NOT_FOUND,
            };
            (status, format!("{}\n", chain(&error))).into_response()
        }
        Err(error) => failed(&error),
    }
}

/// A permission instead of a session: clients follow the address that the API gave them as it is.
#[derive(Deserialize)]
struct Permission {
    permission: String,
}

async fn state(
    State(app): State<Arc<App>>,
    Path((stack, version)): Path<(String, u64)>,
    Query(known): Query<Permission>,
) -> Response {
    let missing = || (StatusCode::NOT_FOUND, "there is no such state\n").into_response();
    let Ok(stack) = stack.parse::<StackId>() else {
        return missing();
    };
    if !app
        .tokens
        .permits(&known.permission, &subject(&stack, version))
    {
        return (StatusCode::UNAUTHORIZED, "unauthorized\n").into_response();
    }
    match app.control.state.read_version(&stack, version).await {
        Ok(Some(bytes)) => {
            let about = [
                (header::CONTENT_TYPE, "application/json"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (about, bytes).into_response()
        }
        Ok(None) => missing(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(error = chain(error), "could not serve a file");
    let text = "the server failed: its log has the reason\n";
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}
