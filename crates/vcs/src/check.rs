//! What the agent tells people at a terminal, besides serving: verdicts, routes, settings, what is contacted.
//!
//! Takes a command, writes to what it is given, gives an exit code. Never: a request to anybody but, for `health`, the agent's own address.

use std::io::{self, Read as _, Write};
use std::path::Path;

use gantry_service::probe;

use crate::config::{self, Config, Mistake, Question, Source};
use crate::egress;
use crate::route;
use crate::rules::{Admitted, Asked, Refusal, Rules};
use crate::vendor::Vendor;

/// Longest body that is read, in bytes.
const BODY_LIMIT: u64 = 1 << 20;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Admitted, or printed.
    Well,
    /// Refused.
    Refused,
    /// The arguments are not usable.
    Usage,
}

impl Ended {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Refused => 1,
            Self::Usage => 2,
        }
    }
}

/// Asks the agent that runs beside this; the answer is written, also when there is none.
///
/// # Errors
/// When `out` can't be written to.
pub fn health(ready: bool, source: &dyn Source, out: &mut dyn Write) -> io::Result<Ended> {
    let address = match config::read_health(source) {
        Ok(Some(address)) => address,
        Ok(None) => {
            writeln!(
                out,
                "GANTRY_VCS_AGENT_HEALTH_ADDR is not set, so there is no address to ask"
            )?;
            return Ok(Ended::Usage);
        }
        Err(mistakes) => return told(&mistakes, out),
    };
    match probe::ask(&probe::Place::Tcp(address), probe::Question::about(ready)) {
        Ok(answer) => {
            writeln!(out, "{}", answer.text)?;
            Ok(match answer.is_good() {
                true => Ended::Well,
                false => Ended::Refused,
            })
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            writeln!(out, "{error}: {}", cause.unwrap_or_default())?;
            Ok(Ended::Refused)
        }
    }
}

/// Explains what becomes of a request under the settings of `source`.
///
/// # Errors
/// When `out` can't be written to.
pub fn check(question: &Question, source: &dyn Source, out: &mut dyn Write) -> io::Result<Ended> {
    let rules = match config::read_rules(source) {
        Ok(rules) => rules,
        Err(mistakes) => return told(&mistakes, out),
    };
    let body = match question.body.as_deref().map(read).transpose() {
        Ok(body) => body.unwrap_or_default(),
        Err(error) => {
            writeln!(out, "--body: {error}")?;
            return Ok(Ended::Usage);
        }
    };
    let asked = Asked {
        method: &question.method,
        target: &question.target,
        body: &body,
    };
    match rules.admit(&asked) {
        Ok(admitted) => admitted_text(&rules, &admitted, out).map(|()| Ended::Well),
        Err(refusal) => refused_text(&rules, &refusal, out).map(|()| Ended::Refused),
    }
}

/// Prints the routes, of the vendor that `source` names or of all.
///
/// # Errors
/// When `out` can't be written to.
pub fn routes(source: &dyn Source, out: &mut dyn Write) -> io::Result<Ended> {
    match config::read_vendor(source) {
        Ok(Some(vendor)) => out.write_all(route::page(vendor).as_bytes())?,
        Ok(None) => {
            for vendor in Vendor::ALL {
                writeln!(out, "## {vendor}\n\n{}", route::page(vendor))?;
            }
        }
        Err(mistakes) => return told(&mistakes, out),
    }
    Ok(Ended::Well)
}

/// Prints flags and variables.
///
/// # Errors
/// When `out` can't be written to.
pub fn configuration(out: &mut dyn Write) -> io::Result<Ended> {
    out.write_all(config::page().as_bytes())?;
    Ok(Ended::Well)
}

/// Prints what is contacted under the settings of `source`.
///
/// # Errors
/// When `out` can't be written to.
pub fn egress(json: bool, source: &dyn Source, out: &mut dyn Write) -> io::Result<Ended> {
    let config = match Config::read(source) {
        Ok(config) => config,
        Err(mistakes) => return told(&mistakes, out),
    };
    let inventory = egress::inventory(&config);
    match json {
        true => writeln!(out, "{:#}", inventory.json())?,
        false => out.write_all(inventory.text().as_bytes())?,
    }
    Ok(Ended::Well)
}

