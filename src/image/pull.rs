//! Resolves an admitted reference to a digest and pulls exactly that.
//!
//! Takes [`AdmittedReference`]s, gives [`ResolvedImage`] and [`PulledImage`]. Never: a cached image without
//! asking its registry, because the run needs the right to it; and never two pulls of one image at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use gantry_protocol::Digest;

use super::admit::AdmittedReference;
use super::credentials::Credentials;
use super::progress::{Progress, megabytes};
use super::reference::Reference;
use crate::engine::{Docker, EngineError, ErrorKind, ImageView, Platform};

/// Files that tell which accounts an image has.
const ACCOUNT_FILES: [&str; 2] = ["/etc/passwd", "/etc/group"];

/// Why an admitted image can't run.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The engine or the registry failed.
    #[error("could not get image `{image}` ({login})")]
    Engine {
        /// The image in full.
        image: String,
        /// How the registry was asked.
        login: &'static str,
        /// Why.
        source: EngineError,
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
    /// The image declares a volume where the run's own directories are.
    #[error("image `{image}` declares the volume `{path}`, which would hide the run's directories")]
    Volume {
        /// The image in full.
        image: String,
        /// The volume.
        path: String,
    },
}

/// An admitted reference and the digest that it stands for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedImage {
    reference: Reference,
    digest: Digest,
    credentials: Credentials,
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
}

/// An image that was admitted, resolved, and is present on the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledImage {
    reference: Reference,
    digest: Digest,
    platform: Platform,
    user: String,
    env: Vec<String>,
    entrypoint: Vec<String>,
    volumes: Vec<String>,
    passwd: Option<Vec<u8>>,
    group: Option<Vec<u8>>,
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
        }
    }
}

type Gate = Arc<tokio::sync::Mutex<()>>;

/// Resolves and pulls on one engine.
pub struct Images {
    engine: Docker,
    platform: Platform,
    /// Labels of the short-lived containers that image files are read through.
    labels: BTreeMap<String, String>,
    gates: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    /// `/etc/passwd` and `/etc/group` by image, which can't change under a digest.
    accounts: Mutex<HashMap<String, BTreeMap<String, Vec<u8>>>>,
}

impl Images {
    /// For the given engine and its native platform.
    pub fn new(engine: Docker, platform: Platform, labels: BTreeMap<String, String>) -> Self {
        Self {
            engine,
            platform,
            labels,
            gates: Mutex::default(),
            accounts: Mutex::default(),
        }
    }

    /// Asks the registry which digest the reference stands for, with the run's own credentials.
    ///
    /// # Errors
    /// [`ImageError`].
    pub async fn resolve(
        &self,
        admitted: AdmittedReference,
        credentials: Credentials,
    ) -> Result<ResolvedImage, ImageError> {
        let reference = admitted.reference().clone();
        let image = reference.to_string();
        let auth = credentials.auth(&reference);
        let answer = self.engine.resolve(&reference.query(), &auth).await;
        let answer = answer.map_err(|source| engine_error(&image, &credentials, source))?;
        let Ok(digest) = answer.digest.parse::<Digest>() else {
            let answer = answer.digest;
            return Err(ImageError::Unpinnable { image, answer });
        };
        if reference.digest().is_some_and(|asked| asked != digest) {
            return Err(ImageError::OtherDigest {
                image,
                found: digest,
            });
        }
        if !answer.platforms.is_empty() && !answer.platforms.contains(&self.platform) {
            return Err(self.bad_platform(image, &answer.platforms));
        }
        Ok(ResolvedImage {
            reference,
            digest,
            credentials,
        })
    }

    /// Makes the resolved image present, handing a few lines of progress to `say`. `limit` bounds the pull.
    ///
    /// # Errors
    /// [`ImageError`].
    pub async fn pull(
        &self,
        resolved: ResolvedImage,
        limit: Duration,
        say: &mut (dyn FnMut(String) + Send),
    ) -> Result<PulledImage, ImageError> {
        let by_digest = resolved.reference.with_digest(resolved.digest);
        let gate = self.gate(&by_digest);
        let _alone = gate.lock().await;
        let found = match self.engine.image(&by_digest).await {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
                self.fetch(&resolved, &by_digest, limit, say).await?;
                self.engine.image(&by_digest).await
            }
            other => other,
        };
        let image = resolved.reference.to_string();
        let failed = |source| engine_error(&image, &resolved.credentials, source);
        let found = found.map_err(failed)?;
        if found.platform != self.platform {
            return Err(self.bad_platform(image, std::slice::from_ref(&found.platform)));
        }
        let accounts = self.accounts_of(&by_digest).await.map_err(failed)?;
        Ok(pulled(resolved, found, accounts))
    }

    async fn fetch(
        &self,
        resolved: &ResolvedImage,
        by_digest: &str,
        limit: Duration,
        say: &mut (dyn FnMut(String) + Send),
    ) -> Result<(), ImageError> {
        let image = resolved.reference.to_string();
        let auth = resolved.credentials.auth(&resolved.reference);
        say(format!("pulling image {image} ({})", resolved.digest));
        let mut progress = Progress::default();
        let mut told = |event| {
            if let Some(line) = progress.on(&event) {
                say(line);
            }
        };
        let pull = self
            .engine
            .pull(by_digest, &self.platform, &auth, limit, &mut told);
        match pull.await {
            Ok(()) => {
                if let Ok(found) = self.engine.image(by_digest).await {
                    say(format!(
                        "pulled image {image}, {} on disk",
                        megabytes(found.size)
                    ));
                }
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::BadPlatform { wanted, found } => Err(ImageError::BadPlatform {
                    image,
                    found: found.clone(),
                    wanted: wanted.clone(),
                }),
                _ => Err(engine_error(&image, &resolved.credentials, error)),
            },
        }
    }

    fn gate(&self, key: &str) -> Gate {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| gate.strong_count() > 0);
        if let Some(gate) = gates.get(key).and_then(Weak::upgrade) {
            return gate;
        }
        let gate = Gate::default();
        gates.insert(key.to_owned(), Arc::downgrade(&gate));
        gate
    }

    /// Called with the image's gate held, so the same files are not read twice at a time.
    async fn accounts_of(&self, by_digest: &str) -> Result<BTreeMap<String, Vec<u8>>, EngineError> {
        let known = {
            let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.get(by_digest).cloned()
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let files = self
            .engine
            .read_image_files(by_digest, &ACCOUNT_FILES, &self.labels)
            .await?;
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.insert(by_digest.to_owned(), files.clone());
        Ok(files)
    }

    fn bad_platform(&self, image: String, found: &[Platform]) -> ImageError {
        let found: Vec<String> = found.iter().map(Platform::to_string).collect();
        ImageError::BadPlatform {
            image,
            found: found.join(", "),
            wanted: self.platform.to_string(),
        }
    }
}

fn engine_error(image: &str, credentials: &Credentials, source: EngineError) -> ImageError {
    ImageError::Engine {
        image: image.to_owned(),
        login: credentials.describe(),
        source,
    }
}

fn pulled(
    resolved: ResolvedImage,
    found: ImageView,
    mut accounts: BTreeMap<String, Vec<u8>>,
) -> PulledImage {
    PulledImage {
        reference: resolved.reference,
        digest: resolved.digest,
        platform: found.platform,
        user: found.user,
        env: found.env,
        entrypoint: found.entrypoint,
        volumes: found.volumes,
        passwd: accounts.remove(ACCOUNT_FILES[0]),
        group: accounts.remove(ACCOUNT_FILES[1]),
    }
}
