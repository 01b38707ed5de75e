//! A stack's repository, however it is reached.
//!
//! Takes a clone URL and a space, asks git, or the API of its host where only agents get there. Never: a pool of agents
//! that the space does not inherit, or a file that could not be read taken for one that is not there.

use std::time::Duration;

use tokio::time::Instant;

use super::{Client, HostError, Place, Through};
use crate::app::App;
use crate::error::chain;
use crate::logins::{self, LoginError};
use crate::store::StoreError;
use crate::store::integrations::{self, Integration};
use crate::vcs_probe::{Details, Found, ProbeError, SourceUrl, check_branch};

/// The waits before a file is asked for again that a host could not give.
const WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Nothing is asked again after this: somebody waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a repository did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// Git could not read it.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The API of its host could not be asked.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Its login can't be had.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReachError {
    /// Whether the text may be shown to the person who asked.
    pub fn is_for_people(&self) -> bool {
        match self {
            Self::Probe(_) => true,
            Self::Host(error) => error.is_for_people(),
            Self::Login(error) => error.is_for_people(),
            Self::Store(_) => false,
        }
    }

    /// Whether there is no such branch.
    pub fn is_no_branch(&self) -> bool {
        matches!(self, Self::Probe(ProbeError::NoBranch { .. }))
    }
}

/// A repository.
#[derive(Debug)]
pub struct Repository<'a> {
    app: &'a App,
    url: String,
    git: SourceUrl,
    /// The integration that serves it, if that has an API.
    integration: Option<Integration>,
}

impl<'a> Repository<'a> {
    /// The repository of a stack in this space.
    ///
    /// # Errors
    /// When the URL may not be used, or its login does not open.
    pub async fn of(app: &'a App, url: &str, space: &str) -> Result<Self, ReachError> {
        let mut conn = app.store.read().await?;
        let serving = integrations::serving(&mut conn, url, space).await?;
        let login = logins::find(&mut conn, &app.vault, url, space).await?;
        let through = Through::known(&mut conn, url, space).await?;
        drop(conn);
        let git = match through {
            Some(through) => {
                let (bridge, header) = app.gateway.bridge(&through.pool, &through.path);
                SourceUrl::bridged(url, &bridge, header)
            }
            None => app.sources.check(url)?,
        };
        let has_api = |one: &Integration| one.api_url.is_some();
        Ok(Self {
            app,
            url: url.to_owned(),
            git: git.with_login(login),
            integration: serving.filter(has_api),
        })
    }

    /// The API of its host and its place there, if there is one.
    async fn api(&self) -> Result<Option<(Client, Place)>, HostError> {
        let Some(integration) = &self.integration else {
            return Ok(None);
        };
        let client = Client::open(self.app, integration).await?;
        let place = client.place(&self.url)?;
        Ok(Some((client, place)))
    }

    /// As [`Repository::api`], where that is the better way: only agents reach the host, and a fetch of git would carry
    /// more through them than the answer has.
    async fn api_first(&self) -> Result<Option<(Client, Place)>, HostError> {
        match self.git.is_bridged() {
            true => self.api().await,
            false => Ok(None),
        }
    }

    /// The commit that a branch points at now.
    ///
    /// # Errors
    /// When there is no such branch, or no answer.
    pub async fn branch_head(&self, branch: &str) -> Result<String, ReachError> {
        check_branch(branch)?;
        let Some((client, place)) = self.api_first().await? else {
            return Ok(self.app.sources.branch_head(&self.git, branch).await?);
        };
        let head = client.head(&place, branch).await?;
        let missing = || ProbeError::NoBranch {
            url: self.url.clone(),
            branch: branch.to_owned(),
        };
        Ok(head.ok_or_else(missing)?)
    }

    /// Every branch and the commit that it points at now.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn branches(&self) -> Result<Vec<(String, String)>, ReachError> {
        Ok(self.app.sources.branches(&self.git).await?)
    }

    /// What a commit says about itself.
    ///
    /// # Errors
    /// When the host does not have it, or does not answer.
    pub async fn details(&self, hash: &str) -> Result<Details, ReachError> {
        match self.api_first().await? {
            Some((client, place)) => Ok(client.commit(&place, hash).await?),
            None => Ok(self.app.sources.details(&self.git, hash).await?),
        }
    }

    /// The text of a file of a commit; asked for again, a little later, where that may help.
    ///
    /// # Errors
    /// When the host does not answer, or the file can't be taken.
    pub async fn file(&self, hash: &str, path: &'static str) -> Result<Found, ReachError> {
        let (began, mut waits) = (Instant::now(), WAITS.into_iter());
        loop {
            let error = match self.file_once(hash, path).await {
                Err(error @ ReachError::Probe(ProbeError::File { .. })) => error,
                done => return done,
            };
            let wait = waits.next().filter(|_| began.elapsed() < PATIENCE);
            let Some(wait) = wait else {
                return Err(error);
            };
            tracing::warn!(
                error = chain(&error),
                "a file of a repository is asked for again"
            );
            tokio::time::sleep(wait).await;
        }
    }

    async fn file_once(&self, hash: &str, path: &'static str) -> Result<Found, ReachError> {
        match self.api_first().await? {
            // The client of an API has tries of its own.
            Some((client, place)) => Ok(client.file(&place, hash, path).await?),
            None => Ok(self.app.sources.file(&self.git, hash, path).await?),
        }
    }

    /// Whether a commit is the head of a branch or one before it.
    ///
    /// # Errors
    /// When the host does not answer.
    pub async fn is_on_branch(&self, branch: &str, hash: &str) -> Result<bool, ReachError> {
        check_branch(branch)?;
        match self.api_first().await? {
            Some((client, place)) => Ok(client.is_on_branch(&place, branch, hash).await?),
            None => Ok(self
                .app
                .sources
                .is_on_branch(&self.git, branch, hash)
                .await?),
        }
    }

    /// Every path that differs between two commits; nothing if the host does not tell all of them. The API is asked
    /// where there is one, else git.
    ///
    /// # Errors
    /// When the host does not answer.
    pub async fn changed(&self, from: &str, to: &str) -> Result<Option<Vec<String>>, ReachError> {
        match self.api().await? {
            Some((client, place)) => Ok(client.changed(&place, from, to).await?),
            None => Ok(self.app.sources.changed(&self.git, from, to).await?),
        }
    }
}
