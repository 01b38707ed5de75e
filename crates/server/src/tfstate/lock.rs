//! The one lock of a stack's state.

use gantry_protocol::{Attempt, StackId};
use serde::Deserialize;

use super::{StateError, StateKeeper};
use crate::clock::UnixMillis;
use crate::store::runs::RunRecord;
use crate::store::tfstate::{self as rows, StateLock};
use crate::store::{StoreError, Tx};

/// Longest accepted lock description in bytes.
const MAX_INFO: usize = 64 << 10;

/// What becomes of a lock request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockAnswer {
    /// Done, now or before.
    Done,
    /// Somebody else holds it: their description, JSON as they gave it.
    Held(String),
    /// The description is not one.
    Malformed,
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "ID")]
    id: String,
}

fn id(info: &[u8]) -> Option<String> {
    if info.len() > MAX_INFO {
        return None;
    }
    let info: Info = serde_json::from_slice(info).ok()?;
    (!info.id.is_empty()).then_some(info.id)
}

impl StateKeeper {
    /// Takes the lock for an attempt, in the transaction in which its right was checked.
    ///
    /// # Errors
    /// See [`StateError`].
    pub async fn lock(
        &self,
        tx: &mut Tx,
        run: &RunRecord,
        attempt: Attempt,
        info: &[u8],
    ) -> Result<LockAnswer, StateError> {
        let stack = &run.run.stack;
        let (Some(id), Ok(text)) = (id(info), std::str::from_utf8(info)) else {
            return Ok(LockAnswer::Malformed);
        };
        match rows::lock(tx, stack).await? {
            Some(held) if held.id == id && held.run == run.run.id => return Ok(LockAnswer::Done),
            // An earlier attempt of the same run was taken back before any grant: it will not write.
            Some(held) if held.run == run.run.id && held.attempt < attempt => {
                rows::drop_lock(tx, stack).await?;
            }
            Some(held) => return Ok(LockAnswer::Held(held.info)),
            None => {}
        }
        let taken_at = UnixMillis::now();
        let lock = StateLock {
            id,
            run: run.run.id,
            attempt,
            info: text.to_owned(),
            taken_at,
        };
        rows::take_lock(tx, stack, &lock).await?;
        Ok(LockAnswer::Done)
    }

    /// Gives the lock back. Without a description (a forced unlock) it gives back the run's own lock.
    ///
    /// # Errors
    /// See [`StateError`].
    pub async fn unlock(
        &self,
        tx: &mut Tx,
        run: &RunRecord,
        info: &[u8],
    ) -> Result<LockAnswer, StateError> {
        let stack: &StackId = &run.run.stack;
        let asked = match info {
            [] => None,
            info => match id(info) {
                Some(id) => Some(id),
                None => return Ok(LockAnswer::Malformed),
            },
        };
        match rows::lock(tx, stack).await? {
            None => Ok(LockAnswer::Done),
            Some(held) if held.run == run.run.id && asked.is_none_or(|id| id == held.id) => {
                rows::drop_lock(tx, stack).await?;
                Ok(LockAnswer::Done)
            }
            Some(held) => Ok(LockAnswer::Held(held.info)),
        }
    }
}

/// Gives back what an attempt that is over still holds, and says so in words for the run's note. Its tool is
/// gone and every further write of it is refused, so the lock protects nothing any more.
///
/// # Errors
/// When the database fails.
pub async fn release(
    tx: &mut Tx,
    run: &RunRecord,
    attempt: Attempt,
) -> Result<Option<String>, StoreError> {
    let stack = &run.run.stack;
    let Some(held) = rows::lock(tx, stack).await? else {
        return Ok(None);
    };
    if held.run != run.run.id || held.attempt > attempt {
        return Ok(None);
    }
    rows::drop_lock(tx, stack).await?;
    let id: String = held.id.chars().take(64).collect();
    Ok(Some(format!(
        "the state was left locked (lock {id}) and was unlocked when the run ended"
    )))
}
