//! What people can do, one handle per role.
//!
//! Takes a principal, gives a handle that has only the methods its role may call: [`Look`] reads,
//! [`Operate`] moves runs, [`Manage`] makes and changes stacks and pools, [`Govern`] spaces and keys. What a
//! handle works on comes through `door`, which knows the spaces of who asks. Each change is one transaction
//! with its line in the audit trail. Never: a change past a handle, or a thing past the door.

mod commits;
mod changes;
mod audit;
mod config;
mod contexts;
mod deed;
mod document;
mod drift;
mod door;
mod entities;
mod error;
mod govern;
mod hold;
mod integrations;
mod local_preview;
mod look;
mod manage;
mod notifications;
mod operate;
mod pages;
mod policies;
mod pools;
mod queue;
mod replan;
mod retry;
mod review;
pub(crate) mod runtime;
mod spaces;
mod standing;
mod states;
mod trigger;
mod vcs_pools;
mod workers;

use std::sync::Arc;

use crate::app::App;
use crate::auth::{Forbidden, Principal, Role};

pub use audit::{AuditPage, id_at};
pub use config::ConfigInput;
pub use contexts::{AttachedStack, ContextChange, NewContext};
pub use document::RunWish;
pub use drift::{DriftInput, look_for_drift};
pub use entities::{Managed, subject};
pub use error::OperationError;
pub use govern::Govern;
pub use integrations::{IntegrationChange, NewIntegration};
pub use local_preview::{PreviewRequest, Upload};
pub use look::{Filter, Look, Search};
pub use manage::{Manage, NewPool, NewStack};
pub use notifications::{NewTarget, TargetChange};
pub use operate::Operate;
pub use policies::{NewPolicy, PolicyChange};
pub use pools::{DEFAULT_OVERLAP_SECONDS, PoolChange};
pub use spaces::SpaceSettings;
pub(crate) use trigger::check_open;
pub use trigger::{TaskRequest, TriggerRequest};
pub use vcs_pools::{NewVcsPool, VcsPoolChange};

/// A principal at this server.
#[derive(Clone, Debug)]
pub struct Caller {
    app: Arc<App>,
    principal: Principal,
}

impl Caller {
    /// The bearer of a valid token.
    pub fn new(app: Arc<App>, principal: Principal) -> Self {
        Self { app, principal }
    }

    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The handle for reading: every role has it.
    pub fn look(&self) -> Look {
        Look {
            app: Arc::clone(&self.app),
            principal: self.principal.clone(),
        }
    }

    /// The handle for moving runs.
    pub fn operate(&self) -> Result<Operate, Forbidden> {
        self.principal.require(Role::Writer)?;
        Ok(Operate {
            app: Arc::clone(&self.app),
            principal: self.principal.clone(),
        })
    }

    /// The handle for spaces and API keys.
    pub fn govern(&self) -> Result<Govern, Forbidden> {
        self.principal.require(Role::Admin)?;
        self.principal.require_everywhere()?;
        Ok(Govern {
            app: Arc::clone(&self.app),
            principal: self.principal.clone(),
        })
    }

    /// The handle for making and changing stacks and pools.
    pub fn manage(&self) -> Result<Manage, Forbidden> {
        self.principal.require(Role::Admin)?;
        Ok(Manage {
            app: Arc::clone(&self.app),
            principal: self.principal.clone(),
        })
    }
}
