//! Spaces: looking at them, making, changing and deleting them.
//!
//! Takes inputs, gives spaces. Never: a change by a key that is limited to some spaces.

use super::manage::check_name;
use super::{Govern, Look, OperationError, door};
use crate::clock::UnixMillis;
use crate::domain::stack::{ROOT_SPACE, slug};
use crate::store::StoreError;
use crate::store::spaces::{self, Space};

/// A space to make, or what one is to become.
#[derive(Clone, Debug)]
pub struct SpaceSettings {
    /// The name people see.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The space it is part of; none is the root.
    pub parent: Option<String>,
    /// Labels.
    pub labels: Vec<String>,
    /// Whether what belongs to the parent can be used in it.
    pub inherits: bool,
}

impl Look {
    /// The space of this id.
    pub async fn space(&self, id: &str) -> Result<Option<Space>, StoreError> {
        door::find_space(&mut *self.read().await?, &self.principal, id).await
    }

    /// Every space that the caller sees, in order of the ids.
    pub async fn spaces(&self) -> Result<Vec<Space>, StoreError> {
        let all = spaces::list(&mut *self.read().await?).await?.into_iter();
        Ok(all.filter(|space| self.principal.sees(&space.id)).collect())
    }
}

impl Govern {
    /// Makes a space. Its id is made from its name.
    pub async fn create_space(&self, new: SpaceSettings) -> Result<Space, OperationError> {
        check(&new)?;
        let space = Space {
            id: slug(&new.name)?.to_string(),
            name: new.name,
            description: new.description,
            parent_id: Some(new.parent.unwrap_or_else(|| ROOT_SPACE.to_owned())),
            labels: new.labels,
            inherits: new.inherits,
            created_at: UnixMillis::now(),
        };
        let mut tx = self.app.store.begin().await?;
        if let Some(parent) = &space.parent_id {
            spaces::get(&mut tx, parent).await?;
        }
        spaces::insert(&mut tx, &space).await?;
        self.record(&mut tx, "space.create", format!("space:{}", space.id))
            .await?;
        self.app.store.commit(tx).await?;
        Ok(space)
    }

    /// Changes a space. The root keeps its place.
    pub async fn update_space(
        &self,
        id: &str,
        change: SpaceSettings,
    ) -> Result<Space, OperationError> {
        check(&change)?;
        let mut tx = self.app.store.begin().await?;
        let old = spaces::get(&mut tx, id).await?;
        let parent_id = match (&old.parent_id, change.parent) {
            (None, Some(parent)) => {
                let rule = "the root space is part of no other";
                return Err(OperationError::input("parentSpace", &parent, rule));
            }
            (None, None) => None,
            (Some(old), new) => Some(new.unwrap_or_else(|| old.clone())),
        };
        if let Some(parent) = &parent_id {
            spaces::get(&mut tx, parent).await?;
        }
        let space = Space {
            name: change.name,
            description: change.description,
            parent_id,
            labels: change.labels,
            inherits: change.inherits,
            ..old
        };
        spaces::update(&mut tx, &space).await?;
        self.record(&mut tx, "space.update", format!("space:{id}"))
            .await?;
        self.app.store.commit(tx).await?;
        Ok(space)
    }

    /// Deletes a space that nothing is in.
    pub async fn delete_space(&self, id: &str) -> Result<Space, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let space = spaces::get(&mut tx, id).await?;
        if space.parent_id.is_none() {
            return Err(OperationError::Unsupported("deleting the root space"));
        }
        spaces::delete(&mut tx, id, UnixMillis::now()).await?;
        self.record(&mut tx, "space.delete", format!("space:{id}"))
            .await?;
        self.app.store.commit(tx).await?;
        Ok(space)
    }
}

fn check(space: &SpaceSettings) -> Result<(), OperationError> {
    check_name(&space.name)?;
    let odd = |label: &&String| {
        label.is_empty() || label.len() > 200 || label.chars().any(char::is_control)
    };
    match space.labels.iter().find(odd) {
        Some(label) => {
            let rule = "expected 1 to 200 bytes without control characters";
            Err(OperationError::input("labels", label, rule))
        }
        None if space.labels.len() > 100 => {
            let rule = "expected at most 100 labels";
            Err(OperationError::input("labels", "a long list", rule))
        }
        None => Ok(()),
    }
}
