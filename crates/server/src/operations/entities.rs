//! What stacks manage, and their states as files.
//!
//! Takes a stack, gives the things in its newest managed state, or an address from which the state can be had for a
//! short time. Never: a value that is marked as sensitive, but in the state itself, which needs the right to write and
//! leaves a line in the audit trail.

use gantry_protocol::StackId;

use super::{Look, Operate, OperationError, door};
use crate::clock::UnixMillis;
use crate::domain::stack::StateKeeper;
use crate::plans::{ChangeKind, PlannedChange};
use crate::store::plans;
use crate::store::runs::{self, RunRecord};
use crate::store::stacks::Stack;
use crate::tfstate::{Entity, Planned};

/// The things in a state, and what is known of how they came there.
#[derive(Clone, Debug, Default)]
pub struct Managed {
    /// The things.
    pub entities: Vec<Entity>,
    /// The run that wrote the state.
    pub writer: Option<RunRecord>,
    changes: Vec<PlannedChange>,
}

impl Managed {
    /// Whether the run that wrote the state made a thing, changed it, or neither (as far as its plan tells).
    pub fn done_to(&self, address: &str) -> Option<ChangeKind> {
        let change = self.changes.iter().find(|change| change.address == address);
        change.map(|change| change.kind)
    }
}

impl Look {
    /// Every stack that the caller sees, in order of their ids.
    pub async fn stacks(&self) -> Result<Vec<Stack>, OperationError> {
        let everything = super::Search {
            first: usize::MAX,
            ..super::Search::default()
        };
        Ok(self.search(&everything).await?.0)
    }

    /// What is in a stack's newest managed state.
    pub async fn managed(&self, stack: &StackId) -> Result<Managed, OperationError> {
        let control = &self.app.control;
        let newest = control.state.versions(stack, 1).await?.into_iter().next();
        let Some(version) = newest else {
            return Ok(Managed::default());
        };
        let (writer, plan) = {
            let mut conn = self.read().await?;
            let writer = runs::find(&mut conn, version.run).await?;
            (writer, plans::newest(&mut conn, version.run).await?)
        };
        let (mut planned, mut changes) = (Planned::default(), Vec::new());
        if let Some(row) = &plan {
            let document;
            (document, changes) = control.plans.whole(row).await?.unwrap_or_default();
            planned = Planned::of(&document);
        }
        Ok(Managed {
            entities: control.state.entities(stack, &version, planned).await?,
            writer,
            changes,
        })
    }
}

impl Operate {
    /// An address from which a stack's newest managed state can be had for a minute, by whoever knows it.
    pub async fn state_download(&self, stack: &str) -> Result<String, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let stack = door::stack(&mut tx, &self.principal, stack).await?;
        if stack.state_keeper != StateKeeper::Server {
            let stack = stack.id.to_string();
            return Err(OperationError::NoState { stack });
        }
        let newest = crate::store::tfstate::newest(&mut tx, &stack.id).await?;
        let Some(version) = newest else {
            let stack = stack.id.to_string();
            return Err(OperationError::NoState { stack });
        };
        self.record_hold(&mut tx, "stack.state_download", &stack.id)
            .await?;
        self.app.store.commit(tx).await?;
        let (id, version) = (&stack.id, version.version);
        let link = self
            .app
            .tokens
            .link(&subject(id, version), UnixMillis::now());
        let base = &self.app.base_url;
        Ok(format!(
            "{base}/api/states/{id}/{version}?permission={}",
            link.expose()
        ))
    }
}

/// What a permission to have a version of a state is for.
pub fn subject(stack: &StackId, version: u64) -> String {
    format!("state {version} of stack {stack}")
}
