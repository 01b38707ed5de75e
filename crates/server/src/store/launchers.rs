//! Launchers: who they are, which process speaks for each, what they would take.
//!
//! Takes and gives rows. Never: the rules about epochs (`workers::epochs`) or about who gets a run
//! (`dispatch`).

use std::collections::HashMap;

use gantry_protocol::control::inbox::Condition;
use gantry_protocol::control::session::About;
use gantry_protocol::crypto::EdPublic;
use gantry_protocol::{Digest, LauncherId, PoolId};
use ulid::Ulid;

use super::codes::{Code, from_json, parse, to_json, unreadable};
use super::{Conn, Store, StoreError, many};
use crate::clock::UnixMillis;

/// An enrolled launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// Its id.
    pub id: LauncherId,
    /// The pool it enrolled with.
    pub pool: PoolId,
    /// The key it registered.
    pub public_key: EdPublic,
    /// The pool's key that it proved last.
    pub pool_key: Ulid,
    /// Digest of its host's machine id.
    pub machine: Digest,
    /// What it says of itself.
    pub about: About,
    /// The address it enrolled from.
    pub address: String,
    /// The newest process's epoch; 0 before the first.
    pub epoch: u64,
    /// The newest process's id; empty before the first.
    pub process: String,
    /// When the newest process took over.
    pub taken_over_at: UnixMillis,
    /// When the newest process was last heard of.
    pub seen_at: UnixMillis,
    /// Runs that it said it would take, less those handed to it since.
    pub free_slots: u32,
    /// Why it takes none by its own decision.
    pub condition: Option<Condition>,
    /// Whether it gets new runs.
    pub intake: Intake,
    /// Whether it may speak at all.
    pub standing: Standing,
    /// When it enrolled.
    pub enrolled_at: UnixMillis,
}

/// Whether a launcher gets new runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// It does.
    Open,
    /// A person drained it.
    Drained,
}

/// Whether a launcher may speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It enrolled in a pool that takes only who was let in, and nobody let it in yet.
    Pending {
        /// Since when.
        at: UnixMillis,
    },
    /// It may.
    Active,
    /// Two processes used its identity; a person has to look.
    Quarantined {
        /// What was seen.
        note: String,
        /// When.
        at: UnixMillis,
    },
    /// A person shut it out for good.
    Revoked {
        /// When.
        at: UnixMillis,
    },
}

const PENDING: &str = "PENDING";
const ACTIVE: &str = "ACTIVE";
const QUARANTINED: &str = "QUARANTINED";
const REVOKED: &str = "REVOKED";

impl Standing {
    fn code(&self) -> &'static str {
        match self {
            Self::Pending { .. } => PENDING,
            Self::Active => ACTIVE,
            Self::Quarantined { .. } => QUARANTINED,
            Self::Revoked { .. } => REVOKED,
        }
    }
}

impl Code for Intake {
    const COLUMN: &'static str = "intake";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Open, "OPEN"), (Self::Drained, "DRAINED")];
}

/// Who wants to be a launcher of a pool.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// The id that it gets.
    pub id: LauncherId,
    /// The pool it enrols with.
    pub pool: PoolId,
    /// The key it registers.
    pub public_key: EdPublic,
    /// The pool's key that it proved.
    pub pool_key: Ulid,
    /// Digest of its host's machine id.
    pub machine: Digest,
    /// What it says of itself.
    pub about: About,
    /// The address it comes from.
    pub address: String,
}

impl Newcomer {
    /// The launcher that it is from `at` on, before any process of it took over.
    pub fn enrolled(self, at: UnixMillis) -> Launcher {
        Launcher {
            id: self.id,
            pool: self.pool,
            public_key: self.public_key,
            pool_key: self.pool_key,
            machine: self.machine,
            about: self.about,
            address: self.address,
            epoch: 0,
            process: String::new(),
            taken_over_at: UnixMillis(0),
            seen_at: UnixMillis(0),
            free_slots: 0,
            condition: None,
            intake: Intake::Open,
            standing: Standing::Active,
            enrolled_at: at,
        }
    }
}

