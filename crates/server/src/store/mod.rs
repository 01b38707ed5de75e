//! The database: one file per aggregate, one writer, many readers.
//!
//! Takes and gives domain values; callers open a transaction, call functions of the aggregates, and commit
//! through [`Store::commit`], which wakes whoever waits for changes. Never: a decision about what a run
//! may do (that is `domain`), a value that should be sealed in the clear, SQL that only SQLite understands.

pub mod api_keys;
pub mod artifacts;
pub mod audit;
mod codes;
pub mod commit;
pub mod contexts;
pub mod drift;
mod error;
pub mod inbox;
pub mod integrations;
pub mod launchers;
pub mod leases;
pub mod local_workspaces;
pub mod logs;
mod many;
pub mod plans;
pub mod outbox;
pub mod policies;
pub mod pool_keys;
pub mod pools;
pub mod reviews;
pub mod pushes;
pub mod run_flags;
pub mod run_overrides;
pub mod runs;
pub mod server_keys;
pub mod spaces;
pub mod spent;
pub mod stack_config;
pub mod stack_salts;
pub mod stacks;
pub mod tfstate;
pub mod vcs_pools;
pub mod vcs_requests;

#[cfg(test)]
mod indexes;
#[cfg(test)]
pub(crate) mod testing;

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Sqlite, SqliteConnection, Transaction};
use tokio::sync::watch;
use ulid::Ulid;

pub use error::{StorageFault, StoreError};

/// A connection, inside a transaction or not.
pub type Conn = SqliteConnection;

/// A write transaction. Dropped without [`Store::commit`], it leaves no trace.
pub type Tx = Transaction<'static, Sqlite>;

/// Name of the database's file in the data directory.
pub const DATABASE: &str = "gantry.db";

/// How long a reader or the writer waits for its turn before the request fails.
const TURN: Duration = Duration::from_secs(30);

/// Takes the write lock at once: a transaction that read first could not get it later.
const WRITE: &str = "BEGIN IMMEDIATE";

/// More readers than this only wait for the same disk.
const READERS: u32 = 8;

/// How much of the file each connection may keep: negative numbers are KiB. The default of 2 MiB holds less than the
/// upper levels of the indexes once there are 100,000 runs.
const PAGES: &str = "-8192";

/// The open database.
#[derive(Debug)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    changes: watch::Sender<u64>,
    ids: Mutex<ulid::Generator>,
}

impl Store {
    /// Opens `<dir>/gantry.db`, creating and migrating it as needed.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(DATABASE);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(TURN)
            .pragma("cache_size", PAGES);
        let opening = |source| StoreError::Open {
            path: path.clone(),
            source,
        };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(TURN)
            .connect_with(options.clone().create_if_missing(true))
            .await
            .map_err(opening)?;
        sqlx::migrate!("./migrations")
            .run(&writer)
            .await
            .map_err(|source| StoreError::Migrate {
                path: path.clone(),
                source,
            })?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(TURN)
            // A connection to a file does not break while nobody uses it.
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await
            .map_err(opening)?;
        Ok(Self {
            writer,
            reader,
            changes: watch::Sender::new(0),
            ids: Mutex::new(ulid::Generator::new()),
        })
    }

    /// A look into `<dir>/gantry.db` that changes nothing, not even an older version's tables; nothing where there is none.
    pub async fn look(dir: &Path) -> Result<Option<Conn>, StoreError> {
        let path = dir.join(DATABASE);
        if !path.is_file() {
            return Ok(None);
        }
        let options = SqliteConnectOptions::new().filename(&path).read_only(true);
        let conn = options.busy_timeout(TURN).connect().await;
        Ok(Some(
            conn.map_err(|source| StoreError::Open { path, source })?,
        ))
    }

    /// Starts a write transaction; there is one at a time.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        match self.writer.begin_with(WRITE).await {
            // On a full disk SQLite rolls back by itself, and the connection loses count of its
            // transactions: a new one takes its place, so that freed space is enough to go on.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                Ok(self.writer.begin_with(WRITE).await?)
            }
            begun => Ok(begun?),
        }
    }

    /// Makes a transaction durable, then wakes those who wait for changes.
    pub async fn commit(&self, tx: Tx) -> Result<(), StoreError> {
        tx.commit().await?;
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }

    /// A connection for reading. It sees what was committed before its first statement.
    pub async fn read(&self) -> Result<sqlx::pool::PoolConnection<Sqlite>, StoreError> {
        Ok(self.reader.acquire().await?)
    }

    /// Marks every commit. A waiter subscribes first, looks second, waits third: so it misses nothing.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A new id, greater than every one given before by this process.
    pub fn new_id(&self) -> Ulid {
        let mut ids = self
            .ids
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // Overflow needs 2^80 ids in one millisecond.
        ids.generate().unwrap_or_else(|_| Ulid::generate())
    }

    /// Folds the write-ahead log back into the main file and renews what the query planner knows.
    pub async fn upkeep(&self) -> Result<(), StoreError> {
        let mut conn = self.writer.acquire().await?;
        sqlx::query("PRAGMA optimize").execute(&mut *conn).await?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut *conn)
            .await?;
        Ok(())
    }

    /// Whether the database can be written now.
    pub async fn check(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // Goes as far as a write can without leaving a trace.
        sqlx::query("UPDATE spaces SET name = name WHERE id = 'root'")
            .execute(&mut *tx)
            .await?;
        Ok(tx.rollback().await?)
    }

    /// Writes everything back into the one file and closes it.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}
