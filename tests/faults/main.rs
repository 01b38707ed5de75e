//! Runs under faults: the crash matrix of `docs/CRASH-MATRIX.md`, and a day of use in minutes.
//!
//! Takes nothing, or what `--help` says; gives a table and an exit code. Without arguments it makes the most
//! telling cells happen, as every other test does. Never: a cell that is compared with anything but the page.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test"
)]

mod cell;
mod check;
mod expected;
mod fault;
mod matrix;
mod meeting;
mod scene;
mod soak;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Makes runs meet faults and looks what becomes of them.
#[derive(Debug, Parser)]
struct Args {
    /// Cells whose `phase/fault` contains one of these words; all otherwise.
    words: Vec<String>,
    /// Every cell, on a Docker daemon of its own, instead of the most telling ones on the host's.
    #[arg(long)]
    full: bool,
    /// So many cells at a time.
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Also write the outcome of each cell to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Instead of the matrix: so many runs with faults at random times.
    #[arg(long)]
    soak: Option<usize>,
    /// A soak starts no more runs after so many minutes.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// What decides the soak's faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    of_others: OfOthers,
}

/// What `cargo test` hands to every test program after `--`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Of other test programs")]
struct OfOthers {
    /// No effect.
    #[arg(long)]
    nocapture: bool,
    /// No effect.
    #[arg(long)]
    exact: bool,
    /// No effect.
    #[arg(long, short)]
    quiet: bool,
    /// No effect.
    #[arg(long)]
    test_threads: Option<usize>,
    /// No effect.
    #[arg(long)]
    skip: Vec<String>,
    /// Nothing is played: no cell is ignored.
    #[arg(long)]
    ignored: bool,
    /// No effect.
    #[arg(long)]
    include_ignored: bool,
    /// Nothing is played.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.of_others.ignored || args.of_others.list {
        return ExitCode::SUCCESS;
    }
    if let Some(runs) = args.soak {
        let report = soak::soak(runs, args.minutes, args.seed, args.full);
        let json = table::soaked(&report);
        if let Some(path) = &args.json {
            std::fs::write(path, json).unwrap();
        }
        return code(report.problems.is_empty());
    }
    let played = matrix::play(args.full, &args.words, args.jobs);
    table::print(&played);
    if let Some(path) = &args.json {
        std::fs::write(path, table::json(&played)).unwrap();
    }
    code(played.iter().all(|cell| cell.problems.is_empty()))
}

fn code(fine: bool) -> ExitCode {
    match fine {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
