//! What people get to see of the attacks: one line each.
#![expect(clippy::print_stdout, reason = "this module prints")]

use super::scene::Played;

/// Longest text of a cell.
const SHOWN: usize = 110;

/// Prints attacks and what came of them.
pub(super) fn print(title: &str, all: &[Played]) {
    let width = all.iter().map(|row| row.name.chars().count()).max();
    let width = width.unwrap_or(0);
    println!("── {title} ──");
    for row in all {
        let found: String = row.found.chars().take(SHOWN).collect();
        let verdict = if row.problem.is_some() { "FAIL" } else { "ok" };
        println!("| {:width$} | {verdict:4} | {found} |", row.name);
        if let Some(problem) = &row.problem {
            println!("    {problem}; found: {}", row.found);
        }
    }
}
