//! Files that people send for previews: one `PUT` each, looked through on their way to the storage.
//!
//! Takes the address that the API gave and a raw archive, gives 201. Never: an archive kept that breaks a rule, a second
//! one in its place, or anything for somebody who does not know the whole address.

mod scan;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use futures_util::StreamExt;
use gantry_protocol::archive::MAX_PACKED;
use gantry_protocol::payload::UploadedArchive;
use gantry_protocol::{Digest, Secret};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::app::App;
use crate::blobs::BlobError;
use crate::clock::UnixMillis;
use crate::error::chain;
use crate::store::{StoreError, local_workspaces};
pub use scan::{Scanned, Unfit, look_through};

/// Pieces of an archive that wait to be looked through.
const PIECES: usize = 16;

/// What the sender knows.
#[derive(Deserialize)]
struct Permission {
    permission: String,
}

/// Why an upload is not taken.
#[derive(Debug, thiserror::Error)]
enum UploadError {
    #[error("there is no such upload, or it was to be sent earlier: ask for a new one")]
    Unknown,
    #[error("this upload was sent before: ask for a new one")]
    Twice,
    #[error("the archive is larger than {} MiB", MAX_PACKED >> 20)]
    TooLarge,
    #[error("the upload broke off: ask for a new one and send it again")]
    Broken,
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blob(BlobError),
}

/// The address of an upload; whoever knows it may send.
pub fn url(base: &str, id: &str, permission: &Secret) -> String {
    format!("{base}/api/uploads/{id}?permission={}", permission.expose())
}

/// `PUT /api/uploads/{id}?permission=…`.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/uploads/{id}", put(upload))
        .with_state(app)
}

async fn upload(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(known): Query<Permission>,
    body: Body,
) -> Response {
    match take(&app, &id, &known, body).await {
        Ok(()) => StatusCode::CREATED.into_response(),
        Err(error) => error.into_response(),
    }
}

async fn take(app: &App, id: &str, known: &Permission, body: Body) -> Result<(), UploadError> {
    let place = local_workspaces::find(&mut *app.store.read().await?, id).await?;
    // Digests of random texts: comparing them tells nothing about the text.
    let digest = Digest::of(known.permission.as_bytes());
    let place = place.filter(|place| place.permission == digest);
    let place = place.ok_or(UploadError::Unknown)?;
    if place.archive.is_some() {
        return Err(UploadError::Twice);
    }
    if place.upload_until < UnixMillis::now() {
        return Err(UploadError::Unknown);
    }
    let blob = format!("uploads/{id}-{}", app.store.new_id());
    let archive = keep(app, &blob, body).await?;
    let mut tx = app.store.begin().await?;
    let first = local_workspaces::stored(&mut tx, id, &blob, &archive).await?;
    app.store.commit(tx).await?;
    if first {
        return Ok(());
    }
    app.blobs.delete(&blob).await.map_err(UploadError::Blob)?;
    Err(UploadError::Twice)
}

/// Stores the archive while it is looked through; one that is unfit leaves nothing.
async fn keep(app: &App, blob: &str, body: Body) -> Result<UploadedArchive, UploadError> {
    let (feed, pieces) = mpsc::channel::<Bytes>(PIECES);
    let looking = tokio::task::spawn_blocking(move || scan::scan(pieces));
    let teed = body.into_data_stream().then(move |piece| {
        let feed = feed.clone();
        async move {
            let piece = piece.map_err(Cut::Broken)?;
            // Nobody takes it any more: the archive was refused meanwhile.
            let fed = feed.send(piece.clone()).await;
            fed.map_err(|_| Cut::Refused)?;
            Ok::<Bytes, Cut>(piece)
        }
    });
    let stored = app.blobs.put(blob, teed, MAX_PACKED).await;
    let looked = looking.await;
    let looked = looked.expect("invariant: looking through an archive does not panic");
    match (looked, stored) {
        (Ok(Scanned { entries }), Ok(stored)) => {
            tracing::info!(blob, entries, bytes = stored.bytes, "files were uploaded");
            Ok(UploadedArchive {
                digest: stored.digest,
                bytes: stored.bytes,
            })
        }
        (Err(unfit), Ok(_)) => {
            app.blobs.delete(blob).await.map_err(UploadError::Blob)?;
            Err(unfit.into())
        }
        (_, Err(BlobError::TooLong { .. })) => Err(UploadError::TooLarge),
        (Err(unfit), Err(BlobError::Sender { source, .. })) if was_refused(&*source) => {
            Err(unfit.into())
        }
        (_, Err(BlobError::Sender { .. })) => Err(UploadError::Broken),
        (_, Err(error)) => Err(UploadError::Blob(error)),
    }
}

/// Why an upload ends before its end.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("the sender broke off")]
    Broken(#[source] axum::Error),
    #[error("the archive was refused")]
    Refused,
}

fn was_refused(source: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(source.downcast_ref::<Cut>(), Some(Cut::Refused))
}

impl IntoResponse for UploadError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Twice => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::Unfit(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Store(_) | Self::Blob(_) => {
                tracing::error!(error = chain(&self), "an upload could not be kept");
                let text = "the server failed: its log has the reason\n";
                return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
            }
        };
        (status, format!("{}\n", chain(&self))).into_response()
    }
}
