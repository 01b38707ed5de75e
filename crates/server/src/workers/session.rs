//! Sessions: a launcher's process proves the launcher's key and gets a short-lived token.
//!
//! Takes proofs, gives tokens; takes tokens, gives a [`Speaker`]. Never: an identity from anywhere but a
//! token of ours, a request whose launcher was not looked up again.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::session::{Claim, Session, SessionProof, SessionRequest};
use gantry_protocol::crypto::{Signed, jws};
use gantry_protocol::{LauncherId, PoolId, Secret};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::control::Control;
use super::enrol::{check_about, revoked};
use super::epochs::{Newest, Speech, Takeovers};
use super::problem::Refusal;
use super::proof::{claimed, spend, unfit};
use crate::clock::UnixMillis;
use crate::store::launchers::{self, Launcher, Standing};
use crate::store::{Tx, leases, pool_keys, pools};

/// Seconds that a session token is good for.
const SESSION_SECONDS: i64 = 600;

/// What a session token says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionClaims {
    launcher: LauncherId,
    pool: PoolId,
    epoch: u64,
    aud: String,
    exp: i64,
}

impl Signed for SessionClaims {
    const TYP: &'static str = "gantry-session-token+jws";
}

/// The process that sent a request, as its token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// The launcher.
    pub launcher: LauncherId,
    /// Its pool.
    pub pool: PoolId,
    /// The process's epoch.
    pub epoch: u64,
}

pub(super) async fn session(
    State(control): State<Arc<Control>>,
    body: Result<Json<SessionRequest>, JsonRejection>,
) -> Result<Json<Session>, Refusal> {
    let Json(request) = body.map_err(|error| Refusal::malformed(error.body_text()))?;
    #[derive(Deserialize)]
    struct Claim {
        launcher: LauncherId,
    }
    check_about(&request.about)?;
    let now = UnixMillis::now();
    let Claim { launcher } = claimed(&request.proof)?;
    if !control.sessions.pass(launcher, now) {
        let text = format!("too many sessions for launcher {launcher}; try again in a minute");
        return Err(Refusal::new(ProblemCode::Limited, text));
    }
    let unknown = || {
        unfit(format!(
            "launcher {launcher} is not enrolled here, or the proof is not signed with its key; move its data directory away to enrol afresh"
        ))
    };
    let known = launchers::find(&mut *control.store.read().await?, launcher).await?;
    let key = known.ok_or_else(unknown)?.public_key;
    let proof: SessionProof = jws::verify_ed(&request.proof, &[key]).map_err(|_| unknown())?;
    if proof.launcher != launcher {
        return Err(unknown());
    }
    let expiry = control.check_proof(&proof.audience, &proof.nonce, now)?;
    let mut tx = control.store.begin().await?;
    spend(&mut tx, &proof.nonce, expiry).await?;
    let known = launchers::find(&mut tx, launcher)
        .await?
        .ok_or_else(unknown)?;
    control.check_pool(&mut tx, &known, now).await?;
    let epoch = match control.admit(&mut tx, &known, &proof.claim, now).await {
        Ok(epoch) => epoch,
        Err(refusal) => {
            // A quarantine has to outlive the refusal that reports it.
            control.store.commit(tx).await?;
            control.bells.ring(launcher);
            return Err(refusal);
        }
    };
    launchers::describe(&mut tx, launcher, &request.about, now).await?;
    control.store.commit(tx).await?;
    // The process before hears at once that it is fenced.
    control.bells.ring(launcher);
    let speaker = Speaker {
        launcher,
        pool: known.pool,
        epoch,
    };
    Ok(Json(control.grant_session(speaker, now)?))
}

impl Control {
    /// Refuses launchers whose standing or pool is gone, and those whose pool key is over once they have no run.
    async fn check_pool(
        &self,
        tx: &mut Tx,
        known: &Launcher,
        now: UnixMillis,
    ) -> Result<(), Refusal> {
        standing(known)?;
        let gone = |text: String| Err(Refusal::new(ProblemCode::Revoked, text));
        let pool = known.pool;
        if pools::find(tx, pool).await?.is_none() {
            return gone(format!(
                "pool {pool} was deleted; this launcher has nothing left to do"
            ));
        }
        let key = pool_keys::find(tx, known.pool_key).await?;
        if key.is_some_and(|key| key.is_valid(now)) || !leases::held(tx, known.id).await?.is_empty()
        {
            return Ok(());
        }
        gone(format!(
            "pool {pool} was reset, and the key that launcher {} enrolled with is over; give it the pool's new token and key",
            known.id
        ))
    }

    /// Rules about a claim and makes the ruling so: see [`super::epochs`].
    async fn admit(
        &self,
        tx: &mut Tx,
        known: &Launcher,
        claim: &Claim,
        now: UnixMillis,
    ) -> Result<u64, Refusal> {
        match claim {
            Claim::Takeover(takeover) => {
                if takeover.process.is_empty() || takeover.process.len() > 100 {
                    return Err(Refusal::malformed(
                        "a takeover needs a process id of 1 to 100 characters",
                    ));
                }
                match newest(known).take_over(takeover, now) {
                    Takeovers::Again(epoch) => Ok(epoch),
                    Takeovers::Next(epoch) => {
                        launchers::take_over(tx, known.id, epoch, &takeover.process, now).await?;
                        let detail = json!({"epoch": epoch, "previous": takeover.previous_epoch});
                        self.audit(tx, known.id, "launcher.take_over", detail)
                            .await?;
                        Ok(epoch)
                    }
                    Takeovers::Copy => {
                        let shown = takeover.previous_epoch;
                        Err(self
                            .quarantine(tx, known, shown, "asked to take over", now)
                            .await?)
                    }
                }
            }
            Claim::Renew { epoch } => match newest(known).renew(*epoch, now) {
                Speech::Newest => Ok(*epoch),
                Speech::Fenced => Err(fenced(known, *epoch)),
                Speech::Copy => Err(self
                    .quarantine(tx, known, *epoch, "asked for a new session", now)
                    .await?),
            },
        }
    }

