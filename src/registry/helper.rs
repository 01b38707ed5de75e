//! Programs that keep logins: `docker-credential-<name>`.
//!
//! Takes a checked name and a registry, gives the login that the program answers with. Never: a program by
//! its path, an inherited variable (the pool's token and key are among them), a call without an end, output
//! without a bound.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::str::FromStr;
use std::time::Duration;

use gantry_protocol::Secret;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::login::Given;

/// A helper may ask a service or wait for a key ring.
const LIMIT: Duration = Duration::from_secs(30);

/// Most bytes of an answer: tokens of clouds have a few thousand.
const MAX_ANSWER: u64 = 64 << 10;

/// User name that marks the secret as an identity token.
const TOKEN_USER: &str = "<token>";

/// How a helper says that it has no login for a registry.
const NOT_FOUND: &str = "credentials not found";

/// `<name>` of `docker-credential-<name>`. Displays as the program's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HelperName(String);

impl FromStr for HelperName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(fits) {
            return Err(
                "is no name of a credential helper (small letters, digits and `-`, no path)",
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for HelperName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "docker-credential-{}", self.0)
    }
}

/// All that a helper inherits.
#[derive(Clone, Debug, Default)]
pub struct HelperEnvironment {
    /// `PATH`: where helpers are found.
    pub path: String,
    /// `HOME`, below which they keep their own settings.
    pub home: Option<String>,
    /// Proxies, by variable.
    pub proxies: Vec<(String, Secret)>,
}

/// Why a helper gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// Not there, or not executable.
    #[error("it can't be started; is it installed in one of the directories of PATH?")]
    NotStarted(#[source] io::Error),
    /// It did not end.
    #[error("it gave no answer within {limit} s")]
    TimedOut {
        /// Seconds that it had.
        limit: u64,
    },
    /// It said too much.
    #[error("its answer is longer than {MAX_ANSWER} bytes")]
    TooLong,
    /// It failed.
    #[error("it failed with {status}: {message}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// The protocol puts the reason on standard output.
        message: String,
    },
    /// Its answer is not what the protocol says.
    #[error("its answer is not `{{\"Username\":…,\"Secret\":…}}`")]
    Garbled,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: Secret,
}

/// Asks `helper` for the login of `server`; `None` when it has none.
pub(super) async fn ask(
    helper: &HelperName,
    server: &str,
    environment: &HelperEnvironment,
) -> Result<Option<Given>, HelperError> {
    ask_within(helper, server, environment, LIMIT).await
}

async fn ask_within(
    helper: &HelperName,
    server: &str,
    environment: &HelperEnvironment,
    limit: Duration,
) -> Result<Option<Given>, HelperError> {
    let mut child = command(helper, environment)
        .spawn()
        .map_err(HelperError::NotStarted)?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    let _group = Group(pid.and_then(rustix::process::Pid::from_raw));
    let talk = tokio::time::timeout(limit, talk(&mut child, server));
    let limit = limit.as_secs();
    let (status, out) = talk.await.map_err(|_| HelperError::TimedOut { limit })??;
    if !status.success() {
        let message = String::from_utf8_lossy(&out);
        let message = message.trim();
        if message.starts_with(NOT_FOUND) {
            return Ok(None);
        }
        return Err(HelperError::Failed {
            status,
            message: printable(message),
        });
    }
    parse(&out)
}

fn command(helper: &HelperName, environment: &HelperEnvironment) -> Command {
    let mut command = Command::new(helper.to_string());
    command
        .arg("get")
        .env_clear()
        .env("PATH", &environment.path)
        .envs(environment.home.iter().map(|home| ("HOME", home)))
        .envs(environment.proxies.iter().map(|(name, value)| {
            let name: OsString = name.into();
            (name, value.expose())
        }))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    command
}

async fn talk(
    child: &mut Child,
    server: &str,
) -> Result<(ExitStatus, Zeroizing<Vec<u8>>), HelperError> {
    if let Some(mut input) = child.stdin.take() {
        // A helper that reads nothing is told by its answer, not by a broken pipe.
        let _ = input.write_all(server.as_bytes()).await;
    }
    // Of full size from the start, so that no half-grown copy of it stays in memory.
    let mut out = Zeroizing::new(Vec::with_capacity(MAX_ANSWER as usize + 1));
    if let Some(output) = child.stdout.take() {
        let read = output.take(MAX_ANSWER + 1).read_to_end(&mut out).await;
        read.map_err(HelperError::NotStarted)?;
    }
    if out.len() as u64 > MAX_ANSWER {
        return Err(HelperError::TooLong);
    }
    let status = child.wait().await.map_err(HelperError::NotStarted)?;
    Ok((status, out))
}

fn parse(out: &[u8]) -> Result<Option<Given>, HelperError> {
    let answer: Answer = serde_json::from_slice(out).map_err(|_| HelperError::Garbled)?;
    Ok(match (answer.username.as_str(), answer.secret) {
        (_, secret) if secret.expose().is_empty() => None,
        (TOKEN_USER, secret) => Some(Given::IdentityToken(secret)),
        ("", _) => return Err(HelperError::Garbled),
        (_, password) => Some(Given::Password {
            username: answer.username,
            password,
        }),
    })
}

fn printable(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(200).map(visible).collect()
}

/// Kills all that the helper started when the call is over, however it ends.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody left to kill is what it should be.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests;
