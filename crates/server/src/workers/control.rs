//! What every request of a launcher works with.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use gantry_protocol::{LauncherId, PoolId};
use tokio_util::sync::CancellationToken;

use super::limits::RateLimit;
use crate::blobs::Blobs;
use crate::clock::UnixMillis;
use crate::dispatch::{Bells, Dispatcher, Terms};
use crate::logstore::LogStore;
use crate::pki::Keyring;
use crate::plans::PlanKeeper;
use crate::policies::Judge;
use crate::store::Store;
use crate::tfstate::StateKeeper;
use crate::vault::Vault;

/// What a server is called whose operator gave it no name.
pub const DEFAULT_ACCOUNT: &str = "gantry";

/// Limits and addresses of the control channel.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's address as pool tokens name it: proofs for another one are refused.
    pub public_url: String,
    /// The name of this installation, as runs and policies see it.
    pub account: Arc<str>,
    /// How leases live and end.
    pub terms: Terms,
    /// Largest sealed workspace in bytes.
    pub workspace_limit: u64,
    /// The program whose children evaluate policies; none is this one.
    pub policy_program: Option<PathBuf>,
}

impl Settings {
    /// The documented defaults.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into().trim_end_matches('/').to_owned(),
            account: Arc::from(DEFAULT_ACCOUNT),
            terms: Terms::default(),
            workspace_limit: 1 << 30,
            policy_program: None,
        }
    }
}

/// The server's end of the control channel.
#[derive(Debug)]
pub struct Control {
    /// The database.
    pub store: Arc<Store>,
    /// The object storage.
    pub blobs: Arc<Blobs>,
    /// The server's keys.
    pub keys: Arc<Keyring>,
    /// Logs.
    pub logs: LogStore,
    /// Managed state.
    pub state: StateKeeper,
    /// Plans as data.
    pub plans: PlanKeeper,
    /// Policies.
    pub judge: Judge,
    /// Hands runs out.
    pub dispatcher: Dispatcher,
    /// Wakes long polls.
    pub bells: Arc<Bells>,
    /// Limits and addresses.
    pub settings: Settings,
    /// Cancelled when the server stops: long polls answer at once.
    pub stopping: CancellationToken,
    pub(super) enrolments: RateLimit<(PoolId, Option<IpAddr>)>,
    pub(super) sessions: RateLimit<LauncherId>,
}

/// Enrolments of one pool from one address: this many at once, and per minute.
const ENROLMENTS: u32 = 30;

/// Sessions of one launcher: this many at once, and per minute.
const SESSIONS: u32 = 30;

impl Control {
    /// Puts the parts together; must be called inside a runtime.
    pub fn new(
        store: Arc<Store>,
        vault: Arc<Vault>,
        blobs: Arc<Blobs>,
        keys: Arc<Keyring>,
        settings: Settings,
    ) -> Arc<Self> {
        let bells = Arc::new(Bells::default());
        let logs = LogStore::start(Arc::clone(&store), Arc::clone(&blobs));
        let plans = PlanKeeper::new(Arc::clone(&store), Arc::clone(&vault), Arc::clone(&blobs));
        let dispatcher = Dispatcher::new(
            (Arc::clone(&store), Arc::clone(&vault), plans.clone()),
            Arc::clone(&keys),
            Arc::clone(&bells),
            settings.terms,
            Arc::clone(&settings.account),
            UnixMillis::now(),
        );
        let program = settings.policy_program.clone();
        let judge = Judge::new(Arc::clone(&store), plans.clone(), program);
        let state = StateKeeper::new(Arc::clone(&store), vault, Arc::clone(&blobs));
        Arc::new(Self {
            store,
            blobs,
            keys,
            logs,
            state,
            plans,
            judge,
            dispatcher,
            bells,
            settings,
            stopping: CancellationToken::new(),
            enrolments: RateLimit::new(ENROLMENTS, 60_000),
            sessions: RateLimit::new(SESSIONS, 60_000),
        })
    }
}
