//! Logging in. The only mutations without a token.

use async_graphql::{Context, Error, ID, Object, SimpleObject};
use gantry_protocol::Secret;

use crate::auth::exchange;
use crate::graphql::context::{app, unauthorized};

#[derive(Default)]
pub(super) struct SessionMutation;

/// A token for the `Authorization` header.
#[derive(SimpleObject)]
struct SessionUser {
    jwt: String,
    /// Unix seconds.
    valid_until: i64,
}

#[Object]
impl SessionMutation {
    /// Exchanges an API key for a token.
    async fn api_key_user(
        &self,
        ctx: &Context<'_>,
        id: ID,
        secret: String,
    ) -> Result<Option<SessionUser>, Error> {
        let app = app(ctx);
        let found = exchange(&app.store, &app.tokens, &id, &Secret::new(secret)).await?;
        let Some((principal, session)) = found else {
            tracing::warn!(key = %*id, "an API key was refused");
            return Err(unauthorized());
        };
        tracing::debug!(
            key = principal.id(),
            name = principal.name(),
            "an API key was exchanged"
        );
        let jwt = session.jwt.expose().to_owned();
        Ok(Some(SessionUser {
            jwt,
            valid_until: session.valid_until,
        }))
    }

    /// Not offered: this server knows API keys only.
    async fn oauth_user(&self, token: String) -> Result<Option<SessionUser>, Error> {
        drop(Secret::new(token));
        Err(Error::new(
            "unauthorized: this server takes API keys only, made with `gantry-server api-key create`",
        ))
    }
}
