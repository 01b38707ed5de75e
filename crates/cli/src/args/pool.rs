//! `gantry pool …` as types.
//!
//! Never: a token or a key as an option's value.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum PoolCommand {
    /// Makes a pool from a certificate signing request and prints its token, once
    Create(PoolCreateArgs),
    /// Lists pools and how many launchers they have
    List,
    /// Shows a pool, its keys and its rules for newcomers
    Show(PoolArgs),
    /// Lists a pool's launchers with what they do, or why they take no runs
    Workers(PoolArgs),
    /// Changes a pool's words, or who may join it
    Update(PoolChangeArgs),
    /// Gives a pool another key and prints the token for it, once; the key before counts for a while
    Reset(PoolResetArgs),
    /// Tells every launcher of a pool to finish what it has, end, and be started anew
    Cycle(PoolArgs),
    /// Deletes a pool that no stack uses
    Delete(PoolArgs),
    /// Closes launchers to new runs
    Drain(DrainArgs),
    /// Opens launchers to new runs again
    Undrain(WorkerArgs),
    /// Lets a launcher in that waits for it
    Approve(WorkerArgs),
    /// Shuts a launcher out for good
    Revoke(WorkerArgs),
    /// Lets a launcher in again that was shut out because two processes used its identity
    ClearQuarantine(WorkerArgs),
}

#[derive(Debug, Args)]
pub struct PoolArgs {
    /// The pool's id
    #[arg(long, value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct PoolCreateArgs {
    /// The pool's name
    #[arg(long)]
    pub name: String,
    /// PEM file that `openssl req -new -newkey rsa:4096 -nodes` wrote
    #[arg(long, value_name = "FILE")]
    pub csr: PathBuf,
    /// Write the token here (mode 0600, a new file) instead of printing it
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// What the pool is for
    #[arg(long)]
    pub description: Option<String>,
    /// Label; may be given more than once
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
}

#[derive(Debug, Args)]
pub struct PoolResetArgs {
    #[command(flatten)]
    pub pool: PoolArgs,
    /// PEM file with the request of the new key
    #[arg(long, value_name = "FILE")]
    pub csr: PathBuf,
    /// Write the token here (mode 0600, a new file) instead of printing it
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// How long launchers with the key before get runs and their plans can be confirmed; 0 when it has leaked
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    pub overlap_hours: u32,
}

#[derive(Debug, Args)]
pub struct PoolChangeArgs {
    #[command(flatten)]
    pub pool: PoolArgs,
    /// Another name
    #[arg(long)]
    pub name: Option<String>,
    /// What the pool is for; empty takes it away
    #[arg(long)]
    pub description: Option<String>,
    /// Label; may be given more than once, and replaces all that were
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Option<Vec<String>>,
    /// Newcomers wait until an administrator lets them in; the rules given here replace all that were
    #[arg(long)]
    pub enrol_by_approval: bool,
    /// Newcomers come from this range (CIDR) only; may be given more than once
    #[arg(long, value_name = "CIDR")]
    pub enrol_from: Vec<String>,
    /// The most launchers that the pool may have
    #[arg(long, value_name = "N")]
    pub max_launchers: Option<u32>,
    /// How many looks for drift the pool does at once; `none` for any number
    #[arg(long, value_name = "N", value_parser = drift_limit)]
    pub drift_limit: Option<i32>,
    /// Whoever holds the pool's key may join it again
    #[arg(long, conflicts_with_all = ["enrol_by_approval", "enrol_from", "max_launchers"])]
    pub enrol_freely: bool,
}

#[derive(Debug, Args)]
pub struct WorkerArgs {
    #[command(flatten)]
    pub pool: PoolArgs,
    /// The launcher's id
    #[arg(long, value_name = "ID")]
    pub worker: String,
}

#[derive(Debug, Args)]
pub struct DrainArgs {
    #[command(flatten)]
    pub pool: PoolArgs,
    /// The launcher's id; all launchers of the pool otherwise
    #[arg(long, value_name = "ID")]
    pub worker: Option<String>,
    /// Wait until they have no run any more
    #[arg(long)]
    pub wait: bool,
    /// How long to wait at most, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "7200", value_parser = seconds)]
    pub timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

/// -1 stands for any number in the API.
fn drift_limit(text: &str) -> Result<i32, String> {
    let number = || text.parse().ok().filter(|limit| *limit >= 0);
    match text {
        "none" => Ok(-1),
        _ => number().ok_or_else(|| "expected a number, or `none`".to_owned()),
    }
}
