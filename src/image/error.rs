//! Why an admitted image can't run.

use gantry_protocol::Digest;

use crate::engine::{EngineError, ErrorKind};
use crate::registry::{LoginError, LoginSource};

/// Why an admitted image can't run. Each names the image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The login for its registry can't be had.
    #[error("could not get image `{image}`")]
    Login {
        /// The image in full.
        image: String,
        /// Why.
        source: LoginError,
    },
    /// The engine or the registry failed.
    #[error("could not get image `{image}` ({login})")]
    Engine {
        /// The image in full.
        image: String,
        /// How the registry was asked.
        login: Box<LoginSource>,
        /// Why.
        source: EngineError,
    },
    /// What is pulled has to be written down first, so that it can be removed one day.
    #[error(
        "image `{image}` can't be pulled: the data directory takes no note of it; free space there (GANTRY_MIN_FREE_DISK_MB)"
    )]
    Ledger {
        /// The image in full.
        image: String,
        /// Why.
        source: std::io::Error,
    },
    /// The registry's answer is not a digest that can be pinned.
    #[error("the registry resolved image `{image}` to `{answer}`, which is not a SHA-256 digest")]
    Unpinnable {
        /// The image in full.
        image: String,
        /// The answer.
        answer: String,
    },
    /// The registry answered a reference by digest with another digest.
    #[error("image `{image}` was asked for by digest, and the registry answered with {found}")]
    OtherDigest {
        /// The image in full.
        image: String,
        /// The answer.
        found: Digest,
    },
    /// Not made for this host.
    #[error("image `{image}` is made for {found}, and this host runs {wanted}")]
    BadPlatform {
        /// The image in full.
        image: String,
        /// What the image is made for.
        found: String,
        /// What the host runs.
        wanted: String,
    },
    /// Not on this host, and not to be pulled.
    #[error(
        "image `{image}` ({digest}) is not on this host, and GANTRY_PULL_POLICY is `never`: pull it by that digest, or set \
         another policy"
    )]
    NotPresent {
        /// The image in full.
        image: String,
        /// What the reference means now.
        digest: Digest,
    },
    /// The image declares a volume where the run's own directories are.
    #[error("image `{image}` declares the volume `{path}`, which would hide the run's directories")]
    Volume {
        /// The image in full.
        image: String,
        /// The volume.
        path: String,
    },
}

impl ImageError {
    /// Whether the registry did not take the login.
    pub(super) fn is_refused_login(&self) -> bool {
        matches!(self, Self::Engine { source, .. } if matches!(source.kind(), ErrorKind::Unauthorized { .. }))
    }
}
