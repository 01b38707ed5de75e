//! What people and programs get to see: a line when a cell is done, the table, JSON.
#![expect(clippy::print_stdout, reason = "this module prints")]

use serde_json::json;

use crate::cell::Played;
use crate::expected::{Fault, Phase};
use crate::soak::Report;

/// A line for a cell that is done.
pub(crate) fn told(played: &Played) {
    let (name, took) = (played.cell.name(), played.took.as_secs());
    println!("{name}: {} ({took} s)", outcome(played));
    for problem in &played.problems {
        println!("    {}", problem.trim_end().replace('\n', "\n    "));
    }
}

fn outcome(played: &Played) -> String {
    let found = played
        .found
        .as_ref()
        .map_or("?".to_owned(), ToString::to_string);
    let verdict = if played.problems.is_empty() {
        "ok"
    } else {
        "FAIL"
    };
    format!("{found} {verdict}")
}

/// Rows of phases, columns of faults.
pub(crate) fn print(all: &[Played]) {
    let mut rows = vec![vec!["phase".to_owned()]];
    rows[0].extend(Fault::ALL.iter().map(|(_, name)| (*name).to_owned()));
    for (phase, name) in Phase::ALL {
        let mut row = vec![name.to_owned()];
        for (fault, _) in Fault::ALL {
            let played = all
                .iter()
                .find(|p| p.cell.phase == phase && p.cell.fault == fault);
            row.push(played.map_or("–".to_owned(), outcome));
        }
        rows.push(row);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    for row in &rows {
        let cells = row.iter().enumerate();
        let cells =
            cells.map(|(at, cell)| format!("{cell:width$}", width = width(at).unwrap_or(0)));
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    let failed = all.iter().filter(|played| !played.problems.is_empty());
    println!("{} cells, {} failed", all.len(), failed.count());
}

/// The same for programs.
pub(crate) fn json(all: &[Played]) -> String {
    let cells = all.iter().map(|played| {
        let word =
            |expected: &Option<_>| expected.as_ref().map(crate::expected::Expected::to_string);
        json!({
            "phase": played.cell.phase.name(),
            "fault": played.cell.fault.name(),
            "expected": word(&played.cell.expected),
            "found": word(&played.found),
            "problems": played.problems,
            "seconds": played.took.as_secs(),
        })
    });
    format!("{:#}\n", serde_json::Value::from_iter(cells))
}

/// What came out of a soak, for people; gives the same as JSON.
pub(crate) fn soaked(report: &Report) -> String {
    for problem in &report.problems {
        println!("FAIL {problem}");
    }
    let mut all = report.figures.clone();
    all["problems"] = json!(report.problems);
    println!("{all:#}");
    format!("{all:#}\n")
}
