//! Making, changing and deleting targets that are told of runs.

use async_graphql::{Context, Error, ID, Object};
use gantry_protocol::Secret;

use crate::graphql::context::manage;
use crate::graphql::enums::RunState;
use crate::graphql::notifications::{NewNotificationTarget, NotificationTarget, states};
use crate::operations::{NewTarget, TargetChange};

#[derive(Default)]
pub(super) struct NotificationMutation;

#[Object]
impl NotificationMutation {
    /// Makes a target; the secret that its messages are signed with is shown this once.
    async fn notification_target_create(
        &self,
        ctx: &Context<'_>,
        name: String,
        url: String,
        states: Option<Vec<RunState>>,
        secret: Option<String>,
        space: Option<ID>,
    ) -> Result<NewNotificationTarget, Error> {
        let new = NewTarget {
            name,
            space: space.map(|id| id.to_string()),
            url,
            states: self::states(states.unwrap_or_default())?,
            secret: secret.map(Secret::new),
        };
        let (target, secret) = manage(ctx)?.create_target(new).await?;
        Ok(NewNotificationTarget {
            target: NotificationTarget(target),
            secret: secret.expose().to_owned(),
        })
    }

    /// Changes what is given of a target.
    #[expect(
        clippy::too_many_arguments,
        reason = "the names of the arguments are the API"
    )]
    async fn notification_target_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        name: Option<String>,
        url: Option<String>,
        states: Option<Vec<RunState>>,
        secret: Option<String>,
        enabled: Option<bool>,
    ) -> Result<NotificationTarget, Error> {
        let change = TargetChange {
            name,
            url,
            states: states.map(self::states).transpose()?,
            secret: secret.map(Secret::new),
            enabled,
        };
        let changed = manage(ctx)?.update_target(&id, change).await?;
        Ok(NotificationTarget(changed))
    }

    /// Deletes a target; what waits for it is not sent.
    async fn notification_target_delete(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<NotificationTarget, Error> {
        Ok(NotificationTarget(manage(ctx)?.delete_target(&id).await?))
    }

    /// Sends a delivery again now, whatever became of it.
    async fn notification_redeliver(
        &self,
        ctx: &Context<'_>,
        target: ID,
        delivery: ID,
    ) -> Result<NotificationTarget, Error> {
        let told = manage(ctx)?.redeliver(&target, &delivery).await?;
        Ok(NotificationTarget(told))
    }
}
