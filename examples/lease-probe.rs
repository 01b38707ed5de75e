//! Measures how long lease renewals take: a launcher that takes one lease and does nothing but renew it.
//!
//! Takes the launcher's variables. Gives one line per renewal on standard output, in microseconds, until it
//! is ended. `scripts/bench` runs it beside a real launcher that floods the server with log bytes. It never
//! executes anything: the lease that it takes is lost when it ends.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use gantry_launcher::config::{Config, Environment};
use gantry_launcher::identity::DataDir;
use gantry_launcher::session::{Session, Start, establish};
use gantry_launcher::token::PoolCredentials;
use gantry_protocol::control::envelope::{Expected, verify};
use gantry_protocol::control::inbox::{Content, Poll};
use gantry_protocol::control::run::Lease;
use gantry_protocol::control::session::About;
use time::OffsetDateTime;
use tokio::time::Instant;

/// Between two renewals: a hundred a second is far above what launchers do.
const PAUSE: Duration = Duration::from_millis(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    gantry_net::install_crypto();
    let config = Config::read(&Environment).map_err(|mistakes| {
        let texts: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(texts.join("; "))
    })?;
    let now = OffsetDateTime::now_utc();
    let credentials = PoolCredentials::read(&config.token, &config.pool_key, now)?;
    let data = DataDir::open(&config.data_dir)?;
    let about = About {
        host: "lease-probe".to_owned(),
        ..About::default()
    };
    let start = Start {
        credentials: &credentials,
        data: &data,
        machine: gantry_launcher::identity::machine(None),
        about,
        unfinished: 0,
        outside: &config.outside,
    };
    let (session, _) = establish(start).await?;
    let lease = one_lease(&session, &credentials).await?;
    renew_for_ever(&session, lease).await
}

async fn one_lease(session: &Session, credentials: &PoolCredentials) -> anyhow::Result<Lease> {
    let poll = Poll {
        acknowledge: Vec::new(),
        free_slots: 1,
        wait_seconds: 25,
        condition: None,
    };
    loop {
        for message in session.poll(&poll).await?.messages {
            let Content::Run(sealed) = message.content else {
                continue;
            };
            let expected = Expected {
                server_keys: &credentials.server_keys,
                pool: session.pool(),
                launcher: session.launcher(),
                now: None,
            };
            let verified = verify(&sealed, &expected).context("the envelope")?;
            let claims = verified.claims();
            return Ok(Lease {
                run: claims.run,
                attempt: claims.attempt,
            });
        }
    }
}

async fn renew_for_ever(session: &Session, lease: Lease) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    loop {
        let begun = Instant::now();
        let renewed = session.renew_leases(vec![lease]).await?;
        if !renewed.lost.is_empty() {
            bail!("the lease was lost: only renewals of a live one are worth measuring");
        }
        writeln!(out, "{}", begun.elapsed().as_micros())?;
        tokio::time::sleep(PAUSE).await;
    }
}
