//! The handle for making, changing and deleting stacks and pools.
//!
//! Takes inputs, checks them, gives what was made. Never: a pool whose request was not checked, or a token
//! shown again later.

use std::sync::Arc;

use gantry_protocol::{PoolId, StackId};

use super::deed::{self, By};
use super::{OperationError, door};
use crate::app::App;
use crate::auth::Principal;
use crate::clock::UnixMillis;
use crate::code_hosts::Through;
use crate::domain::EnrolmentRules;
use crate::domain::stack::{Availability, StackSettings, StateKeeper, slug};
use crate::store::pools::{self, Pool};
use crate::store::stacks::{self, Stack};
use crate::store::{StoreError, Tx};
use crate::vcs_probe::check_branch;

/// The longest name, in bytes.
const NAME_LIMIT: usize = 200;

/// Makes and changes.
#[derive(Clone, Debug)]
pub struct Manage {
    pub(super) app: Arc<App>,
    pub(super) principal: Principal,
}

/// A pool to make.
#[derive(Clone, Debug)]
pub struct NewPool {
    /// The name people see.
    pub name: String,
    /// The signing request: PEM, or base64 of it.
    pub csr: String,
    /// Free text.
    pub description: Option<String>,
    /// Labels.
    pub labels: Vec<String>,
    /// The space; none is the root.
    pub space: Option<String>,
}

/// A stack to make.
#[derive(Clone, Debug)]
pub struct NewStack {
    /// Its slug; none derives it from the name.
    pub slug: Option<String>,
    /// What it is.
    pub settings: StackSettings,
    /// Who keeps the tool's state.
    pub state_keeper: StateKeeper,
}

impl Manage {
    /// Makes a pool; the text is the token for its launchers, shown this once.
    pub async fn create_pool(&self, new: NewPool) -> Result<(Pool, String), OperationError> {
        check_name(&new.name)?;
        let space = new.space.unwrap_or_else(|| door::home(&self.principal));
        let id = PoolId::from_ulid(self.app.store.new_id());
        let issued = self.app.keyring.issue(&new.csr, id)?;
        let pool = Pool {
            id,
            name: new.name,
            description: new.description,
            labels: new.labels,
            space,
            key: self.pool_key(self.app.store.new_id(), issued),
            enrolment: EnrolmentRules::default(),
            drift_limit: None,
            created_by: self.principal.name().to_owned(),
            created_at: UnixMillis::now(),
        };
        let mut tx = self.app.store.begin().await?;
        door::space(&mut tx, &self.principal, &pool.space).await?;
        pools::insert(&mut tx, &pool).await?;
        self.record(&mut tx, "pool.create", format!("pool:{id}"))
            .await?;
        self.app.store.commit(tx).await?;
        let token = self.token(&pool);
        Ok((pool, token))
    }

