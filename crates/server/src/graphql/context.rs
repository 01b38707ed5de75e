//! What every resolver asks first: who calls, and how to say no.
//!
//! Takes the request's context, gives the caller or the one word that clients look for. Errors become
//! messages here and nowhere else: texts for people pass, all others go to the log under a reference.

use std::net::IpAddr;
use std::sync::Arc;

use async_graphql::{Context, Error};

use crate::app::{App, fault_text};
use crate::auth::Forbidden;
use crate::domain::{MetadataEntry, TaskInit};
use crate::error::chain;
use crate::operations::{Caller, Govern, Look, Manage, Operate, OperationError};
use crate::store::{StorageFault, StoreError};

/// What clients look for when a token is missing, wrong or expired.
const UNAUTHORIZED: &str = "unauthorized";

/// The address that a request comes from, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClientAddress(pub(super) Option<IpAddr>);

/// An entry for a run's metadata, from the request's header.
#[derive(Clone, Debug, Default)]
pub(super) struct RunMetadata(pub(super) Option<MetadataEntry>);

pub(super) fn app<'a>(ctx: &Context<'a>) -> &'a Arc<App> {
    ctx.data_unchecked::<Arc<App>>()
}

/// The bearer of the request's token, if it is a valid one.
pub(super) fn maybe_caller<'a>(ctx: &Context<'a>) -> Option<&'a Caller> {
    ctx.data_opt::<Caller>()
}

pub(super) fn caller<'a>(ctx: &Context<'a>) -> Result<&'a Caller, Error> {
    maybe_caller(ctx).ok_or_else(unauthorized)
}

pub(super) fn look(ctx: &Context<'_>) -> Result<Look, Error> {
    Ok(caller(ctx)?.look())
}

pub(super) fn operate(ctx: &Context<'_>) -> Result<Operate, Error> {
    Ok(caller(ctx)?.operate()?)
}

pub(super) fn manage(ctx: &Context<'_>) -> Result<Manage, Error> {
    Ok(caller(ctx)?.manage()?)
}

pub(super) fn govern(ctx: &Context<'_>) -> Result<Govern, Error> {
    Ok(caller(ctx)?.govern()?)
}

pub(super) fn metadata<'a>(ctx: &Context<'a>) -> Option<&'a MetadataEntry> {
    ctx.data_opt::<RunMetadata>()?.0.as_ref()
}

/// Whether a task's command comes after the tool's init.
pub(super) fn task_init(skip: Option<bool>) -> TaskInit {
    match skip {
        Some(true) => TaskInit::Skip,
        Some(false) | None => TaskInit::Run,
    }
}

pub(super) fn unauthorized() -> Error {
    Error::new(UNAUTHORIZED)
}

impl From<Forbidden> for Error {
    fn from(error: Forbidden) -> Self {
        Self::new(error.to_string())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        OperationError::from(error).into()
    }
}

impl From<OperationError> for Error {
    fn from(error: OperationError) -> Self {
        if error.is_for_people() {
            return Self::new(chain(&error));
        }
        if let Some(fault) = storage_fault(&error) {
            tracing::error!(error = chain(&error), "the storage is at fault");
            return Self::new(format!("the server's data directory {}", fault_text(fault)));
        }
        let reference = ulid::Ulid::generate();
        tracing::error!(%reference, error = chain(&error), "a request failed");
        Self::new(format!(
            "the server failed: its log has the reason under {reference}"
        ))
    }
}

fn storage_fault(error: &OperationError) -> Option<StorageFault> {
    match error {
        OperationError::Store(error) => error.storage_fault(),
        _ => None,
    }
}
