//! The words after `gantry stack` that are about a stack's or run's place, and previews of local files.

use std::path::PathBuf;

use clap::Args;

use super::sign::SignerArgs;
use super::stack::run_metadata;

/// A stack.
#[derive(Debug, Args)]
pub struct StackId {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
}

/// A run of a stack.
#[derive(Debug, Args)]
pub struct RunOf {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The run's id
    #[arg(long, value_name = "ID")]
    pub run: String,
}

#[derive(Debug, Args)]
pub struct LockArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
}

#[derive(Debug, Args)]
pub struct SetCommitArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The commit's full hash
    #[arg(long, value_name = "COMMIT")]
    pub sha: String,
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// First destroy what the stack manages, by a run; the stack goes when that finished
    #[arg(long)]
    pub destroy_resources: bool,
    /// Don't ask
    #[arg(long)]
    pub skip_confirmation: bool,
}

#[derive(Debug, Args)]
pub struct ReplanArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The run's id
    #[arg(long, value_name = "ID")]
    pub run: String,
    /// Addresses to plan, separated by commas; may be given more than once
    #[arg(long, value_name = "ADDRESS", required = true, value_delimiter = ',')]
    pub resources: Vec<String>,
    /// Text to keep with the run
    #[arg(long, value_name = "TEXT", value_parser = run_metadata)]
    pub run_metadata: Option<String>,
    /// Follow the run to its end
    #[arg(long)]
    pub tail: bool,
    #[command(flatten)]
    pub signer: SignerArgs,
}

#[derive(Debug, Args)]
pub struct DriftArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// When to look, as five fields of cron; may be given more than once
    #[arg(
        long,
        value_name = "CRON",
        required_unless_present = "off",
        conflicts_with = "off"
    )]
    pub schedule: Vec<String>,
    /// The schedule's time zone, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub timezone: String,
    /// Deploy what was found to differ
    #[arg(long, conflicts_with = "off")]
    pub reconcile: bool,
    /// Look no more
    #[arg(long)]
    pub off: bool,
}

#[derive(Debug, Args)]
pub struct LocalPreviewArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// A directory of the code; the working directory otherwise
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Variable over the stack's, NAME=VALUE; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env_var_override: Vec<(String, String)>,
    /// The same for variables whose names begin with TF_, which is put before them
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub tf_env_var_override: Vec<(String, String)>,
    /// Address to plan; may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Send only files below the directory, by their names from the repository's root
    #[arg(long)]
    pub project_root_only: bool,
    /// Take the directory itself as the root, whether or not a repository is around it
    #[arg(long)]
    pub no_find_repository_root: bool,
    /// Send files too that .gitignore leaves out (.terraformignore still counts)
    #[arg(long)]
    pub disregard_gitignore: bool,
    /// Move the run ahead in its pool's queue
    #[arg(long)]
    pub prioritize_run: bool,
    /// Text to keep with the run
    #[arg(long, value_name = "TEXT", value_parser = run_metadata)]
    pub run_metadata: Option<String>,
    /// Don't follow the run
    #[arg(long)]
    pub no_tail: bool,
    /// Taken to say that it has no effect: such runs can't be signed
    #[arg(long, hide = true, value_name = "FILE")]
    pub sign_key: Option<PathBuf>,
    /// As above
    #[arg(long, hide = true, value_name = "COMMAND", env = "GANTRY_SIGN_COMMAND")]
    pub sign_command: Option<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
