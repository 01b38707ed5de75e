//! Sealed objects of runs: the packed workspace between plan and apply, and states that could not be written.
//!
//! Takes streams, gives streams; the server can't open either. A workspace is kept only with an attestation
//! that the pool's private key signed for exactly these bytes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::workspace::{HEADER, WorkspaceAttestation};
use gantry_protocol::crypto::jws;
use gantry_protocol::{Attempt, RunId};
use ulid::Ulid;

use super::{Held, held};
use crate::clock::UnixMillis;
use crate::pki;
use crate::store::artifacts::{self, WorkspaceRow};
use crate::store::{Conn, StoreError, launchers, local_workspaces, pool_keys, runs};
use crate::workers::control::Control;
use crate::workers::problem::Refusal;
use crate::workers::session::Speaker;

/// Version of the attestation that this server reads.
const ATTESTATION: u32 = 1;

/// Largest sealed state that a tool could not write back, in bytes.
const MAX_ERRORED_STATE: u64 = 256 << 20;

pub(in crate::workers) async fn put(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt)): Path<(RunId, Attempt)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let attestation = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let attestation = attestation.ok_or_else(|| {
        Refusal::malformed(format!(
            "a workspace needs its attestation in the header `{HEADER}`"
        ))
    })?;
    let (attested, key) = {
        let mut conn = control.store.read().await?;
        let held = held(&mut conn, speaker, run, attempt).await?.current()?;
        let attested = attested(&mut conn, &held, attestation).await?;
        let stored = artifacts::workspace(&mut conn, run, attempt).await?;
        let same =
            |row: WorkspaceRow| row.sealed == attested.0.sealed && row.attestation == attestation;
        if stored.is_some_and(same) {
            return Ok(StatusCode::NO_CONTENT);
        }
        attested
    };
    let blob = format!("workspaces/{run}/{attempt}-{}", control.store.new_id());
    let limit = control.settings.workspace_limit;
    let stored = control
        .blobs
        .put(&blob, body.into_data_stream(), limit)
        .await?;
    if stored.digest != attested.sealed {
        control.blobs.delete(&blob).await?;
        let text = format!(
            "the workspace of run {run} is not the one that its attestation is for; upload it again"
        );
        return Err(Refusal::new(ProblemCode::Conflict, text));
    }
    let row = WorkspaceRow {
        run,
        attempt,
        blob,
        sealed: attested.sealed,
        plan: attested.plan,
        attestation: attestation.to_owned(),
        size: stored.bytes,
        key,
    };
    let mut tx = control.store.begin().await?;
    held(&mut tx, speaker, run, attempt).await?.current()?;
    let before = artifacts::workspace(&mut tx, run, attempt).await?;
    artifacts::put_workspace(&mut tx, &row, UnixMillis::now()).await?;
    control.store.commit(tx).await?;
    if let Some(before) = before {
        control.blobs.delete(&before.blob).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The packed workspace of this attempt, or for an attempt that applies, of the one that planned.
pub(in crate::workers) async fn get(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt)): Path<(RunId, Attempt)>,
) -> Result<Response, Refusal> {
    let row = {
        let mut conn = control.store.read().await?;
        held(&mut conn, speaker, run, attempt).await?.current()?;
        artifacts::newest_workspace(&mut conn, run).await?
    };
    let row = row.ok_or_else(|| Refusal::not_found(format!("a workspace of run {run}")))?;
    let (length, stream) = control.blobs.get(&row.blob).await?;
    let attestation = HeaderValue::from_str(&row.attestation).map_err(Refusal::internal)?;
    let mut response = Body::from_stream(stream).into_response();
    response.headers_mut().insert(HEADER, attestation);
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    Ok(response)
}

/// The files that a person uploaded for the run, to whoever has it.
pub(in crate::workers) async fn get_upload(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt)): Path<(RunId, Attempt)>,
) -> Result<Response, Refusal> {
    let blob = {
        let mut conn = control.store.read().await?;
        held(&mut conn, speaker, run, attempt).await?.current()?;
        local_workspaces::blob_of(&mut conn, run).await?
    };
    let blob = blob.ok_or_else(|| Refusal::not_found(format!("uploaded files of run {run}")))?;
    let (length, stream) = control.blobs.get(&blob).await?;
    let mut response = Body::from_stream(stream).into_response();
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    Ok(response)
}

pub(in crate::workers) async fn put_errored_state(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt)): Path<(RunId, Attempt)>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    // Also after the run ended: what is rescued here exists nowhere else.
    held(&mut *control.store.read().await?, speaker, run, attempt).await?;
    let blob = format!("errored-states/{run}/{attempt}-{}", control.store.new_id());
    let stored = control
        .blobs
        .put(&blob, body.into_data_stream(), MAX_ERRORED_STATE)
        .await?;
    let now = UnixMillis::now();
    let mut tx = control.store.begin().await?;
    let object = (blob.as_str(), stored.digest, stored.bytes);
    if artifacts::put_errored_state(&mut tx, run, attempt, object, now).await? {
        let line = format!(
            "the tool could not write its state back; the launcher rescued it ({} bytes sealed to the pool's key, object `{blob}`): open it with the pool's private key and push it by hand",
            stored.bytes
        );
        runs::add_note(&mut tx, run, &line).await?;
        control.store.commit(tx).await?;
    } else {
        drop(tx);
        control.blobs.delete(&blob).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The attestation of a workspace, if the key with which the launcher is in the pool signed it for this attempt
/// of this run; and that key.
pub(super) async fn attested(
    conn: &mut Conn,
    held: &Held,
    attestation: &str,
) -> Result<(WorkspaceAttestation, Ulid), Refusal> {
    let (record, attempt) = (&held.record, held.lease.attempt);
    let run = record.run.id;
    let unfit = |why: &str| {
        Refusal::malformed(format!(
            "the attestation of the workspace of run {run} {why}"
        ))
    };
    let missing = || {
        Refusal::internal(StoreError::NotFound {
            kind: "worker pool's key",
            id: record.pool.to_string(),
        })
    };
    let launcher = launchers::get(conn, record.pool, held.lease.launcher).await?;
    let known = pool_keys::find(conn, launcher.pool_key).await?;
    let known = known.ok_or_else(missing)?;
    let key = pki::public_key(&known.public_key).ok_or_else(missing)?;
    let read: WorkspaceAttestation = jws::verify_pool(attestation, &key)
        .map_err(|_| unfit("is not signed with the pool's private key"))?;
    let fits = read.v == ATTESTATION
        && read.run == run
        && read.stack == record.run.stack
        && read.attempt == attempt;
    if fits {
        Ok((read, known.id))
    } else {
        Err(unfit("is for another version, run, stack or attempt"))
    }
}
