//! From news to deliveries, and from deliveries to answers.
//!
//! Takes states that runs entered and makes one delivery for each who is to be told; sends what is due, several
//! at once, and tries again later and later. Never: a run that waits for any of it, an older status sent after a
//! newer one.

use std::sync::Arc;

use futures_util::StreamExt as _;
use hmac::{Hmac, Mac};
use rand_core::{OsRng, RngCore};
use sha2::Sha256;

use super::message::Word;
use super::{hosts, message};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::code_hosts::Client;
use crate::error::chain;
use crate::outgoing;
use crate::store::commit::Commit;
use crate::store::integrations::Integration;
use crate::store::outbox::{self, Delivery, DeliveryStanding, Recipient, Target, secret_purpose};
use crate::store::runs::{self, RunRecord, TransitionRow};
use crate::store::stacks::Stack;
use crate::store::{Store, StoreError, Tx, integrations, spaces};

/// News that are handled in one transaction, and deliveries that are sent in one go.
const BATCH: u32 = 64;

/// Requests at the same time.
const AT_ONCE: usize = 8;

/// How often a delivery is tried; with the waits between, for about nine hours.
const ATTEMPTS: u32 = 14;

/// The first and the longest wait before a delivery is tried again, in milliseconds.
const WAIT: (i64, i64) = (5_000, 60 * 60 * 1000);

/// Makes deliveries of all news.
///
/// # Errors
/// When the database fails; the news wait.
pub async fn tell(app: Arc<App>) -> Result<(), StoreError> {
    loop {
        let news = outbox::untold(&mut *app.store.read().await?, BATCH).await?;
        if news.is_empty() {
            return Ok(());
        }
        let mut tx = app.store.begin().await?;
        for (run, version) in news {
            let record = runs::get(&mut tx, run).await?;
            let entered = runs::history(&mut tx, run).await?;
            let entered = entered.into_iter().find(|row| row.version == version);
            if let Some(entered) = entered {
                let told = News {
                    app: &app,
                    record: &record,
                    entered: &entered,
                };
                told.to_targets(&mut tx).await?;
                told.to_code_host(&mut tx).await?;
            }
            outbox::told(&mut tx, run, version).await?;
        }
        app.store.commit(tx).await?;
    }
}

/// A state that a run entered.
struct News<'a> {
    app: &'a App,
    record: &'a RunRecord,
    entered: &'a TransitionRow,
}

impl News<'_> {
    async fn to_targets(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let lineage = spaces::lineage(tx, &self.record.settings.space).await?;
        let state = self.entered.state.as_str();
        for target in outbox::targets(tx).await? {
            let wanted = target.states.is_empty() || target.states.iter().any(|s| s == state);
            if !wanted || !target.enabled || !lineage.contains(&target.space) {
                continue;
            }
            let mut delivery = self.delivery(Recipient::Target(target.id));
            let id = delivery.id.to_string();
            let body = message::body(&id, &self.app.base_url, self.record, self.entered);
            delivery.body = body.to_string();
            outbox::add(tx, &delivery).await?;
        }
        Ok(())
    }

    async fn to_code_host(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let settings = &self.record.settings;
        let serving = integrations::serving(tx, &settings.url, &settings.space).await?;
        let Some(one) = serving.filter(is_told) else {
            return Ok(());
        };
        let api = (one.host, one.api_url.as_deref().unwrap_or_default());
        let (base, state) = (&self.app.base_url, self.entered.state);
        for (path, body) in hosts::messages(api, base, self.record, state) {
            let recipient = Recipient::CodeHost(one.id.clone());
            let delivery = Delivery {
                path,
                body: body.to_string(),
                ..self.delivery(recipient)
            };
            outbox::add(tx, &delivery).await?;
        }
        Ok(())
    }

    fn delivery(&self, recipient: Recipient) -> Delivery {
        Delivery {
            id: self.app.store.new_id(),
            recipient,
            run: self.record.run.id,
            state: self.entered.state,
            path: String::new(),
            body: String::new(),
            attempts: 0,
            answer: None,
            standing: DeliveryStanding::Waiting,
            created_at: UnixMillis::now(),
        }
    }
}

/// Sends what is due.
///
/// # Errors
/// When the database fails. What a recipient does stands at its delivery.
pub async fn deliver(app: Arc<App>) -> Result<(), StoreError> {
    loop {
        let now = UnixMillis::now();
        let due = outbox::due(&mut *app.store.read().await?, now, BATCH).await?;
        if due.is_empty() {
            return Ok(());
        }
        let app = &app;
        let mut done = futures_util::stream::iter(due)
            .map(|delivery| async move { one(app, &delivery).await })
            .buffer_unordered(AT_ONCE);
        while let Some(done) = done.next().await {
            done?;
        }
    }
}

