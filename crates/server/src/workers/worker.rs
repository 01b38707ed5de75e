//! Handing out the worker executable.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use gantry_protocol::Digest;

use super::control::Control;
use super::problem::Refusal;
use super::session::Speaker;
use crate::dist;
use crate::store::artifacts;

pub(super) async fn manifest(
    State(control): State<Arc<Control>>,
    _speaker: Speaker,
    Path(arch): Path<String>,
) -> Result<([(HeaderName, &'static str); 1], String), Refusal> {
    let newest = dist::newest(&mut *control.store.read().await?, &arch).await?;
    let newest = newest.ok_or_else(|| {
        Refusal::not_found(format!("a worker executable for `{}`", arch.escape_debug()))
    })?;
    Ok(([(CONTENT_TYPE, "application/jose")], newest.manifest))
}

pub(super) async fn executable(
    State(control): State<Arc<Control>>,
    _speaker: Speaker,
    Path((arch, digest)): Path<(String, Digest)>,
) -> Result<Response, Refusal> {
    let found = artifacts::binary(&mut *control.store.read().await?, &arch, digest).await?;
    let found = found.ok_or_else(|| Refusal::not_found(format!("worker executable {digest}")))?;
    let (length, stream) = control.blobs.get(&found.blob).await?;
    let mut response = Body::from_stream(stream).into_response();
    let binary = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, binary);
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    Ok(response)
}
