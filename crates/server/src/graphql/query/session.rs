//! Who asks, and what this server is compatible with.
//!
//! Takes nothing; `viewer` is the one field that a caller without a valid token may select.

use async_graphql::{Context, Error, ID, Object, SimpleObject};

use crate::graphql::context::{caller, maybe_caller};

/// The API version that clients decide by which fields to select.
const COMPATIBLE_WITH: &str = "6.1.0";

#[derive(Default)]
pub(super) struct SessionQuery;

/// Who asks.
#[derive(SimpleObject)]
struct User {
    id: ID,
    name: String,
}

/// What this server is compatible with.
#[derive(SimpleObject)]
struct DebugInfo {
    self_hosted_version: &'static str,
}

#[Object]
impl SessionQuery {
    /// The bearer of the token; nothing without a valid one.
    async fn viewer(&self, ctx: &Context<'_>) -> Option<User> {
        let who = maybe_caller(ctx)?.principal();
        Some(User {
            id: who.id().into(),
            name: who.name().to_owned(),
        })
    }

    async fn debug_info(&self, ctx: &Context<'_>) -> Result<Option<DebugInfo>, Error> {
        caller(ctx)?;
        Ok(Some(DebugInfo {
            self_hosted_version: COMPATIBLE_WITH,
        }))
    }
}
