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

// In groups, since a field is looked for from one part to the next and each takes a frame of the stack.
/// Every change.
#[derive(MergedObject, Default)]
pub struct Mutation(OfRuns, OfStacks, OfSettings, OfHosts, RegistryMutation);

#[derive(MergedObject, Default)]
struct OfRuns(
    session::SessionMutation,
    runs::RunMutation,
    previews::PreviewMutation,
    chosen::ChosenMutation,
);

#[derive(MergedObject, Default)]
struct OfStacks(
    stacks::StackMutation,
    contexts::ContextMutation,
    standing::StandingMutation,
    states::StateMutation,
);

#[derive(MergedObject, Default)]
struct OfSettings(
    policies::PolicyMutation,
    integrations::IntegrationMutation,
    notifications::NotificationMutation,
    access::AccessMutation,
);

#[derive(MergedObject, Default)]
struct OfHosts(pools::PoolMutation, vcs_pools::VcsPoolMutation);

#[derive(MergedObject, Default)]
struct RegistryMutation(ModuleMutation, BlueprintMutation, ProviderMutation);
