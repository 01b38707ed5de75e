//! Why something that a person asked for was not done.
//!
//! Takes the parts' errors, gives one that says which words are for the person and which for the log.

use gantry_protocol::ids::InvalidId;
use gantry_protocol::{RunId, RunState, StackId};

use crate::auth::Forbidden;
use crate::code_hosts::{HostError, ReachError};
use crate::dispatch::PayloadError;
use crate::domain::BadSchedule;
use crate::domain::stack::NoSlug;
use crate::domain::{NoContextId, NoIntegrationId, NoPolicyId, NoVcsPoolId, NoVcsPoolName};
use crate::logins::LoginError;
use crate::logstore::LogError;
use crate::outgoing::SendError;
use crate::pki::PkiError;
use crate::plans::PlanKeeperError;
use crate::policies::JudgeError;
use crate::runtime_config::{IGNORE_LABEL, PATH, RuntimeConfigError};
use crate::store::StoreError;
use crate::tfstate::StateError;
use crate::vault::VaultError;
use crate::vcs_probe::ProbeError;

/// A refusal or a failure.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The role is too low.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The database refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Log bytes can't be read.
    #[error(transparent)]
    Logs(#[from] LogError),
    /// Managed state can't be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A plan can't be read.
    #[error(transparent)]
    Plan(#[from] PlanKeeperError),
    /// The commit can't be found.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A text is not the id of a pool of VCS agents.
    #[error(transparent)]
    VcsPoolId(#[from] NoVcsPoolId),
    /// A text can't name a pool of VCS agents.
    #[error(transparent)]
    VcsPoolName(#[from] NoVcsPoolName),
    /// VCS agents could not connect.
    #[error(
        "this server takes no VCS agents: start it with `--vcs-gateway-listen` (GANTRY_VCS_GATEWAY_LISTEN)"
    )]
    NoGateway,
    /// A text is not an integration's id.
    #[error(transparent)]
    IntegrationId(#[from] NoIntegrationId),
    /// The login for a repository can't be had.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The settings in a repository are not known.
    #[error(
        "stack `{stack}` starts no run while `{PATH}` of the commit can't be read (try again, or label the stack `{IGNORE_LABEL}` to run without it)"
    )]
    ConfigUnread {
        /// The stack.
        stack: String,
        /// Why.
        source: Box<ReachError>,
    },
    /// A repository does not answer.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// A code host can't be asked, or said no.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Messages can't go there.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Settings in the repository, or those that were given, are wrong.
    #[error(transparent)]
    RuntimeConfig(#[from] RuntimeConfigError),
    /// The pool's request is not acceptable, or issuing failed.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A text is not an id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A name gives no id.
    #[error(transparent)]
    Slug(#[from] NoSlug),
    /// The stack can't execute anything yet.
    #[error(
        "stack `{stack}` has no worker pool: set one with `stackUpdate` before you trigger a run"
    )]
    NoPool {
        /// The stack.
        stack: String,
    },
    /// A reset that would change nothing.
    #[error(
        "pool `{pool}` has this key already: make a new key and request (`openssl req -new -newkey rsa:4096 -nodes`)"
    )]
    SameKey {
        /// The pool.
        pool: String,
    },
    /// Nobody can open the plan any more.
    #[error(
        "run `{run}` can't be confirmed: its plan is sealed to a key of its pool that is over since a reset; discard it and trigger a new run"
    )]
    KeyOver {
        /// The run.
        run: String,
    },
    /// A person holds the stack.
    #[error("stack `{stack}` is locked by `{holder}`: ask them, or an admin, to unlock it")]
    Held {
        /// The stack.
        stack: String,
        /// Who holds it.
        holder: String,
    },
    /// It belongs to a space that the other one does not inherit from.
    #[error(
        "{kind} `{id}` belongs to space `{of}`, which space `{at}` does not inherit from: use one of `{at}`, or move it"
    )]
    NotInherited {
        /// What it is.
        kind: &'static str,
        /// Its id.
        id: String,
        /// Its space.
        of: String,
        /// Where it was to be used.
        at: String,
    },
    /// The stack is switched off.
    #[error("stack `{stack}` is disabled: enable it before you make runs of it")]
    Disabled {
        /// The stack.
        stack: String,
    },
    /// The stack is about to go.
    #[error("stack `{stack}` is being deleted: run `{run}` destroys what it manages")]
    Deleting {
        /// The stack.
        stack: String,
        /// The destroy run.
        run: RunId,
    },
    /// Files may not be uploaded for it.
    #[error("stack `{stack}` allows no local previews: set `localPreviewEnabled` of it")]
    NoLocalPreview {
        /// The stack.
        stack: String,
    },
    /// Nothing to preview.
    #[error(
        "there are no uploaded files `{id}` of stack `{stack}` that wait for their run: upload them again"
    )]
    NoUpload {
        /// What was named.
        id: String,
        /// The stack.
        stack: String,
    },
    /// Too much that nobody uses.
    #[error(
        "stack `{stack}` has {count} uploads that no run was made of: make runs of them, or wait until they are removed"
    )]
    ManyUploads {
        /// The stack.
        stack: String,
        /// How many.
        count: u32,
    },
    /// Made of files that were uploaded for it alone.
    #[error("run `{run}` was made of uploaded files, which are gone: upload them again")]
    FilesGone {
        /// The run.
        run: RunId,
    },
    /// Nothing to deploy.
    #[error("run `{run}` is a {run_type} run: only a PROPOSED one can be promoted")]
    NotPromoted {
        /// The run.
        run: RunId,
        /// What it is.
        run_type: gantry_protocol::RunType,
    },
    /// No times.
    #[error(transparent)]
    Schedule(#[from] BadSchedule),
    /// It has ended.
    #[error("run `{run}` has already ended as {state}")]
    Over {
        /// The run.
        run: RunId,
        /// Its state.
        state: RunState,
    },
    /// The run belongs to another stack.
    #[error("run `{run}` does not belong to stack `{stack}`")]
    OtherStack {
        /// The run.
        run: String,
        /// The stack.
        stack: String,
    },
    /// Approval policies keep it.
    #[error("run `{run}` is not approved by {by}: it waits for reviews")]
    NotApproved {
        /// The run.
        run: RunId,
        /// The policies, as words.
        by: String,
    },
    /// It waits for nobody's word.
    #[error("run `{run}` is {state}: it waits for no review")]
    NotReviewed {
        /// The run.
        run: RunId,
        /// Its state.
        state: RunState,
    },
    /// No run was named and none is there.
    #[error("no run holds stack `{stack}`: name one to review")]
    NoBlocker {
        /// The stack.
        stack: String,
    },
    /// A text is not a policy's id.
    #[error(transparent)]
    PolicyId(#[from] NoPolicyId),
    /// A text is not a context's id.
    #[error(transparent)]
    ContextId(#[from] NoContextId),
    /// There is no such context at the stack.
    #[error(
        "context `{context}` is not attached to stack `{stack}` by hand (what a label attaches, the label takes off)"
    )]
    ContextNotAttached {
        /// The context.
        context: String,
        /// The stack.
        stack: String,
    },
    /// A policy is none, or gave no answer.
    #[error(transparent)]
    Policy(#[from] JudgeError),
    /// There is nothing to take off.
    #[error(
        "policy `{policy}` is not attached to stack `{stack}` by hand (what a label attaches, the label takes off)"
    )]
    NotAttached {
        /// The policy.
        policy: String,
        /// The stack.
        stack: String,
    },
    /// The run has no apply that could be signed for.
    #[error("run `{run}` is {state}: only an UNCONFIRMED run has an apply to sign for")]
    NothingToSign {
        /// The run.
        run: String,
        /// Where it stands.
        state: RunState,
    },
    /// The run could not be handed to a launcher.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A commit that is not named in full.
    #[error("`{0}` is not a full commit hash: expected 40 (or 64) lower-case hex digits")]
    Commit(String),
    /// There is nothing to do again.
    #[error(
        "run `{run}` is {state}: only a run that failed, was stopped, canceled, discarded or skipped can be retried"
    )]
    NotRetried {
        /// The run.
        run: RunId,
        /// Its state.
        state: RunState,
    },
    /// An input has a value that can't be taken.
    #[error("`{field}` can't be `{value}`: {rule}")]
    Input {
        /// The input's name in the API.
        field: &'static str,
        /// Its value, cut short.
        value: String,
        /// What is expected.
        rule: &'static str,
    },
    /// There is no state to give.
    #[error("this server keeps no state of stack `{stack}`")]
    NoState {
        /// The stack.
        stack: String,
    },
    /// Something that this server does not do.
    #[error("{0} is not supported by this server")]
    Unsupported(&'static str),
}

