//! The HTTP side of the API.
//!
//! Takes a POST with one operation, gives status 200 with data or errors: clients of this API take any other
//! status for a broken server. Never: batches, uploads, GET, or a request that takes for ever.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{PathSegment, Request, Response, ServerError};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};

use super::ApiSchema;
use super::context::{ClientAddress, RunMetadata};
use super::refused::Changes;
use crate::app::App;
use crate::auth::{Asker, bearer_token};
use crate::domain::{METADATA_HEADER, MetadataEntry, MetadataError};
use crate::error::chain;
use crate::operations::Caller;
use crate::store::audit::{self, Origin};
use crate::workers::PeerAddr;

/// A mounted file arrives in base64 inside a request.
pub const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The longest that an operation may take. Clients wait for as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The connection, as far as it is known.
type Sender = Option<Extension<ConnectInfo<PeerAddr>>>;

/// Answers one operation.
pub async fn answer(
    State((app, schema)): State<(Arc<App>, ApiSchema)>,
    sender: Sender,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Json<Response> {
    let address = sender.map(|Extension(ConnectInfo(PeerAddr(peer)))| peer.ip());
    let caller = match bearer(&app, &headers).await {
        Ok(caller) => caller,
        Err(message) => return refuse(message),
    };
    let asker = match &caller {
        Some(caller) => Asker::Key(caller.principal().id().to_owned()),
        None => Asker::at(address),
    };
    if let Err(error) = app.limits.request(&asker) {
        return refuse(error.to_string());
    }
    match parse(&headers, body) {
        Ok(request) => execute(&app, &schema, request, caller, address).await,
        Err(message) => refuse(message),
    }
}

fn parse(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Request, String> {
    let body = body.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("the request is larger than {} MiB", BODY_LIMIT >> 20)
        }
        _ => "the request's body could not be read".to_owned(),
    })?;
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| format!("the request is not a GraphQL operation in JSON: {error}"))?;
    let metadata = metadata(headers).map_err(|error| error.to_string())?;
    Ok(request.data(metadata))
}

async fn execute(
    app: &Arc<App>,
    schema: &ApiSchema,
    request: Request,
    caller: Option<Caller>,
    address: Option<IpAddr>,
) -> Json<Response> {
    let changes = Changes::default();
    let mut request = request.data(changes.clone()).data(ClientAddress(address));
    let key = caller.as_ref().map(|who| who.principal().id().to_owned());
    if let Some(caller) = &caller {
        request = request.data(caller.clone());
    }
    let origin = Origin { address, key };
    let answer = audit::within(origin, async {
        let done = tokio::time::timeout(PATIENCE, schema.execute(request)).await;
        if let (Ok(response), Some(caller)) = (&done, &caller) {
            remember_refusals(app, caller, response, &changes).await;
        }
        done
    });
    match answer.await {
        Ok(response) => Json(response),
        Err(_) => refuse(format!(
            "the operation took longer than {} s: look whether it was done before you try again",
            PATIENCE.as_secs()
        )),
    }
}

/// Refused changes stand in the audit trail too.
async fn remember_refusals(app: &App, caller: &Caller, response: &Response, changes: &Changes) {
    for error in &response.errors {
        let Some(PathSegment::Field(operation)) = error.path.first() else {
            continue;
        };
        let Some(subject) = changes.subject(operation) else {
            continue;
        };
        let what = (operation.as_str(), subject.as_str());
        let actor = caller.principal().actor();
        let written = async {
            let mut tx = app.store.begin().await?;
            audit::record_refusal(&app.store, &mut tx, &actor, what, &error.message).await?;
            app.store.commit(tx).await
        };
        if let Err(error) = written.await {
            tracing::error!(error = chain(&error), "could not write the audit trail");
        }
    }
}

fn refuse(message: impl Into<String>) -> Json<Response> {
    Json(Response::from_errors(vec![ServerError::new(message, None)]))
}

async fn bearer(app: &Arc<App>, headers: &HeaderMap) -> Result<Option<Caller>, String> {
    let Some(token) = bearer_token(headers) else {
        return Ok(None);
    };
    match app.tokens.bearer(&app.store, token).await {
        Ok(principal) => Ok(principal.map(|who| Caller::new(Arc::clone(app), who))),
        Err(error) => {
            tracing::error!(error = chain(&error), "could not look up an API key");
            Err("the server failed: its log has the reason".to_owned())
        }
    }
}

fn metadata(headers: &HeaderMap) -> Result<RunMetadata, MetadataError> {
    let values = headers.get_all(METADATA_HEADER);
    let entry = MetadataEntry::from_headers(values.iter().map(HeaderValue::as_bytes))?;
    Ok(RunMetadata(entry))
}
