//! Enumerations under the API's names.
//!
//! Takes and gives the protocol's values; names that only other servers have are listed too, because
//! clients write them in operations.

use async_graphql::Enum;
use gantry_protocol::RunState as State;

macro_rules! states {
    ($(#[$doc:meta])* $name:ident: $($extra:ident)*; $($state:ident)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
        pub enum $name {
            $(#[doc = "See the other servers' documentation."] $extra,)*
            $(#[doc = "See `docs/STATES.md`."] $state,)*
        }

        impl From<State> for $name {
            fn from(state: State) -> Self {
                match state {
                    $(State::$state => Self::$state,)*
                }
            }
        }

        impl $name {
            /// The state, unless it is one that no run of this server has.
            pub fn known(self) -> Option<State> {
                match self {
                    $(Self::$extra => None,)*
                    $(Self::$state => Some(State::$state),)*
                }
            }
        }
    };
}

states! {
    /// Where a run stands.
    RunState: Pending;
    Queued Ready Preparing PreparingApply PreparingReplan Initializing Planning PendingReview
    Unconfirmed ReplanRequested Confirmed Applying Performing Destroying Finished Failed Stopped
    Discarded Canceled Skipped
}

states! {
    /// Where a stack stands: the state of its newest run that is no preview, or `NONE`.
    StackState: None Pending;
    Queued Ready Preparing PreparingApply PreparingReplan Initializing Planning PendingReview
    Unconfirmed ReplanRequested Confirmed Applying Performing Destroying Finished Failed Stopped
    Discarded Canceled Skipped
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "gantry_protocol::RunType")]
pub enum RunType {
    /// A preview.
    Proposed,
    /// A deployment.
    Tracked,
    /// One command.
    Task,
    /// A module's test case.
    Testing,
    /// Destroys what the stack manages.
    Destroy,
}

/// Whether dependent stacks are applied without a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ForceApplyMode {
    /// This stack.
    Single,
    /// This stack and those that depend on it.
    Cascade,
}

/// What kind of thing a config element sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::store::stack_config::ConfigKind")]
pub enum ConfigType {
    /// An environment variable.
    #[graphql(name = "ENVIRONMENT_VARIABLE")]
    Variable,
    /// A file.
    #[graphql(name = "FILE_MOUNT")]
    File,
}

/// Kinds of code hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "VCSProvider")]
pub enum VCSProvider {
    /// Azure DevOps.
    AzureDevops,
    /// Bitbucket Cloud.
    BitbucketCloud,
    /// Bitbucket Data Center.
    BitbucketDatacenter,
    /// Any server that speaks git.
    Git,
    /// GitHub.
    #[graphql(name = "GITHUB")]
    Github,
    /// GitHub Enterprise.
    #[graphql(name = "GITHUB_ENTERPRISE")]
    GithubEnterprise,
    /// GitLab.
    #[graphql(name = "GITLAB")]
    Gitlab,
    /// Examples of the vendor.
    Showcase,
}

/// Kinds of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum PolicyType {
    /// Who may see a stack.
    Access,
    /// Who has to agree.
    Approval,
    /// What a push does.
    GitPush,
    /// Whether a run may start.
    Initialization,
    /// Who may log in.
    Login,
    /// Who is told.
    Notification,
    /// What a plan may hold.
    Plan,
    /// Which tasks may run.
    Task,
    /// What follows a run.
    Trigger,
}

/// Order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum OrderDirection {
    /// Smallest first.
    Asc,
    /// Largest first.
    Desc,
}