impl Launcher {
    /// Whether it may get a run now, if it was heard of at `seen_after` or later.
    pub fn has_room(&self, seen_after: UnixMillis) -> bool {
        self.standing == Standing::Active
            && self.intake == Intake::Open
            && self.free_slots > 0
            && self.seen_at >= seen_after
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    pool_id: String,
    public_key: String,
    key_id: String,
    machine: String,
    about: String,
    address: String,
    epoch: i64,
    process: String,
    taken_over_at: i64,
    seen_at: i64,
    free_slots: i64,
    condition: Option<String>,
    intake: String,
    standing: String,
    standing_note: Option<String>,
    standing_at: i64,
    enrolled_at: i64,
}

impl TryFrom<Row> for Launcher {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = UnixMillis(row.standing_at);
        let standing = match row.standing.as_str() {
            PENDING => Standing::Pending { at },
            ACTIVE => Standing::Active,
            QUARANTINED => {
                let note = row.standing_note.unwrap_or_default();
                Standing::Quarantined { note, at }
            }
            REVOKED => Standing::Revoked { at },
            other => return Err(unreadable("standing", other)),
        };
        Ok(Self {
            id: parse("launcher id", &row.id)?,
            pool: parse("pool id", &row.pool_id)?,
            public_key: parse("launchers.public_key", &row.public_key)?,
            pool_key: parse("launchers.key_id", &row.key_id)?,
            machine: parse("machine", &row.machine)?,
            about: from_json("about", &row.about)?,
            address: row.address,
            epoch: u64::try_from(row.epoch).map_err(|_| unreadable("epoch", ""))?,
            process: row.process,
            taken_over_at: UnixMillis(row.taken_over_at),
            seen_at: UnixMillis(row.seen_at),
            free_slots: u32::try_from(row.free_slots).unwrap_or(0),
            condition: row
                .condition
                .map(|text| from_json("condition", &text))
                .transpose()?,
            intake: Intake::decode(&row.intake)?,
            standing,
            enrolled_at: UnixMillis(row.enrolled_at),
        })
    }
}

/// Adds a launcher that just enrolled; it has no process yet.
pub async fn insert(conn: &mut Conn, launcher: &Launcher) -> Result<(), StoreError> {
    let sql = "INSERT INTO launchers (id, pool_id, public_key, machine, about, address, epoch,
                 process, taken_over_at, seen_at, free_slots, intake, standing, standing_note,
                 standing_at, last_message, enrolled_at, key_id)
               VALUES ($1, $2, $3, $4, $5, $6, 0, '', 0, 0, 0, $7, $9, NULL, $8, 0, $8, $10)";
    sqlx::query(sql)
        .bind(launcher.id.to_string())
        .bind(launcher.pool.to_string())
        .bind(launcher.public_key.to_string())
        .bind(launcher.machine.to_string())
        .bind(to_json(&launcher.about))
        .bind(&launcher.address)
        .bind(launcher.intake.code())
        .bind(launcher.enrolled_at.0)
        .bind(launcher.standing.code())
        .bind(launcher.pool_key.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The launcher of this id, if there is one.
pub async fn find(conn: &mut Conn, id: LauncherId) -> Result<Option<Launcher>, StoreError> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM launchers WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(Launcher::try_from).transpose()
}

/// The launcher that registered this key, if there is one.
pub async fn find_key(conn: &mut Conn, key: EdPublic) -> Result<Option<Launcher>, StoreError> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM launchers WHERE public_key = $1")
        .bind(key.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(Launcher::try_from).transpose()
}

/// A pool's launcher of this id.
pub async fn get(conn: &mut Conn, pool: PoolId, id: LauncherId) -> Result<Launcher, StoreError> {
    let found = find(conn, id)
        .await?
        .filter(|launcher| launcher.pool == pool);
    found.ok_or_else(|| StoreError::NotFound {
        kind: "worker",
        id: id.to_string(),
    })
}

/// A pool's launchers that were not revoked, newest first.
pub async fn of_pool(conn: &mut Conn, pool: PoolId) -> Result<Vec<Launcher>, StoreError> {
    let sql = "SELECT * FROM launchers WHERE pool_id = $1 AND standing IN ('PENDING', 'ACTIVE', 'QUARANTINED')
               ORDER BY id DESC";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(pool.to_string())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Launcher::try_from).collect()
}

/// The launchers of each of these pools that were not revoked, newest first.
pub async fn of_pools(
    conn: &mut Conn,
    pools: &[PoolId],
) -> Result<HashMap<PoolId, Vec<Launcher>>, StoreError> {
    let sql = "SELECT pool_id AS owner, * FROM launchers
               WHERE pool_id IN ($list) AND standing IN ('PENDING', 'ACTIVE', 'QUARANTINED')
               ORDER BY id DESC";
    many::grouped::<Row, _, _>(conn, ("pool id", sql), pools).await
}