    /// Deletes a pool that no stack uses.
    pub async fn delete_pool(&self, id: &str) -> Result<Pool, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let id = door::pool(&mut tx, &self.principal, id).await?.id;
        let pool = pools::delete(&mut tx, id, UnixMillis::now()).await?;
        self.record(&mut tx, "pool.delete", format!("pool:{id}"))
            .await?;
        self.app.store.commit(tx).await?;
        Ok(pool)
    }

    /// Makes a stack.
    pub async fn create_stack(&self, new: NewStack) -> Result<Stack, OperationError> {
        check_name(&new.settings.name)?;
        let id: StackId = match &new.slug {
            Some(text) => text.parse()?,
            None => slug(&new.settings.name)?,
        };
        let mut tx = self.app.store.begin().await?;
        self.check_settings(&mut tx, &new.settings, None).await?;
        let stack = Stack {
            id,
            settings: new.settings,
            state_keeper: new.state_keeper,
            tracked: None,
            locked_by: None,
            availability: Availability::Enabled,
            deleted_by: None,
            created_at: UnixMillis::now(),
        };
        stacks::insert(&mut tx, &stack).await?;
        self.record(&mut tx, "stack.create", format!("stack:{}", stack.id))
            .await?;
        self.app.store.commit(tx).await?;
        Ok(stack)
    }

    /// The space of something whose maker named none.
    pub fn home(&self) -> String {
        door::home(&self.principal)
    }

    /// The stack of this slug.
    pub async fn stack(&self, id: &str) -> Result<Stack, OperationError> {
        door::stack(&mut *self.app.store.read().await?, &self.principal, id).await
    }

    /// Replaces a stack's settings.
    pub async fn update_stack(
        &self,
        id: &str,
        settings: StackSettings,
    ) -> Result<Stack, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let old = door::stack(&mut tx, &self.principal, id).await?;
        self.check_settings(&mut tx, &settings, Some(&old.settings))
            .await?;
        let id = old.id;
        stacks::update(&mut tx, &id, &settings).await?;
        let stack = stacks::get(&mut tx, &id).await?;
        self.record(&mut tx, "stack.update", format!("stack:{id}"))
            .await?;
        self.app.store.commit(tx).await?;
        let labels = (&old.settings.labels, &old.settings.space);
        if labels != (&stack.settings.labels, &stack.settings.space) {
            // Other policies may be about it now.
            let judge = self.app.judge.clone();
            tokio::spawn(async move { judge.settle_waiting().await });
        }
        Ok(stack)
    }

    /// Deletes a stack that no run is using. Its runs, logs and state stay in the store.
    pub async fn delete_stack(&self, id: &str) -> Result<Stack, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let id = door::stack(&mut tx, &self.principal, id).await?.id;
        let stack = stacks::delete(&mut tx, &id, UnixMillis::now()).await?;
        self.record(&mut tx, "stack.delete", format!("stack:{id}"))
            .await?;
        self.app.store.commit(tx).await?;
        Ok(stack)
    }

    async fn check_settings(
        &self,
        tx: &mut Tx,
        settings: &StackSettings,
        old: Option<&StackSettings>,
    ) -> Result<(), OperationError> {
        check_name(&settings.name)?;
        check_repository(&self.app, tx, &settings.code.url, &settings.space).await?;
        check_branch(&settings.code.branch)?;
        check_project_root(&settings.code.project_root)?;
        door::space(tx, &self.principal, &settings.space).await?;
        let stays = |old: &StackSettings| old.pool == settings.pool && old.space == settings.space;
        match settings.pool {
            // A pool that an admin of more spaces gave it is kept by one who does not see it.
            Some(pool) if !old.is_some_and(stays) => {
                let pool = door::pool(tx, &self.principal, &pool.to_string()).await?;
                let thing = ("worker pool", pool.id.to_string());
                door::check_usable(tx, thing, &pool.space, &settings.space).await
            }
            Some(_) | None => Ok(()),
        }
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

pub(super) fn check_name(name: &str) -> Result<(), OperationError> {
    let good = !name.trim().is_empty() && name.len() <= NAME_LIMIT;
    if good && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(OperationError::input(
        "name",
        name,
        "expected 1 to 200 bytes without control characters",
    ))
}

/// A URL that git may be given, or `private://POOL/path` of a pool that the space has.
async fn check_repository(
    app: &App,
    tx: &mut Tx,
    url: &str,
    space: &str,
) -> Result<(), OperationError> {
    let Some(through) = Through::known(tx, url, space).await? else {
        app.sources.check(url)?;
        return Ok(());
    };
    // As launchers take it: nothing that could be read as another place.
    let plain = |part: &str| {
        let odd = |c: char| c.is_control() || " %?#\\".contains(c);
        !part.is_empty() && part != "." && part != ".." && !part.contains(odd)
    };
    let canonical = format!("private://{}/{}", through.name, through.path) == url;
    if canonical && url.len() <= 2048 && through.path.split('/').all(plain) {
        return Ok(());
    }
    Err(OperationError::input(
        "repository",
        url,
        "expected `private://POOL/path/of/repository` with the pool's name in lower case",
    ))
}

fn check_project_root(path: &str) -> Result<(), OperationError> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let inside = path.is_empty() || path.split('/').all(plain);
    if inside && path.len() <= 1024 && !path.contains(['\0', '\n', '\\']) {
        return Ok(());
    }
    Err(OperationError::input(
        "projectRoot",
        path,
        "expected a path inside the repository",
    ))
}
