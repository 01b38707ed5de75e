//! Questions about who is told of runs.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::look;
use crate::graphql::notifications::NotificationTarget;

#[derive(Default)]
pub(super) struct NotificationQuery;

#[Object]
impl NotificationQuery {
    async fn notification_targets(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Vec<NotificationTarget>, Error> {
        let all = look(ctx)?.targets().await?.into_iter();
        Ok(all.map(NotificationTarget).collect())
    }

    async fn notification_target(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<Option<NotificationTarget>, Error> {
        let mut all = look(ctx)?.targets().await?.into_iter();
        let found = all.find(|target| target.id.to_string() == id.as_str());
        Ok(found.map(NotificationTarget))
    }
}