/// What came of one attempt.
enum Went {
    Taken(u16),
    Pointless(&'static str),
    Failed(String),
}

async fn one(app: &App, delivery: &Delivery) -> Result<(), StoreError> {
    let went = attempt(app, delivery).await?;
    let now = UnixMillis::now();
    let (answer, standing) = match went {
        Went::Taken(status) => (format!("status {status}"), DeliveryStanding::Sent),
        Went::Pointless(why) => (why.to_owned(), DeliveryStanding::Superseded),
        Went::Failed(why) if delivery.attempts + 1 >= ATTEMPTS => {
            tracing::warn!(delivery = %delivery.id, run = %delivery.run, error = why, "a message about a run was given up");
            (why, DeliveryStanding::GivenUp)
        }
        Went::Failed(why) => (why, DeliveryStanding::Waiting),
    };
    let next = now.plus(wait(delivery.attempts));
    write(&app.store, delivery, (&answer, standing), (now, next)).await
}

async fn write(
    store: &Store,
    delivery: &Delivery,
    went: (&str, DeliveryStanding),
    times: (UnixMillis, UnixMillis),
) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    outbox::went(&mut tx, delivery.id, went, times).await?;
    store.commit(tx).await
}

async fn attempt(app: &App, delivery: &Delivery) -> Result<Went, StoreError> {
    let mut conn = app.store.read().await?;
    if outbox::superseded(&mut conn, delivery).await? {
        return Ok(Went::Pointless("a newer one says more"));
    }
    match &delivery.recipient {
        Recipient::Target(id) => {
            let found = outbox::find_target(&mut conn, *id).await?;
            // A slow recipient keeps no connection of the database.
            drop(conn);
            Ok(match found {
                Some(target) => to_target(app, &target, delivery).await,
                None => Went::Pointless("the target was deleted"),
            })
        }
        Recipient::CodeHost(id) => {
            let found = integrations::find(&mut conn, id).await?;
            drop(conn);
            Ok(match found.filter(is_told) {
                Some(one) => to_host(app, &one, delivery).await,
                None => Went::Pointless("the integration sends nothing back any more"),
            })
        }
    }
}

/// Tells a commit's host that a push of it starts nothing, at once; what went wrong is given in words. Where nothing goes
/// back to the host, nothing goes wrong.
///
/// # Errors
/// When the database fails.
pub async fn ignored(
    app: &App,
    stack: &Stack,
    commit: &Commit,
    word: &Word,
) -> Result<Result<(), String>, StoreError> {
    let (url, space) = (&stack.settings.code.url, &stack.settings.space);
    let mut conn = app.store.read().await?;
    let serving = integrations::serving(&mut conn, url, space).await?;
    drop(conn);
    let Some(one) = serving.filter(is_told) else {
        return Ok(Ok(()));
    };
    let api = (one.host, one.api_url.as_deref().unwrap_or_default());
    let Some((path, body)) = hosts::ignored(api, &app.base_url, (stack, commit), word) else {
        return Ok(Ok(()));
    };
    let told = async {
        let client = Client::open(app, &one).await?;
        client.tell(&path, body.to_string()).await
    };
    Ok(told.await.map(drop).map_err(|error| chain(&error)))
}

/// Whether a code host is sent anything: there is somewhere to send it, and something to prove it with.
fn is_told(one: &Integration) -> bool {
    let api = one.api_url.as_deref();
    // An agent may hold the token itself.
    api.is_some_and(|api| one.token.is_some() || api.starts_with("private://"))
}

async fn to_target(app: &App, target: &Target, delivery: &Delivery) -> Went {
    let purpose = secret_purpose(target.id);
    let secret = match app.vault.open_text(&purpose, &target.secret) {
        Ok(secret) => secret,
        Err(error) => return Went::Failed(chain(&error)),
    };
    let headers = signed(secret.expose(), delivery, UnixMillis::now().seconds());
    let body = delivery.body.clone();
    match outgoing::post(&app.networks, &target.url, &headers, body).await {
        Ok(status) => Went::Taken(status),
        Err(error) => Went::Failed(chain(&error)),
    }
}

async fn to_host(app: &App, one: &Integration, delivery: &Delivery) -> Went {
    let told = async {
        let client = Client::open(app, one).await?;
        client.tell(&delivery.path, delivery.body.clone()).await
    };
    match told.await {
        Ok(status) => Went::Taken(status.as_u16()),
        Err(error) => Went::Failed(chain(&error)),
    }
}

/// Headers of a message to people's own servers. The signature is over `<time>.<body>`, so that neither an
/// old message nor a changed one passes for a new one.
fn signed(secret: &str, delivery: &Delivery, now: i64) -> Vec<(&'static str, String)> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .expect("invariant: HMAC takes keys of any length");
    mac.update(format!("{now}.{}", delivery.body).as_bytes());
    let bytes = mac.finalize().into_bytes();
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    vec![
        ("Gantry-Delivery", delivery.id.to_string()),
        ("Gantry-Event", "run.state_changed".to_owned()),
        ("Gantry-Timestamp", now.to_string()),
        ("Gantry-Signature-256", format!("sha256={hex}")),
    ]
}

/// Milliseconds before the next attempt: doubled each time, a quarter more or less.
fn wait(attempts: u32) -> i64 {
    let doubled = WAIT.0.saturating_mul(1 << attempts.min(12)).min(WAIT.1);
    let quarter = doubled / 4;
    doubled - quarter + i64::from(OsRng.next_u32()) % (2 * quarter)
}
