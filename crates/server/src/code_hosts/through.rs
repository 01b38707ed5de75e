//! What lies behind `private://` URLs.
//!
//! Takes a URL and the space of what names it, gives the pool of agents that leads there. Never: a pool that the space
//! does not inherit, told apart from one that does not exist.

use super::HostError;
use crate::domain::{VcsPoolId, VcsPoolName};
use crate::store::{Conn, Store, spaces, vcs_pools};

/// A place that agents reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Through {
    /// The pool.
    pub(crate) pool: VcsPoolId,
    /// Its name.
    pub(crate) name: String,
    /// What follows it, without a slash at the beginning.
    pub(crate) path: String,
}

impl Through {
    /// Where a URL leads; nothing for one that needs no agent.
    ///
    /// # Errors
    /// When its pool does not exist for things of this space, or the database fails.
    pub(crate) async fn find(
        store: &Store,
        url: &str,
        space: &str,
    ) -> Result<Option<Self>, HostError> {
        if !url.starts_with("private://") {
            return Ok(None);
        }
        Self::known(&mut *store.read().await?, url, space).await
    }

    /// As [`Through::find`].
    pub(crate) async fn known(
        conn: &mut Conn,
        url: &str,
        space: &str,
    ) -> Result<Option<Self>, HostError> {
        if !url.starts_with("private://") {
            return Ok(None);
        }
        let unknown = || HostError::NoPool {
            url: url.chars().take(100).collect(),
            space: space.to_owned(),
        };
        let (name, path) = VcsPoolName::in_endpoint(url).ok_or_else(unknown)?;
        let pool = vcs_pools::by_name(conn, &name).await?.ok_or_else(unknown)?;
        let lineage = spaces::lineage(conn, space).await?;
        if pool.space != space && !lineage.contains(&pool.space) {
            return Err(unknown());
        }
        Ok(Some(Self {
            pool: pool.id,
            name: name.to_string(),
            path: path.to_owned(),
        }))
    }
}
