//! `POST /webhooks/<integration>`: where code hosts tell of pushes.
//!
//! Takes requests of anybody's, keeps proven pushes once per delivery, answers before anything is done about
//! them. Never: an answer that says more than one sentence, a body beyond its bound.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use super::hosts::{self, Message, Refusal};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::IntegrationId;
use crate::error::chain;
use crate::store::integrations::{self, Integration, secret_purpose};
use crate::store::{StoreError, pushes};

/// The longest message. Code hosts cut theirs off far below.
const BODY_LIMIT: usize = 5 * 1024 * 1024;

/// The routes for code hosts.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/webhooks/{integration}", post(receive))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app)
}

type Answer = (StatusCode, String);

async fn receive(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let integration = match find(&app, &id).await {
        Ok(Some(integration)) => integration,
        Ok(None) => {
            let text = "there is no VCS integration of this id\n";
            return (StatusCode::NOT_FOUND, text.to_owned());
        }
        Err(error) => return broken(&id, &error),
    };
    let purpose = secret_purpose(&integration.id);
    let secret = match app.vault.open_text(&purpose, &integration.webhook_secret) {
        Ok(secret) => secret,
        Err(error) => return broken(&id, &error),
    };
    match hosts::read(integration.host, &secret, &headers, &body) {
        Ok(message) => match keep(&app, &integration, &message).await {
            Ok(kept) => (StatusCode::ACCEPTED, format!("{kept} new pushes\n")),
            Err(error) => broken(&id, &error),
        },
        Err(refusal) => {
            tracing::warn!(integration = id, reason = %refusal, "a webhook was refused");
            let status = match refusal {
                Refusal::Unproven(_) => StatusCode::UNAUTHORIZED,
                Refusal::Malformed { .. } | Refusal::NoWebhooks => StatusCode::BAD_REQUEST,
            };
            (status, format!("{refusal}\n"))
        }
    }
}

async fn find(app: &App, id: &str) -> Result<Option<Integration>, StoreError> {
    let Ok(id) = id.parse::<IntegrationId>() else {
        return Ok(None);
    };
    integrations::find(&mut *app.store.read().await?, &id).await
}

/// Keeps what was not kept before; how much that is.
async fn keep(
    app: &App,
    integration: &Integration,
    message: &Message,
) -> Result<usize, StoreError> {
    if message.pushes.is_empty() {
        return Ok(0);
    }
    let now = UnixMillis::now();
    let mut tx = app.store.begin().await?;
    let mut kept = 0;
    for (number, push) in message.pushes.iter().enumerate() {
        let delivery = format!("{}/{number}", message.delivery);
        let key = (app.store.new_id(), &integration.id, delivery.as_str());
        kept += usize::from(pushes::keep(&mut tx, key, push, now).await?);
    }
    app.store.commit(tx).await?;
    Ok(kept)
}

fn broken(id: &str, error: &(dyn std::error::Error + 'static)) -> Answer {
    tracing::error!(
        integration = id,
        error = chain(error),
        "a webhook could not be taken"
    );
    let text = "this server could not take the message: send it again\n";
    (StatusCode::INTERNAL_SERVER_ERROR, text.to_owned())
}
