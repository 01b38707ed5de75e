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
use crate::domain::{Actor, Admission};
use crate::pki;
use crate::store::audit::{self, Deed};
use crate::store::launchers::{self, Launcher, Newcomer, Standing};
use crate::store::pool_keys::{self, PoolKey};
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
    let (pool, key, proof) = control.checked(pool, &request.proof, now).await?;
    let expiry = control.check_proof(&proof.audience, &proof.nonce, now)?;
    let mut tx = control.store.begin().await?;
    spend(&mut tx, &proof.nonce, expiry).await?;
    let launcher = match launchers::find_key(&mut tx, proof.launcher_key).await? {
        Some(known) => {
            let id = known_again(&pool, known)?;
            launchers::set_key(&mut tx, id, key.id).await?;
            id
        }
        None => {
            let newcomer = control.newcomer(&pool, &key, &proof, request.about, address);
            control.take_in(&mut tx, &pool, newcomer, now).await?
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
        Standing::Pending { .. } | Standing::Active | Standing::Quarantined { .. } => Ok(known.id),
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
    /// The pool that a proof names, that key of it which signed the proof, and the proof. A former key counts
    /// as long as the overlap of its reset lasts.
    async fn checked(
        &self,
        pool: PoolId,
        proof: &str,
        now: UnixMillis,
    ) -> Result<(Pool, PoolKey, EnrolProof), Refusal> {
        let mut conn = self.store.read().await?;
        let found = pools::find(&mut conn, pool).await?;
        let unknown = || {
            unfit(format!(
                "pool {pool} does not exist here, or the proof is not signed with its private key, or the key was replaced and its time is over"
            ))
        };
        let found = found.ok_or_else(unknown)?;
        for key in pool_keys::valid(&mut conn, pool, now).await? {
            let public = pki::public_key(&key.public_key).ok_or_else(unknown)?;
            let Ok(proof) = jws::verify_pool::<EnrolProof>(proof, &public) else {
                continue;
            };
            // One document, read twice: the checked reading decides.
            if proof.pool == pool {
                return Ok((found, key, proof));
            }
        }
        Err(unknown())
    }

    /// Takes a newcomer into the pool, as far as the pool's rules let it in.
    async fn take_in(
        &self,
        tx: &mut crate::store::Tx,
        pool: &Pool,
        newcomer: Newcomer,
        now: UnixMillis,
    ) -> Result<LauncherId, Refusal> {
        let known = launchers::of_pool(tx, pool.id).await?.len();
        let address = newcomer.address.parse().ok();
        let admission = pool.enrolment.check(address, known).map_err(|why| {
            let (id, host) = (pool.id, &newcomer.about.host);
            let text = format!("host `{host}` can't enrol in pool {id}: {why}");
            tracing::warn!("{text}");
            Refusal::new(ProblemCode::Revoked, text)
        })?;
        let mut launcher = newcomer.enrolled(now);
        if admission == Admission::Approval {
            launcher.standing = Standing::Pending { at: now };
        }
        launchers::insert(tx, &launcher).await?;
        let detail = json!({"pool": pool.id, "address": launcher.address,
            "host": launcher.about.host, "key": launcher.pool_key,
            "waits_for_approval": admission == Admission::Approval});
        self.audit(tx, launcher.id, "launcher.enrol", detail)
            .await?;
        Ok(launcher.id)
    }

    fn newcomer(
        &self,
        pool: &Pool,
        key: &PoolKey,
        proof: &EnrolProof,
        about: About,
        address: Option<IpAddr>,
    ) -> Newcomer {
        Newcomer {
            id: LauncherId::from_ulid(self.store.new_id()),
            pool: pool.id,
            public_key: proof.launcher_key,
            pool_key: key.id,
            machine: proof.machine,
            about,
            address: address.map(|ip| ip.to_string()).unwrap_or_default(),
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
