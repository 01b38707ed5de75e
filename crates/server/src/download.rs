//! Logs as files: the stored bytes of one state of a run, exactly.
//!
//! Takes a bearer token and a place in a run's history, gives a stream. Never: a byte that was changed on
//! the way, as the API's text pages have to.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::app::App;
use crate::auth::bearer_token;
use crate::domain::StateVersion;
use crate::error::chain;
use crate::operations::Caller;

/// Which state's log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    state_version: u32,
}

/// `GET /api/runs/{run}/logs?stateVersion=N`.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/runs/{run}/logs", get(log))
        .with_state(app)
}

async fn log(
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Query(place): Query<Place>,
    headers: HeaderMap,
) -> Response {
    let token = bearer_token(&headers).unwrap_or("");
    let who = match app.tokens.bearer(&app.store, token).await {
        Ok(Some(who)) => who,
        Ok(None) => return (StatusCode::UNAUTHORIZED, "unauthorized\n").into_response(),
        Err(error) => return failed(&error),
    };
    let missing = || (StatusCode::NOT_FOUND, "there is no such log\n").into_response();
    let run = match Caller::new(Arc::clone(&app), who)
        .look()
        .any_run(&run)
        .await
    {
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

fn failed(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(error = chain(error), "could not serve a log");
    let text = "the server failed: its log has the reason\n";
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}