fn told(mistakes: &[Mistake], out: &mut dyn Write) -> io::Result<Ended> {
    for mistake in mistakes {
        writeln!(out, "{mistake}")?;
    }
    Ok(Ended::Usage)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(BODY_LIMIT).read_to_end(&mut body)?;
    Ok(body)
}

fn admitted_text(rules: &Rules, admitted: &Admitted, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "admitted: {}", admitted.purpose())?;
    writeln!(out, "vendor:   {}", rules.vendor())?;
    writeln!(out, "route:    {}", admitted.row())?;
    writeln!(out, "project:  {}", admitted.project().unwrap_or("none"))?;
    writeln!(out, "allowed:  {}", rules.allowed_projects().as_str())?;
    writeln!(out, "asked as: {}", admitted.target())?;
    if admitted.place() == route::Place::Codeload {
        writeln!(
            out,
            "host:     the base endpoint's with `codeload.` in front"
        )?;
    }
    if admitted.filter().is_some() {
        writeln!(
            out,
            "answer:   projects that are not allowed are taken out of the list"
        )?;
    }
    Ok(())
}

fn refused_text(rules: &Rules, refusal: &Refusal, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "refused:  {refusal}")?;
    writeln!(out, "vendor:   {}", rules.vendor())?;
    if let Some(purpose) = refusal.purpose() {
        writeln!(out, "purpose:  {purpose}")?;
    }
    if let Some(project) = refusal.project() {
        writeln!(out, "project:  {project}")?;
    }
    writeln!(out, "gateway:  {}", refusal.for_gateway())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ask(method: &str, target: &str, settings: &[(&str, &str)]) -> (Ended, String) {
        let named = |(name, value): &(&str, &str)| {
            let ours = name.starts_with("GANTRY_");
            let prefix = if ours { "" } else { "SPACELIFT_VCS_AGENT_" };
            (format!("{prefix}{name}"), (*value).to_owned())
        };
        let source: BTreeMap<_, _> = settings.iter().map(named).collect();
        let question = Question {
            method: method.into(),
            target: target.into(),
            body: None,
        };
        let mut out = Vec::new();
        let ended = check(&question, &source, &mut out).unwrap();
        (ended, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_verdict_says_why() {
        let gitlab = [("VENDOR", "gitlab"), ("ALLOWED_PROJECTS", "team/.*")];
        let (ended, text) = ask("GET", "/api/v4/projects/team%2Fapp", &gitlab);
        assert_eq!(ended.code(), 0, "{text}");
        for part in [
            "Get Project",
            "/api/v4/projects/{project}",
            "project:  team/app",
            "allowed:  team/.*",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let (ended, text) = ask("GET", "/api/v4/projects", &gitlab);
        assert!(
            ended == Ended::Well && text.contains("taken out of the list"),
            "{text}"
        );
        let (ended, text) = ask("GET", "/api/v4/projects/other%2Fapp", &gitlab);
        assert_eq!(ended.code(), 1);
        assert!(
            text.contains("project `other/app`") && text.contains("allowed projects regexp"),
            "{text}"
        );
        let token = "/api/v3/app/installations/29/access_tokens";
        let github = [("VENDOR", "github_enterprise")];
        assert_eq!(ask("POST", token, &github).0, Ended::Well);
        let held = [github[0], ("GANTRY_VCS_AGENT_CREDENTIAL", "bearer:x")];
        let (ended, text) = ask("POST", token, &held);
        assert!(
            ended == Ended::Refused && text.contains("credential"),
            "{text}"
        );
        let (ended, text) = ask("GET", "/api/v4/../admin", &gitlab);
        assert!(
            ended == Ended::Refused && text.contains("dot segment"),
            "{text}"
        );
        let (ended, text) = ask(
            "GET",
            "/",
            &[("VENDOR", "gitea"), ("ALLOWED_PROJECTS", "(")],
        );
        assert_eq!(
            (ended.code(), text.lines().next().is_some()),
            (2, true),
            "{text}"
        );
    }
}
