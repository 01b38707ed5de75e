//! The handle for what is about the whole installation: spaces and API keys.
//!
//! Takes inputs, gives what was made. Only an admin of all spaces gets it: whoever makes keys could make one
//! for any space. Never: a secret shown again later.

use std::sync::Arc;

use super::OperationError;
use super::deed::{self, By};
use super::manage::check_name;
use crate::app::App;
use crate::auth::{IssuedKey, NewKey, Principal, issue_key, revoke_key};
use crate::clock::UnixMillis;
use crate::store::api_keys::{self, ApiKey, Reach};
use crate::store::{StoreError, Tx};

/// Makes spaces and keys.
#[derive(Clone, Debug)]
pub struct Govern {
    pub(super) app: Arc<App>,
    pub(super) principal: Principal,
}

impl Govern {
    /// Every key in use, oldest first.
    pub async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        api_keys::list(&mut *self.app.store.read().await?).await
    }

    /// The key of this id, if it is in use.
    pub async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        api_keys::find(&mut *self.app.store.read().await?, id, UnixMillis(0)).await
    }

    /// Makes a key; its secret is shown this once.
    pub async fn create_key(&self, new: NewKey) -> Result<(ApiKey, IssuedKey), OperationError> {
        check_name(&new.name)?;
        if new.reach == Reach::Spaces(Vec::new()) {
            let rule = "name at least one space, or leave the list out for all spaces";
            return Err(OperationError::input("spaces", "[]", rule));
        }
        if new.expires_at.is_some_and(|end| end <= UnixMillis::now()) {
            let rule = "expected a time that is not over, in Unix seconds";
            return Err(OperationError::input("expiresAt", "the past", rule));
        }
        let by = self.principal.actor();
        Ok(issue_key(&self.app.store, new, &by).await?)
    }

    /// Takes a key back.
    pub async fn delete_key(&self, id: &str) -> Result<ApiKey, OperationError> {
        let missing = || super::door::missing("API key", &id);
        let key = self.key(id).await?.ok_or_else(missing)?;
        revoke_key(&self.app.store, id, &self.principal.actor()).await?;
        Ok(key)
    }

    pub(super) async fn record(
        &self,
        tx: &mut Tx,
        action: &'static str,
        subject: String,
    ) -> Result<(), StoreError> {
        let by = By(&self.app, &self.principal);
        deed::record(by, tx, (action, subject), None).await
    }
}
