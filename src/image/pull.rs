//! Resolves an admitted reference to a digest and pulls exactly that.
//!
//! Takes [`AdmittedReference`]s, gives [`ResolvedImage`] and [`PulledImage`]. Never: a cached image without
//! asking its registry, because the run needs the right to it; and never two pulls of one image at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gantry_protocol::Digest;

use super::admit::AdmittedReference;
use super::error::ImageError;
use super::hold::Hold;
use super::keyed::Keyed;
use super::ledger::Ledger;
use super::policy::PullPolicy;
use super::progress::{Progress, megabytes, seconds};
use super::pulled::{PulledImage, ResolvedImage};
use super::reference::Reference;
use crate::engine::{Docker, EngineError, ErrorKind, ImageView, Platform, RegistryAuth, Resolved};
use crate::logging::Secrets;
use crate::metrics::Metrics;
use crate::registry::{Login, Logins};

/// Files that tell which accounts an image has.
const ACCOUNT_FILES: [&str; 2] = ["/etc/passwd", "/etc/group"];

/// Held while an image is pulled; says when the last pull ended.
type Gate = tokio::sync::Mutex<Option<Instant>>;

type Say<'a> = &'a mut (dyn FnMut(String) + Send);

/// Resolves and pulls on one engine.
pub struct Images {
    engine: Docker,
    platform: Platform,
    /// Labels of the short-lived containers that image files are read through.
    labels: BTreeMap<String, String>,
    logins: Logins,
    secrets: Secrets,
    policy: PullPolicy,
    /// Where pulls are noted, by a launcher that may have to remove them.
    notes: Option<(Ledger, Metrics)>,
    gates: Keyed<Gate>,
    /// `/etc/passwd` and `/etc/group` by image, which can't change under a digest.
    accounts: Mutex<HashMap<String, BTreeMap<String, Vec<u8>>>>,
}

impl Images {
    /// For the given engine and its native platform.
    pub fn new(
        engine: Docker,
        platform: Platform,
        labels: BTreeMap<String, String>,
        logins: Logins,
        policy: PullPolicy,
    ) -> Self {
        Self {
            engine,
            platform,
            labels,
            logins,
            secrets: Secrets::default(),
            policy,
            notes: None,
            gates: Keyed::default(),
            accounts: Mutex::default(),
        }
    }

    /// Notes every pull and every use from here on.
    pub fn noting(mut self, ledger: Ledger, metrics: Metrics) -> Self {
        self.notes = Some((ledger, metrics));
        self
    }