impl OperationError {
    pub(super) fn no_upload(id: &str, stack: &StackId) -> Self {
        Self::NoUpload {
            id: id.chars().take(64).collect(),
            stack: stack.to_string(),
        }
    }

    /// Refuses a value of an input.
    pub(crate) fn input(field: &'static str, value: &str, rule: &'static str) -> Self {
        Self::Input {
            field,
            value: value.chars().take(100).collect(),
            rule,
        }
    }

    /// Whether the text may be shown to the person who asked; otherwise it is for the log only.
    pub fn is_for_people(&self) -> bool {
        match self {
            Self::Store(error) => matches!(
                error,
                StoreError::NotFound { .. }
                    | StoreError::Taken { .. }
                    | StoreError::InUse { .. }
                    | StoreError::Raced { .. }
                    | StoreError::Illegal(_)
                    | StoreError::Metadata(_)
            ),
            Self::Pki(error) => matches!(error, PkiError::Request(_)),
            Self::Logs(error) => matches!(error, LogError::Token { .. }),
            Self::Payload(error) => matches!(error, PayloadError::Workspace { .. }),
            Self::Login(error) => error.is_for_people(),
            Self::Host(error) => error.is_for_people(),
            Self::Reach(error) => error.is_for_people(),
            Self::ConfigUnread { source, .. } => source.is_for_people(),
            Self::Vault(_) | Self::State(_) | Self::Plan(_) => false,
            Self::Forbidden(_)
            | Self::Probe(_)
            | Self::RuntimeConfig(_)
            | Self::Send(_)
            | Self::IntegrationId(_)
            | Self::VcsPoolId(_)
            | Self::VcsPoolName(_)
            | Self::NoGateway
            | Self::Id(_)
            | Self::Slug(_)
            | Self::NoPool { .. }
            | Self::SameKey { .. }
            | Self::KeyOver { .. }
            | Self::Held { .. }
            | Self::Disabled { .. }
            | Self::Deleting { .. }
            | Self::NoLocalPreview { .. }
            | Self::NoUpload { .. }
            | Self::ManyUploads { .. }
            | Self::FilesGone { .. }
            | Self::NotPromoted { .. }
            | Self::Over { .. }
            | Self::Schedule(_)
            | Self::OtherStack { .. }
            | Self::NotInherited { .. }
            | Self::NothingToSign { .. }
            | Self::Commit(_)
            | Self::NoState { .. }
            | Self::NotRetried { .. }
            | Self::Policy(_)
            | Self::NotApproved { .. }
            | Self::NotReviewed { .. }
            | Self::NoBlocker { .. }
            | Self::PolicyId(_)
            | Self::ContextId(_)
            | Self::ContextNotAttached { .. }
            | Self::NotAttached { .. }
            | Self::Input { .. }
            | Self::Unsupported(_) => true,
        }
    }
}
