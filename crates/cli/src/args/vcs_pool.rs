//! `gantry vcs-agent-pool …` as types.
//!
//! Never: a token as an option's value.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum VcsPoolCommand {
    /// Makes a pool of VCS agents and prints its token, once
    Create(VcsPoolCreateArgs),
    /// Lists pools and how many streams their agents have open
    List,
    /// Shows a pool, its keys and its agents
    Show(VcsPoolArgs),
    /// Changes a pool's name, description or space
    Update(VcsPoolUpdateArgs),
    /// Gives a pool another key and prints the token for it, once; the key before counts for a while
    Reset(VcsPoolResetArgs),
    /// Deletes a pool whose name stands in no endpoint
    Delete(VcsPoolArgs),
    /// Shows what went through a pool lately, newest first
    Log(VcsPoolLogArgs),
}

#[derive(Debug, Args)]
pub struct VcsPoolArgs {
    /// The pool's id or name
    #[arg(long, value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct VcsPoolCreateArgs {
    /// The pool's name: it stands in `private://NAME/path`
    #[arg(long)]
    pub name: String,
    /// What the pool is for
    #[arg(long)]
    pub description: Option<String>,
    /// The space it belongs to
    #[arg(long, value_name = "ID")]
    pub space: Option<String>,
    /// Write the token here (mode 0600, a new file) instead of printing it
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct VcsPoolUpdateArgs {
    #[command(flatten)]
    pub pool: VcsPoolArgs,
    /// Another name, if no endpoint has the one it has
    #[arg(long)]
    pub name: Option<String>,
    /// What the pool is for; empty takes it away
    #[arg(long)]
    pub description: Option<String>,
    /// Another space, if no endpoint has its name
    #[arg(long, value_name = "ID")]
    pub space: Option<String>,
}

#[derive(Debug, Args)]
pub struct VcsPoolResetArgs {
    #[command(flatten)]
    pub pool: VcsPoolArgs,
    /// Write the token here (mode 0600, a new file) instead of printing it
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// How long agents with the key before are let in; 0 when it has leaked
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    pub overlap_hours: u32,
}

#[derive(Debug, Args)]
pub struct VcsPoolLogArgs {
    #[command(flatten)]
    pub pool: VcsPoolArgs,
    /// How many requests at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}
