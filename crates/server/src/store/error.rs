//! What can go wrong in the database, kept apart by what the caller can do about it.
//!
//! Takes sqlx's errors, gives ours. Never: SQL or values in a text that reaches a user.

use std::path::PathBuf;

use crate::domain::{IllegalTransition, MetadataError};

/// A failed database operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file can't be opened.
    #[error("could not open the database `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// The schema can't be brought up to date.
    #[error("could not migrate the database `{}`", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("the database could not run a statement")]
    Sql(#[from] sqlx::Error),
    /// There is no such row.
    #[error("{kind} `{id}` does not exist")]
    NotFound {
        /// What was looked for.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// The id is taken.
    #[error("{kind} `{id}` already exists")]
    Taken {
        /// What was to be made.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// Something else depends on it.
    #[error("{kind} `{id}` is in use: {by}")]
    InUse {
        /// What was to be removed.
        kind: &'static str,
        /// Its id.
        id: String,
        /// What uses it.
        by: String,
    },
    /// Another request changed the run in the meantime.
    #[error(
        "run `{run}` was changed by another request in the same moment: look at it and try again"
    )]
    Raced {
        /// The run.
        run: gantry_protocol::RunId,
    },
    /// The state machine said no.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// What was to be attached to a run does not fit.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A column holds what this version can't read.
    #[error("the database holds an unreadable {column}: `{value}`")]
    Unreadable {
        /// Which column.
        column: &'static str,
        /// Its content, cut short.
        value: String,
    },
}

/// What is wrong with the storage below the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageFault {
    /// No space is left.
    Full,
    /// It can't be written.
    ReadOnly,
    /// The device failed.
    Io,
}

/// What an insert came to, where the same id may stand there already.
pub(super) fn inserted<T>(
    done: Result<T, sqlx::Error>,
    (kind, id): (&'static str, &impl ToString),
) -> Result<(), StoreError> {
    match done {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            let id = id.to_string();
            Err(StoreError::Taken { kind, id })
        }
        done => Ok(done.map(drop)?),
    }
}

impl StoreError {
    /// Whether the disk is to blame, and how: the operator has to act, nothing was lost.
    pub fn storage_fault(&self) -> Option<StorageFault> {
        let error = match self {
            Self::Sql(error) | Self::Open { source: error, .. } => error,
            Self::Migrate {
                source: sqlx::migrate::MigrateError::Execute(error),
                ..
            } => error,
            Self::Migrate { .. }
            | Self::NotFound { .. }
            | Self::Taken { .. }
            | Self::InUse { .. }
            | Self::Raced { .. }
            | Self::Illegal(_)
            | Self::Metadata(_)
            | Self::Unreadable { .. } => return None,
        };
        let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
        // The low byte of SQLite's extended codes is the primary one.
        match code & 0xff {
            13 => Some(StorageFault::Full),
            8 => Some(StorageFault::ReadOnly),
            10 | 14 => Some(StorageFault::Io),
            _ => None,
        }
    }
}
