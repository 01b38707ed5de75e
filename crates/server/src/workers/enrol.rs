//! Enrolment: a holder of the pool's private key registers a launcher's own key.
//!
//! Takes a nonce's proof signed with the pool key, gives the launcher's id. Never: an identity that the
//! proof does not cover. What the launcher says about itself is shown to people and trusted for nothing.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::session::{About, EnrolProof, EnrolRequest, Enrolled, Nonce};
use gantry_protocol::crypto::jws;
use gantry_protocol::{LauncherId, PoolId};
use serde::Deserialize;
use serde_json::json;

use super::PeerAddr;
use super::control::Control;
use super::nonce;
use super::problem::Refusal;
use super::proof::{claimed, spend, unfit};
use crate::clock::UnixMillis;
use crate::domain::Actor;
use crate::pki;
use crate::store::audit::{self, Deed};
use crate::store::launchers::{self, Intake, Launcher, Standing};
use crate::store::pools::{self, Pool};

/// Most bytes that a launcher may say of itself.
const MAX_ABOUT: usize = 64 << 10;

/// The sender's address, where the server knows it.
pub(super) type Sender = Option<Extension<ConnectInfo<PeerAddr>>>;

pub(super) async fn nonce(State(control): State<Arc<Control>>) -> Json<Nonce> {
    let nonce = nonce::make(control.keys.nonce(), UnixMillis::now());
    Json(Nonce { nonce })
}

pub(super) async fn enrol(
    State(control): State<Arc<Control>>,
    sender: Sender,
    body: Result<Json<EnrolRequest>, JsonRejection>,
) -> Result<Json<Enrolled>, Refusal> {
    let Json(request) = body.map_err(|error| Refusal::malformed(error.body_text()))?;
    #[derive(Deserialize)]
    struct Claim {
        pool: PoolId,
    }
    check_about(&request.about)?;
    let now = UnixMillis::now();
    let address = sender.map(|Extension(ConnectInfo(PeerAddr(address)))| address.ip());
    let Claim { pool } = claimed(&request.proof)?;
    if !control.enrolments.pass((pool, address), now) {
        let text =
            format!("too many enrolments in pool {pool} from this address; try again in a minute");
        return Err(Refusal::new(ProblemCode::Limited, text));
    }
    let (pool, proof) = control.checked(pool, &request.proof).await?;
    let expiry = control.check_proof(&proof.audience, &proof.nonce, now)?;
    let mut tx = control.store.begin().await?;
    spend(&mut tx, &proof.nonce, expiry).await?;
    let launcher = match launchers::find_key(&mut tx, proof.launcher_key).await? {
        Some(known) => known_again(&pool, known)?,
        None => {
            let launcher = control.newcomer(&pool, &proof, request.about, address, now);
            launchers::insert(&mut tx, &launcher).await?;
            let id = launcher.id;
            control.audit(&mut tx, id, "launcher.enrol", json!({"pool": pool.id, "address": launcher.address, "host": launcher.about.host})).await?;
            id
        }
    };
    control.store.commit(tx).await?;
    Ok(Json(Enrolled { launcher }))
}

/// What a launcher says of itself is kept and shown: it has to stay small.
pub(super) fn check_about(about: &About) -> Result<(), Refusal> {
    let tags = about
        .metadata
        .iter()
        .map(|(name, value)| name.len() + value.len());
    let size = about.version.len() + about.arch.len() + about.host.len() + tags.sum::<usize>();
    if size <= MAX_ABOUT {
        return Ok(());
    }
    let text = format!(
        "a launcher's tags (`SPACELIFT_METADATA_*`) have {size} bytes; at most {MAX_ABOUT} are taken"
    );
    Err(Refusal::new(ProblemCode::TooLarge, text))
}

/// The answer to an earlier enrolment got lost, and the launcher asks again with the same key.
fn known_again(pool: &Pool, known: Launcher) -> Result<LauncherId, Refusal> {
    if known.pool != pool.id {
        return Err(unfit("the launcher's key belongs to another pool"));
    }
    match known.standing {
        Standing::Active | Standing::Quarantined { .. } => Ok(known.id),
        Standing::Revoked { .. } => Err(revoked(known.id)),
    }
}

pub(super) fn revoked(launcher: LauncherId) -> Refusal {
    let text = format!(
        "launcher {launcher} was revoked; a person has to decide whether this host may enrol again"
    );
    Refusal::new(ProblemCode::Revoked, text)
}

impl Control {
    /// The pool that a proof names, and the proof once its signature is the pool's.
    async fn checked(&self, pool: PoolId, proof: &str) -> Result<(Pool, EnrolProof), Refusal> {
        let found = pools::find(&mut *self.store.read().await?, pool).await?;
        let unknown = || {
            unfit(format!(
                "pool {pool} does not exist here, or the proof is not signed with its private key"
            ))
        };
        let found = found.ok_or_else(unknown)?;
        let key = pki::public_key(&found.public_key).ok_or_else(unknown)?;
        let proof: EnrolProof = jws::verify_pool(proof, &key).map_err(|_| unknown())?;
        // One document, read twice: the checked reading decides.
        if proof.pool == pool {
            Ok((found, proof))
        } else {
            Err(unknown())
        }
    }

    fn newcomer(
        &self,
        pool: &Pool,
        proof: &EnrolProof,
        about: About,
        address: Option<IpAddr>,
        now: UnixMillis,
    ) -> Launcher {
        Launcher {
            id: LauncherId::from_ulid(self.store.new_id()),
            pool: pool.id,
            public_key: proof.launcher_key,
            machine: proof.machine,
            about,
            address: address.map(|ip| ip.to_string()).unwrap_or_default(),
            epoch: 0,
            process: String::new(),
            taken_over_at: UnixMillis(0),
            seen_at: UnixMillis(0),
            free_slots: 0,
            condition: None,
            intake: Intake::Open,
            standing: Standing::Active,
            enrolled_at: now,
        }
    }

    /// Writes a launcher's deed to the audit trail.
    pub(super) async fn audit(
        &self,
        tx: &mut crate::store::Tx,
        launcher: LauncherId,
        action: &'static str,
        detail: serde_json::Value,
    ) -> Result<(), Refusal> {
        let actor = Actor::Launcher(launcher);
        let subject = format!("launcher:{launcher}");
        let deed = Deed {
            actor: &actor,
            action,
            subject,
            detail,
        };
        Ok(audit::record(&self.store, tx, deed).await?)
    }
}
