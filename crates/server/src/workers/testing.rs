//! Launchers for tests of the store's users. Never used outside tests.

use gantry_protocol::control::session::About;
use gantry_protocol::crypto::EdKey;
use gantry_protocol::{Digest, LauncherId, PoolId};
use ulid::Ulid;

use crate::clock::UnixMillis;
use crate::store::launchers::{Intake, Launcher, Standing};

/// A launcher that just enrolled.
pub(crate) fn newcomer(pool: PoolId) -> Launcher {
    Launcher {
        id: LauncherId::from_ulid(Ulid::generate()),
        pool,
        public_key: EdKey::generate().public(),
        machine: Digest::of(b"machine"),
        about: About::default(),
        address: "192.0.2.1".to_owned(),
        epoch: 0,
        process: String::new(),
        taken_over_at: UnixMillis(0),
        seen_at: UnixMillis(0),
        free_slots: 0,
        intake: Intake::Open,
        standing: Standing::Active,
        enrolled_at: UnixMillis::now(),
    }
}
