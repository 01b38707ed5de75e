//! Looks at everything that runs need on this host, and says what is missing and what to do.
//!
//! Takes a configuration, gives a [`Report`]. Never: a change that stays (a container that is started to look is
//! removed), a secret in a line, an end at the first thing that is wrong.

mod engine;
mod host;
mod images;
mod policy;
mod probe;
mod proxies;
mod server;

use serde::Serialize;

pub use probe::{Reached, reach};

use crate::config::{Config, Mistake};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What, in a word or two: stable, so that scripts may look for it.
    pub check: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing has to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Could not be looked at, because something before it failed or nothing asks for it.
    Skipped,
    /// Runs work, something is weaker than it could be.
    Warning,
    /// Runs will fail.
    Failed,
}

/// All lines, in the order in which they were looked at.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The lines.
    pub lines: Vec<Line>,
}

impl Report {
    /// The worst verdict.
    pub fn verdict(&self) -> Verdict {
        let verdicts = self.lines.iter().map(|line| line.verdict);
        verdicts.max().unwrap_or(Verdict::Ok)
    }

    fn ok(&mut self, check: &str, found: impl ToString) {
        self.line(check, Verdict::Ok, found, "");
    }

    fn skipped(&mut self, check: &str, why: impl ToString) {
        self.line(check, Verdict::Skipped, why, "");
    }

    fn warning(&mut self, check: &str, found: impl ToString, advice: impl ToString) {
        self.line(check, Verdict::Warning, found, advice);
    }

    fn failed(&mut self, check: &str, found: impl ToString, advice: impl ToString) {
        self.line(check, Verdict::Failed, found, advice);
    }

    fn line(&mut self, check: &str, verdict: Verdict, found: impl ToString, advice: impl ToString) {
        self.lines.push(Line {
            check: check.to_owned(),
            verdict,
            found: found.to_string(),
            advice: advice.to_string(),
        });
    }
}

/// Looks at everything that `config` asks for.
pub async fn examine(config: Result<Config, Vec<Mistake>>) -> Report {
    let mut report = Report::default();
    let config = match config {
        Ok(config) => config,
        Err(mistakes) => {
            for mistake in mistakes {
                report.failed("configuration", mistake, "correct the variable");
            }
            report.skipped("everything else", "it depends on the configuration");
            return report;
        }
    };
    report.ok("configuration", "every variable can be read");
    policy::examine(&config, &mut report).await;
    proxies::examine(&config, &mut report).await;
    server::examine(&config, &mut report).await;
    host::examine(&config, &mut report).await;
    if let Some((engine, about)) = engine::examine(&config, &mut report).await {
        images::examine(&config, &engine, &about, &mut report).await;
        probe::examine(&config, &engine, &about, &mut report).await;
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_line_decides() {
        let mut report = Report::default();
        assert_eq!(report.verdict(), Verdict::Ok);
        report.ok("a", "fine");
        report.skipped("b", "nothing asks");
        assert_eq!(report.verdict(), Verdict::Skipped);
        report.warning("c", "weak", "do it");
        report.failed("d", "broken", "mend it");
        report.ok("e", "fine");
        assert_eq!(report.verdict(), Verdict::Failed);
    }

    #[tokio::test]
    async fn mistakes_are_all_told() {
        let mistakes = ["A", "B"].map(|name| Mistake::new(name, "is wrong"));
        let report = examine(Err(mistakes.into())).await;
        let found: Vec<_> = report
            .lines
            .iter()
            .map(|line| line.found.as_str())
            .collect();
        assert_eq!(found[..2], ["A: is wrong", "B: is wrong"]);
        assert_eq!(report.verdict(), Verdict::Failed);
    }
}
