//! Why the launcher can't start, and whose the remedy is.

use std::path::PathBuf;

use gantry_net::ClientError;

use super::source::BundleError;
use crate::container::MountError;
use crate::engine::EngineError;
use crate::identity::IdentityError;
use crate::job::CanaryError;
use crate::journal::JournalError;
use crate::network::NetworkError;
use crate::policy::PolicyError;
use crate::registry::LoginError;
use crate::session::EnrolError;
use crate::signature::SignatureSetupError;
use crate::telemetry::TraceError;
use crate::token::CredentialsError;
use crate::tool::KeyFileError;
use crate::workspace::DirsError;

/// Why the launcher can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Token and key.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Registry logins.
    #[error(transparent)]
    Logins(#[from] LoginError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Paths of the host that runs get.
    #[error(transparent)]
    Mounts(#[from] MountError),
    /// Containers don't reach the launcher.
    #[error("runs can't be executed here")]
    Canary(#[from] CanaryError),
    /// Docker.
    #[error("Docker is needed to execute runs")]
    Engine(#[from] EngineError),
    /// The data directory.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Run directories.
    #[error("GANTRY_DATA_DIR can't hold runs")]
    Dirs(#[from] DirsError),
    /// The worker cache.
    #[error("the worker cache in `{path}` can't be used")]
    Workers {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Keys that may sign runs.
    #[error(transparent)]
    Signatures(#[from] SignatureSetupError),
    /// Keys of tools.
    #[error(transparent)]
    ToolKeys(#[from] KeyFileError),
    /// The cache of tools.
    #[error("the cache of tools and providers in `{path}` can't be used")]
    Tools {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The initialization policy.
    #[error("SPACELIFT_LAUNCHER_RUN_INITIALIZATION_POLICY")]
    Policy(#[from] PolicyError),
    /// The journal.
    #[error("the journal can't be used")]
    Journal(#[from] JournalError),
    /// The list of pulled images.
    #[error("the list of pulled images in `{path}` can't be read")]
    Ledger {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Traces.
    #[error(transparent)]
    Traces(#[from] TraceError),
    /// Spot notices.
    #[error("AWS_EC2_METADATA_SERVICE_ENDPOINT (for GANTRY_SPOT_NOTICE)")]
    Spot(#[source] ClientError),
    /// CAs for git.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Standard output.
    #[error(
        "logs of runs can't be written to standard output (SPACELIFT_RUN_LOGS_ON_STANDARD_OUTPUT_ENABLED)"
    )]
    Output(#[source] std::io::Error),
    /// The server.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
}

impl StartError {
    /// Whether only a changed configuration can help.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Credentials(_)
                | Self::Logins(_)
                | Self::Mounts(_)
                | Self::Network(NetworkError::Invalid(_) | NetworkError::Taken(_))
                | Self::ToolKeys(_)
                | Self::Policy(_)
                | Self::Signatures(_)
                | Self::Enrol(EnrolError::Unfinished { .. })
        ) || matches!(self, Self::Canary(error) if error.is_configuration())
    }

    /// Whether the server shut this launcher out.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Enrol(EnrolError::Refused(_)))
    }
}
