//! Changes through the API, by what they are about.
//!
//! Each field takes the handle that its role gives and calls one method of it.

mod contexts;
mod integrations;
mod notifications;
mod access;
mod chosen;
mod policies;
mod pools;
pub(super) mod previews;
mod runs;
mod session;
mod stacks;
mod standing;
mod states;
mod vcs_pools;

use async_graphql::MergedObject;

use super::registry::blueprints::BlueprintMutation;
use super::registry::modules::ModuleMutation;
use super::registry::providers::ProviderMutation;

/// Every change.
#[derive(MergedObject, Default)]
pub struct Mutation(
    session::SessionMutation,
    runs::RunMutation,
    stacks::StackMutation,
    pools::PoolMutation,
    policies::PolicyMutation,
    contexts::ContextMutation,
    integrations::IntegrationMutation,
    notifications::NotificationMutation,
    access::AccessMutation,
    previews::PreviewMutation,
    chosen::ChosenMutation,
    standing::StandingMutation,
    ModuleMutation,
    BlueprintMutation,
    ProviderMutation,
    states::StateMutation,
    vcs_pools::VcsPoolMutation,
);
