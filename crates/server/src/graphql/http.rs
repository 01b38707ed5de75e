//! The HTTP side of the API.
//!
//! Takes a POST with one operation, gives status 200 with data or errors: clients of this API take any other
//! status for a broken server. Never: batches, uploads, GET.

use std::sync::Arc;

use async_graphql::{Request, Response, ServerError};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};

use super::ApiSchema;
use super::context::RunMetadata;
use crate::app::App;
use crate::auth::bearer_token;
use crate::domain::{METADATA_HEADER, MetadataEntry, MetadataError};
use crate::error::chain;
use crate::operations::Caller;

/// Answers one operation.
pub async fn answer(
    State((app, schema)): State<(Arc<App>, ApiSchema)>,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Response> {
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            return refuse(format!(
                "the request is not a GraphQL operation in JSON: {error}"
            ));
        }
    };
    let metadata = match metadata(&headers) {
        Ok(metadata) => metadata,
        Err(error) => return refuse(error.to_string()),
    };
    let mut request = request.data(metadata);
    match bearer(&app, &headers).await {
        Ok(Some(caller)) => request = request.data(caller),
        Ok(None) => {}
        Err(message) => return refuse(message),
    }
    Json(schema.execute(request).await)
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
