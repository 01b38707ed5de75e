//! What comes out of the image gates: a digest to pull, and an image that is present.
//!
//! Takes nothing by itself: only [`Images`](super::Images) makes these values. Never: one made from text.

use gantry_protocol::Digest;

use super::error::ImageError;
use super::hold::Hold;
use super::reference::Reference;
use crate::engine::Platform;
use crate::registry::Login;

/// An admitted reference and the digest that it stands for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedImage {
    pub(super) reference: Reference,
    pub(super) digest: Digest,
    pub(super) platforms: Vec<Platform>,
    pub(super) login: Login,
}

impl ResolvedImage {
    /// The reference as asked for, in full.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the registry has it for; empty when it did not say.
    pub fn platforms(&self) -> &[Platform] {
        &self.platforms
    }

    /// With which login the registry answered.
    pub fn login(&self) -> &Login {
        &self.login
    }
}

/// An image that was admitted, resolved, and is present on the engine. While this is there, the launcher does not remove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledImage {
    pub(super) reference: Reference,
    pub(super) digest: Digest,
    pub(super) platform: Platform,
    pub(super) user: String,
    pub(super) env: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) volumes: Vec<String>,
    pub(super) passwd: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    pub(super) _hold: Option<Hold>,
}

impl PulledImage {
    /// The reference as asked for, in full.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The digest that runs.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// `registry/repository@digest`: what the container is made from.
    pub fn by_digest(&self) -> String {
        self.reference.with_digest(self.digest)
    }

    /// What it is made for.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The image's `USER`; the run's user does not depend on it.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The image's `ENV`, which stands in the container's environment.
    pub fn env(&self) -> &[String] {
        &self.env
    }

    /// The image's `ENTRYPOINT`, which is never used.
    pub fn entrypoint(&self) -> &[String] {
        &self.entrypoint
    }

    /// The image's `/etc/passwd`, if it has one.
    pub fn passwd(&self) -> Option<&[u8]> {
        self.passwd.as_deref()
    }

    /// The image's `/etc/group`, if it has one.
    pub fn group(&self) -> Option<&[u8]> {
        self.group.as_deref()
    }

    /// Refuses an image whose declared volumes would lie over (or under) one of `targets`.
    ///
    /// # Errors
    /// [`ImageError::Volume`].
    pub fn check_volumes(&self, targets: &[&str]) -> Result<(), ImageError> {
        let clash = |volume: &&String| {
            let volume = format!("{}/", volume.trim_end_matches('/'));
            targets.iter().any(|target| {
                let target = format!("{target}/");
                target.starts_with(&volume) || volume.starts_with(&target)
            })
        };
        match self.volumes.iter().find(clash) {
            None => Ok(()),
            Some(path) => Err(ImageError::Volume {
                image: self.reference.to_string(),
                path: path.clone(),
            }),
        }
    }
}

#[cfg(test)]
impl PulledImage {
    /// A pulled image without an engine, for tests of what comes after.
    pub(crate) fn for_tests(reference: &str, volumes: &[&str]) -> Self {
        let reference = Reference::parse(reference).expect("a valid reference");
        Self {
            digest: reference.digest().unwrap_or(Digest::of(b"image")),
            reference,
            platform: Platform {
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
            },
            user: "root".to_owned(),
            env: vec!["PATH=/bin".to_owned(), "TOKEN=of-the-image".to_owned()],
            entrypoint: vec!["/evil".to_owned()],
            volumes: volumes.iter().map(|volume| (*volume).to_owned()).collect(),
            passwd: None,
            group: None,
            _hold: None,
        }
    }
}
