//! `gantry-launcher image check REF`: each step from a reference to an image, explained.
//!
//! Takes a reference and the variables about images; gives text or JSON and an exit code. Never: a pull, a
//! container, or the secret part of a login.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{misconfigured, print};
use crate::config::{Environment, ImageCheckConfig};
use crate::engine::{Docker, EngineError, Platform};
use crate::exit::Exit;
use crate::image::{ImageError, Images, PullPolicy};
use crate::machine::Machine;
use crate::registry::{LoginError, Logins};
use crate::report::Chain;

/// What can be asked about images.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Goes through the steps of a run's image without pulling it: reference, allowlist, login, digest.
    ///
    /// Reads the variables about images and Docker; neither pool nor data directory is needed.
    ///
    /// Exit codes: 0 a run could use it; 1 this host refuses it (not allowed, made for another platform, or not present
    /// while GANTRY_PULL_POLICY is `never`); 64 the configuration is wrong; 69 the login, the registry or Docker
    /// failed, so there is no answer.
    Check(Check),
}

/// Arguments of `image check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The image as a stack would name it, such as `ghcr.io/acme/runner:1`.
    #[arg(value_name = "REF")]
    reference: String,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// All that was found out; a step that was not reached is absent.
#[derive(Debug, Default, Serialize)]
struct Report {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    present: Option<Present>,
    #[serde(flatten)]
    end: End,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Present {
    No(bool),
    Bytes { bytes: u64 },
}

/// How the check ended.
#[derive(Debug, Default, Serialize)]
#[serde(tag = "verdict", content = "why", rename_all = "snake_case")]
enum End {
    /// A run could use it.
    #[default]
    Usable,
    /// This host refuses it.
    Refused(String),
    /// There is no answer.
    Unknown(String),
}

/// Performs a command.
pub(super) async fn perform(command: ImageCommand) -> Exit {
    let ImageCommand::Check(arguments) = command;
    let config = match ImageCheckConfig::read(&Environment) {
        Ok(config) => config,
        Err(mistakes) => return misconfigured(&mistakes),
    };
    let mut report = Report {
        image: arguments.reference.clone(),
        ..Report::default()
    };
    if let Err(end) = check(config, &arguments.reference, &mut report).await {
        report.end = end;
    }
    let exit = match report.end {
        End::Usable => Exit::Drained,
        End::Refused(_) => Exit::Failed,
        End::Unknown(_) => Exit::Unavailable,
    };
    let text = match arguments.json {
        true => serde_json::to_string(&report).expect("invariant: names and texts are JSON") + "\n",
        false => report.text(),
    };
    match print(&text) {
        Exit::Drained => exit,
        failed => failed,
    }
}

async fn check(config: ImageCheckConfig, text: &str, report: &mut Report) -> Result<(), End> {
    let images = config.images;
    let admitted = images.registries.admit(text);
    let admitted = admitted.map_err(|error| End::Refused(Chain(&error).to_string()))?;
    report.image = admitted.reference().to_string();
    report.allowed_by = Some(admitted.entry().to_owned());
    let logins = Logins::new(images.logins).map_err(|error| no_login(&error))?;
    let source = logins.source_for(admitted.reference().registry());
    report.login = Some(source.map_err(|error| no_login(&error))?.to_string());
    let place = (config.docker_host.as_deref(), config.machine);
    let images = on_engine(place, logins, images.pull).await;
    let images = images.map_err(|error| End::Unknown(Chain(&error).to_string()))?;
    report.host_platform = Some(images.platform().to_string());
    let resolved = images
        .resolve(admitted)
        .await
        .map_err(|error| end(&error))?;
    report.login = Some(resolved.login().source().to_string());
    report.digest = Some(resolved.digest().to_string());
    report.platforms = resolved
        .platforms()
        .iter()
        .map(Platform::to_string)
        .collect();
    let present = images
        .present(&resolved)
        .await
        .map_err(|error| end(&error))?;
    report.present = Some(present.map_or(Present::No(false), |bytes| Present::Bytes { bytes }));
    images
        .may_run(&resolved, present.is_some())
        .map_err(|error| end(&error))
}

async fn on_engine(
    (address, machine): (Option<&str>, Option<Machine>),
    logins: Logins,
    policy: PullPolicy,
) -> Result<Images, EngineError> {
    let engine = Docker::new(address)?;
    let platform = match machine {
        Some(machine) => machine.into(),
        None => engine.info().await?.platform,
    };
    Ok(Images::new(
        engine,
        platform,
        BTreeMap::new(),
        logins,
        policy,
    ))
}

fn no_login(error: &LoginError) -> End {
    End::Unknown(Chain(error).to_string())
}

fn end(error: &ImageError) -> End {
    let why = Chain(error).to_string();
    match error {
        ImageError::BadPlatform { .. }
        | ImageError::NotPresent { .. }
        | ImageError::Volume { .. } => End::Refused(why),
        ImageError::Login { .. }
        | ImageError::Engine { .. }
        | ImageError::Ledger { .. }
        | ImageError::Unpinnable { .. }
        | ImageError::OtherDigest { .. } => End::Unknown(why),
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!("image       {}\n", self.image);
        let mut line = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(text, "{name:<11} {value}");
            }
        };
        line("allowed by", self.allowed_by.clone());
        line("asked", self.login.clone());
        line("digest", self.digest.clone());
        let platforms = self.platforms.join(", ");
        line("made for", (!platforms.is_empty()).then_some(platforms));
        line("this host", self.host_platform.clone());
        line(
            "present",
            self.present.as_ref().map(|present| match present {
                Present::No(_) => "no".to_owned(),
                Present::Bytes { bytes } => format!("{} MB on disk", bytes / 1_000_000),
            }),
        );
        let verdict = match &self.end {
            End::Usable => "usable".to_owned(),
            End::Refused(why) => format!("refused: {why}"),
            End::Unknown(why) => format!("unknown: {why}"),
        };
        line("verdict", Some(verdict));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_tell_the_same() {
        let report = Report {
            image: "ghcr.io/acme/x:1".to_owned(),
            allowed_by: Some("ghcr.io/acme".to_owned()),
            login: Some("without a login".to_owned()),
            digest: Some("sha256:00".to_owned()),
            platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
            host_platform: Some("linux/amd64".to_owned()),
            present: Some(Present::Bytes { bytes: 2_900_000 }),
            end: End::Usable,
        };
        insta::assert_snapshot!(report.text(), @r"
        image       ghcr.io/acme/x:1
        allowed by  ghcr.io/acme
        asked       without a login
        digest      sha256:00
        made for    linux/amd64, linux/arm64
        this host   linux/amd64
        present     2 MB on disk
        verdict     usable
        ");
        insta::assert_snapshot!(serde_json::to_string(&report).expect("JSON"), @r#"{"image":"ghcr.io/acme/x:1","allowed_by":"ghcr.io/acme","login":"without a login","digest":"sha256:00","platforms":["linux/amd64","linux/arm64"],"host_platform":"linux/amd64","present":{"bytes":2900000},"verdict":"usable"}"#);
        let refused = Report {
            image: "x".to_owned(),
            end: End::Refused("no".to_owned()),
            ..Report::default()
        };
        insta::assert_snapshot!(serde_json::to_string(&refused).expect("JSON"), @r#"{"image":"x","verdict":"refused","why":"no"}"#);
    }
}
