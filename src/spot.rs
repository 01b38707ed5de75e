//! Notices of EC2 that this spot instance is to be taken away.
//!
//! Takes the metadata service's address, gives one notice when there is one. Speaks IMDSv2 only. Never: a
//! request through a proxy, an instance drained because the service is away.

use std::fmt;
use std::time::Duration;

use gantry_net::egress::LauncherPurpose;
use gantry_net::{ClientError, ClientOptions, Outside};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tracing::warn;

use crate::quiet::Quiet;
use crate::report::Chain;

/// Notices come two minutes ahead: asked this often, most of that is left.
const EVERY: Duration = Duration::from_secs(5);

/// The service is on this host's own link.
const DEADLINE: Duration = Duration::from_secs(2);

/// Life of a token in seconds, asked for anew after half of it.
const TOKEN_LIFE: u64 = 21_600;

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Notice {
    /// `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
}

impl Notice {
    /// Time that is left.
    pub fn left(&self) -> Duration {
        (self.time - OffsetDateTime::now_utc())
            .try_into()
            .unwrap_or_default()
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounded: String = self.action.chars().take(20).collect();
        write!(f, "EC2 says `{bounded}` at {}", self.time)
    }
}

/// Why the service gave no answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the EC2 metadata service can't be reached (GANTRY_SPOT_NOTICE)")]
    Unreachable(#[source] reqwest::Error),
    #[error(
        "the EC2 metadata service answered {status} where {expected} was expected (GANTRY_SPOT_NOTICE)"
    )]
    Answer { status: u16, expected: &'static str },
}

/// Asks the metadata service.
#[derive(Debug)]
struct Imds {
    http: Client,
    base: Url,
    token: Option<(String, tokio::time::Instant)>,
}

/// Asks until there is a notice, gives it, and is done. Ends when nobody listens any more.
///
/// # Errors
/// When `base` is not an address of a metadata service.
pub fn watch(base: Url) -> Result<mpsc::Receiver<Notice>, ClientError> {
    let agent = concat!("gantry-launcher/", env!("CARGO_PKG_VERSION"));
    // On this host's link: nothing of the outside is between.
    let options = ClientOptions::new(LauncherPurpose::SpotNotices, agent, &Outside::default());
    let http = gantry_net::metadata_client_builder(&options)?.build();
    let http = http.expect("invariant: a builder with its own TLS configuration builds");
    let mut imds = Imds {
        http,
        base,
        token: None,
    };
    let (sender, notices) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            notice = imds.notice() => drop(sender.send(notice).await),
            () = sender.closed() => {}
        }
    });
    Ok(notices)
}

impl Imds {
    async fn notice(&mut self) -> Notice {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut quiet = Quiet::default();
        loop {
            ticks.tick().await;
            match self.ask().await {
                Ok(Some(notice)) => return notice,
                Ok(None) => quiet.over(),
                Err(error) => {
                    let error = Chain(&error).to_string();
                    if quiet.due(&error).is_some() {
                        warn!(%error, "it is not known whether this instance is to be interrupted; asking again");
                    }
                }
            }
        }
    }

    async fn ask(&mut self) -> Result<Option<Notice>, AskError> {
        let token = self.token().await?;
        let url = self.url("/latest/meta-data/spot/instance-action");
        let request = self.http.get(url).header("X-aws-ec2-metadata-token", token);
        let answer = request
            .timeout(DEADLINE)
            .send()
            .await
            .map_err(unreachable)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => {
                let text = answer.text().await.map_err(unreachable)?;
                let notice = serde_json::from_str(&text);
                let expected = "a notice with `action` and `time`";
                notice.map(Some).map_err(|_| AskError::Answer {
                    status: 200,
                    expected,
                })
            }
            status => {
                self.token = None;
                let (status, expected) = (status.as_u16(), "200 or 404");
                Err(AskError::Answer { status, expected })
            }
        }
    }

    async fn token(&mut self) -> Result<String, AskError> {
        let half = Duration::from_secs(TOKEN_LIFE / 2);
        if let Some((token, since)) = &self.token
            && since.elapsed() < half
        {
            return Ok(token.clone());
        }
        let request = self.http.put(self.url("/latest/api/token"));
        let request = request.header("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE);
        let answer = request
            .timeout(DEADLINE)
            .send()
            .await
            .map_err(unreachable)?;
        if answer.status() != StatusCode::OK {
            let (status, expected) = (answer.status().as_u16(), "a token");
            return Err(AskError::Answer { status, expected });
        }
        let token = answer.text().await.map_err(unreachable)?;
        self.token = Some((token.clone(), tokio::time::Instant::now()));
        Ok(token)
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }
}

fn unreachable(error: reqwest::Error) -> AskError {
    AskError::Unreachable(error.without_url())
}