    /// Shuts both processes out and gives the refusal that says so.
    async fn quarantine(
        &self,
        tx: &mut Tx,
        known: &Launcher,
        shown: u64,
        did: &str,
        now: UnixMillis,
    ) -> Result<Refusal, Refusal> {
        let note = format!(
            "a process with epoch {shown} {did} while the process with epoch {} lives: two processes hold this launcher's identity (a copied data directory or disk)",
            known.epoch
        );
        tracing::warn!(launcher = %known.id, host = %known.about.host, %note, "launcher quarantined");
        let detail = json!({"shown": shown, "newest": known.epoch});
        let standing = Standing::Quarantined {
            note: note.clone(),
            at: now,
        };
        launchers::set_standing(tx, known.id, &standing, now).await?;
        self.audit(tx, known.id, "launcher.quarantine", detail)
            .await?;
        Ok(quarantined(known.id, &note))
    }

    fn grant_session(&self, speaker: Speaker, now: UnixMillis) -> Result<Session, Refusal> {
        let claims = SessionClaims {
            launcher: speaker.launcher,
            pool: speaker.pool,
            epoch: speaker.epoch,
            aud: self.settings.public_url.clone(),
            exp: now.seconds() + SESSION_SECONDS,
        };
        let token = jws::sign_ed(&claims, self.keys.session()).map_err(Refusal::internal)?;
        Ok(Session {
            token: Secret::new(token),
            expires_in: SESSION_SECONDS.unsigned_abs(),
            epoch: speaker.epoch,
            lease_seconds: self.settings.terms.lease_seconds(),
            now: now.seconds(),
            server_keys: self.keys.envelope_keys(),
        })
    }

    fn speaker(&self, token: &str, now: UnixMillis) -> Result<Speaker, Refusal> {
        let none = || Refusal::new(ProblemCode::Session, "no valid session; make a new one");
        let keys = [self.keys.session().public()];
        let claims: SessionClaims = jws::verify_ed(token, &keys).map_err(|_| none())?;
        if claims.exp <= now.seconds() || claims.aud != self.settings.public_url {
            return Err(none());
        }
        Ok(Speaker {
            launcher: claims.launcher,
            pool: claims.pool,
            epoch: claims.epoch,
        })
    }

    /// Looks the speaker up again: it may have been revoked, quarantined or fenced since its token was made.
    pub(super) async fn still_speaks(&self, speaker: Speaker) -> Result<Launcher, Refusal> {
        let now = UnixMillis::now();
        let known = launchers::find(&mut *self.store.read().await?, speaker.launcher).await?;
        let known = known.ok_or_else(|| revoked(speaker.launcher))?;
        standing(&known)?;
        match newest(&known).speak(speaker.epoch, now) {
            Speech::Newest => Ok(known),
            Speech::Fenced => Err(fenced(&known, speaker.epoch)),
            Speech::Copy => {
                let mut tx = self.store.begin().await?;
                let refusal = self
                    .quarantine(&mut tx, &known, speaker.epoch, "went on speaking", now)
                    .await?;
                self.store.commit(tx).await?;
                self.bells.ring(known.id);
                Err(refusal)
            }
        }
    }
}

impl FromRequestParts<Arc<Control>> for Speaker {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        control: &Arc<Control>,
    ) -> Result<Self, Refusal> {
        let bearer = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = bearer
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        let speaker = control.speaker(token.trim(), UnixMillis::now())?;
        control.still_speaks(speaker).await?;
        Ok(speaker)
    }
}

fn newest(known: &Launcher) -> Newest<'_> {
    Newest {
        epoch: known.epoch,
        process: &known.process,
        taken_over_at: known.taken_over_at,
        seen_at: known.seen_at,
    }
}

fn standing(known: &Launcher) -> Result<(), Refusal> {
    match &known.standing {
        Standing::Active => Ok(()),
        Standing::Pending { .. } => Err(pending(known)),
        Standing::Quarantined { note, .. } => Err(quarantined(known.id, note)),
        Standing::Revoked { .. } => Err(revoked(known.id)),
    }
}

/// Passing, so that the launcher asks again until somebody lets it in.
fn pending(known: &Launcher) -> Refusal {
    let text = format!(
        "launcher {} on host `{}` waits until an administrator lets it into pool {} (`gantry pool approve`)",
        known.id, known.about.host, known.pool
    );
    Refusal::new(ProblemCode::Limited, text)
}

fn quarantined(launcher: LauncherId, note: &str) -> Refusal {
    let text = format!(
        "launcher {launcher} is quarantined: {note}; remove one of them, then end the quarantine"
    );
    Refusal::new(ProblemCode::Quarantined, text)
}

fn fenced(known: &Launcher, epoch: u64) -> Refusal {
    let text = format!(
        "launcher {} has a newer process (epoch {}, this one has {epoch}); this process has to end",
        known.id, known.epoch
    );
    Refusal::new(ProblemCode::Fenced, text)
}