/// A pool's launchers that may get a run now, newest first.
pub async fn available(
    conn: &mut Conn,
    pool: PoolId,
    seen_after: UnixMillis,
) -> Result<Vec<Launcher>, StoreError> {
    let sql = "SELECT * FROM launchers WHERE pool_id = $1 AND standing = 'ACTIVE'
                 AND intake = 'OPEN' AND free_slots > 0 AND seen_at >= $2
               ORDER BY id DESC";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(pool.to_string())
        .bind(seen_after.0)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Launcher::try_from).collect()
}

/// A new process speaks for the launcher from now on.
pub async fn take_over(
    conn: &mut Conn,
    id: LauncherId,
    epoch: u64,
    process: &str,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "UPDATE launchers SET epoch = $2, process = $3, taken_over_at = $4, free_slots = 0,
                 condition = NULL
               WHERE id = $1";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(as_i64(epoch))
        .bind(process)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// A session began or was renewed: what the launcher says of itself now.
pub async fn describe(
    conn: &mut Conn,
    id: LauncherId,
    about: &About,
    at: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE launchers SET about = $2, seen_at = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(to_json(about))
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// It was heard of.
pub async fn seen(conn: &mut Conn, id: LauncherId, at: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("UPDATE launchers SET seen_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// It polled and said how many runs it would take, and why none.
pub async fn offers(
    conn: &mut Conn,
    id: LauncherId,
    free_slots: u32,
    condition: Option<&Condition>,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "UPDATE launchers SET free_slots = $2, seen_at = $3, condition = $4 WHERE id = $1";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(free_slots)
        .bind(at.0)
        .bind(condition.map(to_json))
        .execute(conn)
        .await?;
    Ok(())
}

/// It would take nothing until it says so again.
pub async fn take_offer_back(conn: &mut Conn, id: LauncherId) -> Result<(), StoreError> {
    sqlx::query("UPDATE launchers SET free_slots = 0 WHERE id = $1")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The poll of this moment broke off: what it offered counts no more, unless it was heard of since.
pub async fn offer_broke_off(
    conn: &mut Conn,
    id: LauncherId,
    polled_at: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE launchers SET free_slots = 0 WHERE id = $1 AND seen_at = $2")
        .bind(id.to_string())
        .bind(polled_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// One of its free slots was given a run.
pub async fn take_slot(conn: &mut Conn, id: LauncherId) -> Result<(), StoreError> {
    let sql = "UPDATE launchers SET free_slots = free_slots - 1 WHERE id = $1 AND free_slots > 0";
    sqlx::query(sql).bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Opens or closes its intake.
pub async fn set_intake(conn: &mut Conn, id: LauncherId, intake: Intake) -> Result<(), StoreError> {
    sqlx::query("UPDATE launchers SET intake = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(intake.code())
        .execute(conn)
        .await?;
    Ok(())
}

/// Changes whether it may speak. A revoked launcher stays revoked.
pub async fn set_standing(
    conn: &mut Conn,
    id: LauncherId,
    standing: &Standing,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let note = match standing {
        Standing::Quarantined { note, .. } => Some(note),
        Standing::Pending { .. } | Standing::Active | Standing::Revoked { .. } => None,
    };
    let sql = "UPDATE launchers SET standing = $2, standing_note = $3, standing_at = $4
               WHERE id = $1 AND standing <> 'REVOKED'";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(standing.code())
        .bind(note)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The launcher proved another key of its pool.
pub async fn set_key(conn: &mut Conn, id: LauncherId, key: Ulid) -> Result<(), StoreError> {
    sqlx::query("UPDATE launchers SET key_id = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(key.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Remembers a used nonce; `false` when it was used before.
pub async fn use_nonce(
    conn: &mut Conn,
    nonce: &str,
    expires_at: UnixMillis,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO used_nonces (nonce, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql)
        .bind(nonce)
        .bind(expires_at.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets nonces that are refused by their time alone.
pub async fn forget_nonces(store: &Store, before: UnixMillis) -> Result<(), StoreError> {
    let old: Option<(i64,)> =
        sqlx::query_as("SELECT 1 FROM used_nonces WHERE expires_at < $1 LIMIT 1")
            .bind(before.0)
            .fetch_optional(&mut *store.read().await?)
            .await?;
    if old.is_none() {
        return Ok(());
    }
    let mut tx = store.begin().await?;
    sqlx::query("DELETE FROM used_nonces WHERE expires_at < $1")
        .bind(before.0)
        .execute(&mut *tx)
        .await?;
    // Nobody waits for this change.
    Ok(tx.commit().await?)
}

/// Numbers from the wire that fit a column: epochs and message ids count from one and never get near.
pub(super) fn as_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
