//! Notification targets in the API.
//!
//! Takes records, gives their fields. Never: a secret after it was made.

use async_graphql::{Context, Error, ID, Object, SimpleObject};

use super::context::look;
use super::enums::RunState;
use crate::operations::OperationError;
use crate::store::outbox::{self, Delivery, standing_name};

pub(super) struct NotificationTarget(pub(super) outbox::Target);

/// A target that was just made.
#[derive(SimpleObject)]
pub(super) struct NewNotificationTarget {
    pub(super) target: NotificationTarget,
    /// Messages are signed with it; shown this once.
    pub(super) secret: String,
}

/// A message and how it goes.
#[derive(SimpleObject)]
pub(super) struct NotificationDelivery {
    id: ID,
    run_id: ID,
    /// The state that the run had entered.
    state: RunState,
    /// `WAITING`, `SENT`, `GIVEN_UP` or `SUPERSEDED`.
    standing: String,
    attempts: u32,
    /// What came back last.
    answer: Option<String>,
    created_at: i64,
    /// The message: JSON, as text.
    body: String,
}

impl From<Delivery> for NotificationDelivery {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id.to_string().into(),
            run_id: delivery.run.to_string().into(),
            state: delivery.state.into(),
            standing: standing_name(delivery.standing).to_owned(),
            attempts: delivery.attempts,
            answer: delivery.answer,
            created_at: delivery.created_at.seconds(),
            body: delivery.body,
        }
    }
}

/// The states under their own names.
pub(super) fn states(
    given: Vec<RunState>,
) -> Result<Vec<gantry_protocol::RunState>, OperationError> {
    let unknown = || OperationError::Unsupported("the state PENDING");
    let known = given
        .into_iter()
        .map(|state| state.known().ok_or_else(unknown));
    known.collect()
}

/// A server that is told when runs of its space, and of those that inherit from it, enter a state.
#[Object]
impl NotificationTarget {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn space(&self) -> &str {
        &self.0.space
    }

    async fn url(&self) -> &str {
        &self.0.url
    }

    /// Only these; an empty list is all.
    async fn states(&self) -> &[String] {
        &self.0.states
    }

    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    async fn created_at(&self) -> i64 {
        self.0.created_at.seconds()
    }

    async fn updated_at(&self) -> i64 {
        self.0.updated_at.seconds()
    }

    /// The newest 50, newest first.
    async fn deliveries(&self, ctx: &Context<'_>) -> Result<Vec<NotificationDelivery>, Error> {
        let newest = look(ctx)?.deliveries(self.0.id).await?.into_iter();
        Ok(newest.map(NotificationDelivery::from).collect())
    }
}
