//! Who is told of runs.
//!
//! Takes inputs, seals secrets. Never: a secret shown twice, or a URL that messages could not go to.

use gantry_protocol::crypto::random_text;
use gantry_protocol::{RunState, Secret};
use ulid::Ulid;

use super::manage::check_name;
use super::{Look, Manage, OperationError, door};
use crate::clock::UnixMillis;
use crate::outgoing::check_url;
use crate::store::outbox::{self, Delivery, Target, secret_purpose};
use crate::store::{Conn, StoreError, Tx};

/// Deliveries that are shown of a target.
const SHOWN: u32 = 50;

/// A target to make.
#[derive(Clone, Debug)]
pub struct NewTarget {
    /// The name people see.
    pub name: String,
    /// The space; none is the caller's.
    pub space: Option<String>,
    /// Where it listens.
    pub url: String,
    /// Only these states; none is all.
    pub states: Vec<RunState>,
    /// The secret; none makes one.
    pub secret: Option<Secret>,
}

/// What to change of a target; none leaves it.
#[derive(Clone, Debug, Default)]
pub struct TargetChange {
    /// The name people see.
    pub name: Option<String>,
    /// Where it listens.
    pub url: Option<String>,
    /// Only these states; an empty list is all.
    pub states: Option<Vec<RunState>>,
    /// The secret.
    pub secret: Option<Secret>,
    /// Whether it is told at all.
    pub enabled: Option<bool>,
}

impl Look {
    /// Every target that the caller sees, oldest first.
    pub async fn targets(&self) -> Result<Vec<Target>, StoreError> {
        let mut all = outbox::targets(&mut *self.read().await?).await?;
        all.retain(|target| self.principal.sees(&target.space));
        Ok(all)
    }

    /// The newest deliveries to a target.
    pub async fn deliveries(&self, target: Ulid) -> Result<Vec<Delivery>, StoreError> {
        outbox::newest(&mut *self.read().await?, target, SHOWN).await
    }
}

impl Manage {
    /// Makes a target; gives the secret that its messages are signed with, which is shown this once.
    pub async fn create_target(&self, new: NewTarget) -> Result<(Target, Secret), OperationError> {
        let secret = new.secret.unwrap_or_else(random_text);
        let now = UnixMillis::now();
        let bare = Target {
            id: self.app.store.new_id(),
            name: new.name,
            space: new.space.unwrap_or_else(|| door::home(&self.principal)),
            url: new.url,
            secret: String::new(),
            states: names(&new.states),
            enabled: true,
            created_at: now,
            updated_at: now,
        };
        let change = TargetChange {
            secret: Some(secret.clone()),
            ..TargetChange::default()
        };
        let target = self.changed_target(bare, change)?;
        let mut tx = self.app.store.begin().await?;
        door::space(&mut tx, &self.principal, &target.space).await?;
        outbox::put_target(&mut tx, &target).await?;
        self.target_done(tx, "notification_target.create", target.id)
            .await?;
        Ok((target, secret))
    }

    /// Changes a target.
    pub async fn update_target(
        &self,
        id: &str,
        change: TargetChange,
    ) -> Result<Target, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let old = self.target(&mut tx, id).await?;
        let target = self.changed_target(old, change)?;
        outbox::put_target(&mut tx, &target).await?;
        self.target_done(tx, "notification_target.update", target.id)
            .await?;
        Ok(target)
    }

    /// Deletes a target; what waits for it is not sent.
    pub async fn delete_target(&self, id: &str) -> Result<Target, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let old = self.target(&mut tx, id).await?;
        outbox::delete_target(&mut tx, old.id, UnixMillis::now()).await?;
        self.target_done(tx, "notification_target.delete", old.id)
            .await?;
        Ok(old)
    }

    /// Sends a delivery again now, whatever became of it.
    pub async fn redeliver(&self, id: &str, delivery: &str) -> Result<Target, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let target = self.target(&mut tx, id).await?;
        let known = match delivery.parse::<Ulid>() {
            Ok(delivery) => outbox::again(&mut tx, target.id, delivery, UnixMillis::now()).await?,
            Err(_) => false,
        };
        if !known {
            return Err(door::missing("delivery", &delivery).into());
        }
        self.target_done(tx, "notification_target.redeliver", target.id)
            .await?;
        Ok(target)
    }

    async fn target(&self, conn: &mut Conn, id: &str) -> Result<Target, OperationError> {
        let found = match id.parse::<Ulid>() {
            Ok(id) => outbox::find_target(conn, id).await?,
            Err(_) => None,
        };
        let seen = found.filter(|target| self.principal.sees(&target.space));
        Ok(seen.ok_or_else(|| door::missing("notification target", &id))?)
    }

    fn changed_target(&self, old: Target, change: TargetChange) -> Result<Target, OperationError> {
        let name = change.name.unwrap_or(old.name);
        check_name(&name)?;
        let url = change.url.unwrap_or(old.url);
        check_url(&url)?;
        let secret = match change.secret {
            Some(secret) => {
                let text = secret.expose();
                if text.len() < 16 || text.len() > 4096 {
                    let rule = "expected 16 to 4096 bytes";
                    return Err(OperationError::input("secret", "…", rule));
                }
                let purpose = secret_purpose(old.id);
                self.app.vault.seal(&purpose, text.as_bytes())?
            }
            None => old.secret,
        };
        Ok(Target {
            name,
            url,
            secret,
            states: change.states.map_or(old.states, |states| names(&states)),
            enabled: change.enabled.unwrap_or(old.enabled),
            updated_at: UnixMillis::now(),
            ..old
        })
    }

    async fn target_done(
        &self,
        mut tx: Tx,
        action: &'static str,
        id: Ulid,
    ) -> Result<(), OperationError> {
        self.record(&mut tx, action, format!("notification_target:{id}"))
            .await?;
        Ok(self.app.store.commit(tx).await?)
    }
}

fn names(states: &[RunState]) -> Vec<String> {
    states
        .iter()
        .map(|state| state.as_str().to_owned())
        .collect()
}
