//! `gantry-launcher doctor`: what runs need on this host, line by line.

use std::fmt::Write as _;
use std::net::SocketAddr;

use clap::Args;

use super::print;
use crate::config::{Config, Environment};
use crate::doctor::{Report, Verdict, examine, reach};
use crate::exit::Exit;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Arguments of `reach`, which the doctor runs in a container.
#[derive(Debug, Args)]
pub struct ReachArguments {
    address: SocketAddr,
}

pub(super) async fn perform(arguments: DoctorArguments) -> Exit {
    let report = examine(Config::read(&Environment)).await;
    let shown = match arguments.json {
        true => format!(
            "{:#}\n",
            serde_json::json!({ "verdict": report.verdict(), "lines": report.lines })
        ),
        false => text(&report),
    };
    match (print(&shown), report.verdict()) {
        (Exit::Drained, Verdict::Failed) => Exit::Failed,
        (printed, _) => printed,
    }
}

/// Gives what was found as the exit code: the container has no other way to tell.
pub(super) async fn perform_reach(arguments: ReachArguments) -> Exit {
    reach(arguments.address).await.exit()
}

fn text(report: &Report) -> String {
    let width = report.lines.iter().map(|line| line.check.len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for line in &report.lines {
        let mark = match line.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Skipped => "-   ",
            Verdict::Warning => "WARN",
            Verdict::Failed => "FAIL",
        };
        let _ = writeln!(text, "{mark}  {:width$}  {}", line.check, line.found);
        if !line.advice.is_empty() {
            let _ = writeln!(text, "      {:width$}  → {}", "", line.advice);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Line;

    #[test]
    fn lines_say_what_to_do() {
        let line = |check: &str, verdict, advice: &str| Line {
            check: check.into(),
            verdict,
            found: "found".into(),
            advice: advice.into(),
        };
        let report = Report {
            lines: vec![
                line("docker", Verdict::Ok, ""),
                line("data directory", Verdict::Failed, "make room"),
            ],
        };
        assert_eq!(
            text(&report),
            "ok    docker          found\nFAIL  data directory  found\n                      → make room\n"
        );
    }
}
