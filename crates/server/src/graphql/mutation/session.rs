//! Logging in. The only mutations without a token.

use async_graphql::{Context, Error, ID, Object, SimpleObject};
use gantry_protocol::Secret;

use crate::auth::exchange;
use crate::clock::UnixMillis;
use crate::graphql::context::{ClientAddress, app, unauthorized};

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
        let secret = Secret::new(secret);
        let address = ctx
            .data_opt::<ClientAddress>()
            .copied()
            .unwrap_or_default()
            .0;
        app.limits
            .may_guess(&id, address, UnixMillis::now())
            .map_err(|error| Error::new(error.to_string()))?;
        let Some((principal, session)) = exchange(&app.store, &app.tokens, &id, &secret).await?
        else {
            app.limits.guessed(&id, address, UnixMillis::now());
            tracing::warn!(key = %*id, ?address, "an API key was refused");
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
