//! Questions of the API, by what they are about.
//!
//! Everything but `viewer` answers `unauthorized` to a caller without a valid token.

mod contexts;
mod integrations;
mod notifications;
mod access;
mod policies;
mod pools;
mod registry;
mod session;
mod stacks;
mod vcs_pools;

use async_graphql::MergedObject;

/// Every question.
#[derive(MergedObject, Default)]
pub struct Query(
    session::SessionQuery,
    stacks::StackQuery,
    policies::PolicyQuery,
    contexts::ContextQuery,
    integrations::IntegrationQuery,
    notifications::NotificationQuery,
    pools::PoolQuery,
    access::AccessQuery,
    registry::RegistryQuery,
    vcs_pools::VcsPoolQuery,
);
