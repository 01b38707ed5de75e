//! What a run, a stack and a pool are, and what may happen to them.
//!
//! Takes values, gives values or a named refusal. Never: I/O, a clock, entropy, the shapes of the
//! database or of the API.

mod context;
mod address;
pub mod event;
mod expand;
mod integration;
pub mod lock;
mod machine;
mod metadata;
mod plan_verdict;
mod policy;
mod pool;
pub mod run;
mod slug;
mod schedule;
pub mod stack;
mod vcs_pool;

#[cfg(test)]
mod documented;
#[cfg(test)]
mod invariants;

pub use address::{MAX_TARGETS, is_address};
pub use context::{ContextAttachment, ContextId, NoContextId, joined_hooks};
pub use event::{Actor, ActorKind, GrantedPhase, PlanOutcome, Review, RunEnd, RunEvent};
pub use expand::expand;
pub use integration::{
    CodeHost, IntegrationId, NoIntegrationId, Push, asks_to_skip, is_below, spellings, touches,
};
pub use machine::{IllegalTransition, is_leased};
pub use metadata::{ENTRIES_LIMIT, ENTRY_LIMIT, METADATA_HEADER, MetadataEntry, MetadataError};
pub use plan_verdict::{AskedPolicy, PlanSays, PlanVerdict};
pub use policy::{Attached, NoPolicyId, PolicyId, attaches_itself, names_stacks};
pub use pool::{Admission, EnrolmentRules, NotTaken};
pub use run::{
    Approval, Cause, Contact, Gate, Run, Scope, StateVersion, Step, Stop, TaskInit, Transition,
    Urgency,
};
pub use schedule::{BadSchedule, Schedule};
pub use vcs_pool::{NoVcsPoolId, NoVcsPoolName, VcsPoolId, VcsPoolName};