    /// Labels of containers that nothing is run in.
    pub fn helper_labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// Keeps logins out of the log of `secrets`.
    pub fn hiding_logins(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// Where logins come from.
    pub fn logins(&self) -> &Logins {
        &self.logins
    }

    /// What images have to be made for.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Asks the registry which digest the reference stands for, with the login of this host for it. One that
    /// the registry refuses is renewed once.
    ///
    /// # Errors
    /// [`ImageError`].
    pub async fn resolve(&self, admitted: AdmittedReference) -> Result<ResolvedImage, ImageError> {
        let reference = admitted.reference().clone();
        let login = self.login(&reference).await?;
        let (answer, login) = match self.ask(&reference, &login).await {
            Err(refusal) if refusal.is_refused_login() => {
                let login = self.other_login(&reference, &login, refusal).await?;
                (self.ask(&reference, &login).await?, login)
            }
            answer => (answer?, login),
        };
        let image = reference.to_string();
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
            platforms: answer.platforms,
            login,
        })
    }

    /// Bytes on disk of the resolved image; `None` when it is not present.
    ///
    /// # Errors
    /// [`ImageError::Engine`].
    pub async fn present(&self, resolved: &ResolvedImage) -> Result<Option<u64>, ImageError> {
        let by_digest = resolved.reference.with_digest(resolved.digest);
        match self.engine.image(&by_digest).await {
            Ok(found) => Ok(Some(found.size)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&resolved.reference, &resolved.login, error)),
        }
    }

    /// Whether the pull policy lets the resolved image run, present or not.
    ///
    /// # Errors
    /// [`ImageError::NotPresent`].
    pub fn may_run(&self, resolved: &ResolvedImage, present: bool) -> Result<(), ImageError> {
        if self.policy == PullPolicy::Never && !present {
            return Err(ImageError::NotPresent {
                image: resolved.reference.to_string(),
                digest: resolved.digest,
            });
        }
        Ok(())
    }

    /// Makes the resolved image present as the pull policy says, handing a few lines of progress to `say`.
    /// `limit` bounds the pull.
    ///
    /// # Errors
    /// [`ImageError`].
    pub async fn pull(
        &self,
        resolved: ResolvedImage,
        limit: Duration,
        say: Say<'_>,
    ) -> Result<PulledImage, ImageError> {
        let by_digest = resolved.reference.with_digest(resolved.digest);
        let asked = Instant::now();
        let gate = self.gates.of(&by_digest);
        let mut last = gate.lock().await;
        let hold = match &self.notes {
            Some((ledger, _)) => Some(ledger.hold(&by_digest).await),
            None => None,
        };
        let present = self.present(&resolved).await?.is_some();
        self.may_run(&resolved, present)?;
        // Somebody else's pull that ended after this one was asked for counts for this one too.
        let fresh = last.is_some_and(|ended| ended > asked);
        match (self.policy, present) {
            (PullPolicy::Never, _) | (PullPolicy::IfNotPresent, true) => {}
            (PullPolicy::Always, true) if fresh => {}
            (PullPolicy::IfNotPresent, false) | (PullPolicy::Always, _) => {
                if !present {
                    self.note_pull(&resolved, &by_digest)?;
                }
                self.fetch(&resolved, &by_digest, limit, say).await?;
                *last = Some(Instant::now());
            }
        }
        let failed = |source| failed(&resolved.reference, &resolved.login, source);
        let found = self.engine.image(&by_digest).await.map_err(failed)?;
        if found.platform != self.platform {
            let image = resolved.reference.to_string();
            return Err(self.bad_platform(image, std::slice::from_ref(&found.platform)));
        }
        let accounts = self.accounts_of(&by_digest).await.map_err(failed)?;
        Ok(pulled(resolved, found, accounts, hold))
    }

    /// Noted before it is pulled: a pull that is cut leaves layers that are ours all the same.
    fn note_pull(&self, resolved: &ResolvedImage, by_digest: &str) -> Result<(), ImageError> {
        let Some((ledger, _)) = &self.notes else {
            return Ok(());
        };
        let noted = ledger.pulling(by_digest);
        noted.map_err(|source| ImageError::Ledger {
            image: resolved.reference.to_string(),
            source,
        })
    }

    async fn login(&self, reference: &Reference) -> Result<Login, ImageError> {
        let login = self.logins.login(reference.registry()).await;
        let login = login.map_err(|source| ImageError::Login {
            image: reference.to_string(),
            source,
        });
        login.inspect(|login| self.hide(reference, login))
    }

    fn hide(&self, reference: &Reference, login: &Login) {
        let secret = match login.auth() {
            RegistryAuth::Anonymous => return,
            RegistryAuth::Password { password, .. } => password,
            RegistryAuth::IdentityToken { token, .. } => token,
        };
        self.secrets
            .hide_as(reference.registry(), secret.expose().as_bytes());
    }

    /// A login in the place of the one that was refused, or that refusal.
    async fn other_login(
        &self,
        reference: &Reference,
        refused: &Login,
        refusal: ImageError,
    ) -> Result<Login, ImageError> {
        match self.logins.renewed(reference.registry(), refused).await {
            Ok(Some(login)) => {
                self.hide(reference, &login);
                Ok(login)
            }
            Ok(None) => Err(refusal),
            Err(source) => Err(ImageError::Login {
                image: reference.to_string(),
                source,
            }),
        }
    }

    async fn ask(&self, reference: &Reference, login: &Login) -> Result<Resolved, ImageError> {
        let answer = self.engine.resolve(&reference.query(), login.auth()).await;
        answer.map_err(|source| failed(reference, login, source))
    }

    async fn fetch(
        &self,
        resolved: &ResolvedImage,
        by_digest: &str,
        limit: Duration,
        say: Say<'_>,
    ) -> Result<(), ImageError> {
        let (reference, login) = (&resolved.reference, &resolved.login);
        say(format!("pulling image {reference} ({})", resolved.digest));
        let began = Instant::now();
        match self.fetch_with(login, resolved, limit, say).await {
            // The token may have ended while this pull waited for another one.
            Err(refusal) if refusal.is_refused_login() => {
                let login = self.other_login(reference, login, refusal).await?;
                self.fetch_with(&login, resolved, limit, say).await?;
            }
            fetched => fetched?,
        }
        if let Ok(found) = self.engine.image(by_digest).await {
            if let Some((_, metrics)) = &self.notes {
                metrics.pulled(found.size);
            }
            let (size, took) = (megabytes(found.size), seconds(began.elapsed()));
            say(format!(
                "pulled image {reference} in {took}, {size} on disk"
            ));
        }
        Ok(())
    }

    async fn fetch_with(
        &self,
        login: &Login,
        resolved: &ResolvedImage,
        limit: Duration,
        say: Say<'_>,
    ) -> Result<(), ImageError> {
        let by_digest = resolved.reference.with_digest(resolved.digest);
        let mut progress = Progress::default();
        let mut told = |event| {
            if let Some(line) = progress.on(&event) {
                say(line);
            }
        };
        let platform = &self.platform;
        let pull = self
            .engine
            .pull(&by_digest, platform, login.auth(), limit, &mut told);
        let Err(error) = pull.await else {
            return Ok(());
        };
        match error.kind() {
            ErrorKind::BadPlatform { wanted, found } => Err(ImageError::BadPlatform {
                image: resolved.reference.to_string(),
                found: found.clone(),
                wanted: wanted.clone(),
            }),
            _ => Err(failed(&resolved.reference, login, error)),
        }
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

fn failed(reference: &Reference, login: &Login, source: EngineError) -> ImageError {
    ImageError::Engine {
        image: reference.to_string(),
        login: Box::new(login.source().clone()),
        source,
    }
}

fn pulled(
    resolved: ResolvedImage,
    found: ImageView,
    mut accounts: BTreeMap<String, Vec<u8>>,
    hold: Option<Hold>,
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
        _hold: hold,
    }
}
