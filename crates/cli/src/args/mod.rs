//! The command line as types. Takes words and the variables of the environment that clap reads, gives values.
//! Never: work; and never a secret as an option's value, because other users of the host see command lines.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod autoscale;
mod ca;
mod context;
mod control;
mod access;
mod dev;
mod hosts;
mod policy;
mod pool;
mod release;
mod sign;
mod stack;
mod vcs_pool;

pub use access::{ApiKeyCommand, ApiKeyCreateArgs, AuditCommand, RoleArg, SpaceCommand};
pub use autoscale::AutoscaleArgs;
pub use ca::CaCommand;
pub use context::{ContextCommand, ContextCreateArgs, ContextSetArgs, ContextUpdateArgs};
pub use control::{
    DeleteArgs, DriftArgs, LocalPreviewArgs, LockArgs, ReplanArgs, RunOf, SetCommitArgs,
    StackId as StackIdArg,
};
pub use dev::DevArgs;
pub use hosts::{
    IntegrationCommand, IntegrationCreateArgs, IntegrationDetails, IntegrationUpdateArgs,
    NotificationCommand, StackUpdateArgs, StateCommand, TargetCreateArgs, TargetUpdateArgs,
    VendorArg,
};
pub use policy::{AttachArgs, PolicyCommand, PolicyCreateArgs, PolicyUpdateArgs, SimulateArgs};
pub use pool::{DrainArgs, PoolChangeArgs, PoolCommand, PoolCreateArgs, PoolResetArgs, WorkerArgs};
pub use release::ReleaseCommand;
pub use sign::{AlgorithmArg, KeyCommand, SignArgs, SignerArgs};
pub use stack::{
    ConfigArgs, CreateArgs, DecideArgs, DeployArgs, HookArgs, LogsArgs, PreviewArgs,
    ResourcesCommand, ReviewArgs, SignedDecideArgs, StackCommand, StopArgs, TaskArgs, ToolArg,
};

pub use vcs_pool::{
    VcsPoolCommand, VcsPoolCreateArgs, VcsPoolLogArgs, VcsPoolResetArgs, VcsPoolUpdateArgs,
};

/// Gantry's command line: pools, stacks, deployments and their logs.
///
/// Data goes to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(name = "gantry", version, after_help = crate::exit::HELP)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command has.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// How results are printed: a table for people, or one JSON document per line
    #[arg(long, short, global = true, value_enum, default_value_t = Output::Table, env = "GANTRY_OUTPUT")]
    pub output: Output,
    /// Which login to use; the one chosen last otherwise
    #[arg(long, global = true, value_name = "NAME", env = "GANTRY_PROFILE")]
    pub profile: Option<String>,
    /// Directory of the stored logins [default: ~/.config/gantry]
    #[arg(long, global = true, value_name = "DIR", env = "GANTRY_CONFIG_DIR")]
    pub config_dir: Option<PathBuf>,
    /// PEM file of a CA to trust besides the known ones
    #[arg(long, global = true, value_name = "FILE", env = "SPACELIFT_API_TLS_CA")]
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stores an API key after trying it
    Login(LoginArgs),
    /// Shows who you are logged in as
    Whoami,
    /// Pools of launchers
    #[command(subcommand)]
    Pool(PoolCommand),
    /// How many launchers a pool wants now, for scripts that set the size of a group of hosts
    AutoscaleHint(AutoscaleArgs),
    /// Pools of VCS agents, through which the server reaches inner code hosts
    #[command(subcommand)]
    VcsAgentPool(VcsPoolCommand),
    /// Stacks: what to run, and running it
    #[command(subcommand)]
    Stack(StackCommand),
    /// Contexts: variables, files and hooks that stacks share
    #[command(subcommand)]
    Context(ContextCommand),
    /// Policies of the server: who approves, what plans may change, what commits start
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// VCS integrations: how code hosts are reached
    #[command(subcommand)]
    VcsIntegration(IntegrationCommand),
    /// Targets: whose servers are told of runs
    #[command(subcommand)]
    NotificationTarget(NotificationCommand),
    /// Spaces: who sees what
    #[command(subcommand)]
    Space(SpaceCommand),
    /// Keys of the API: who may do what, and where
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// The audit trail: who did what
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Runs of a stack
    #[command(subcommand)]
    Run(RunCommand),
    /// Keys that sign runs
    #[command(subcommand)]
    Key(KeyCommand),
    /// Signs a run, to be sent with it: prints an entry for its metadata
    Sign(Box<SignArgs>),
    /// Signs worker binaries and whole releases, and verifies releases; offline
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// CAs of your own, for every component
    #[command(subcommand)]
    Ca(CaCommand),
    /// Starts a server and a launcher on this machine, for trying Gantry out
    Dev(DevArgs),
}

#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Base URL of the server
    #[arg(long, value_name = "URL", env = "SPACELIFT_API_KEY_ENDPOINT")]
    pub endpoint: Option<String>,
    /// The API key's id
    #[arg(long, value_name = "ID", env = "SPACELIFT_API_KEY_ID")]
    pub key_id: Option<String>,
    /// File with the API key's secret, `-` for standard input; asked for otherwise
    /// [env: SPACELIFT_API_KEY_SECRET holds the secret itself]
    #[arg(long, value_name = "FILE")]
    pub key_secret_file: Option<PathBuf>,
    /// Name of this login
    #[arg(default_value = "default")]
    pub name: String,
}

#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// Lists a stack's runs, newest first
    List {
        /// The stack's id
        #[arg(long, value_name = "ID")]
        stack: String,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Shows one run
    Show {
        /// The stack's id
        #[arg(long, value_name = "ID")]
        stack: String,
        /// The run's id
        #[arg(long, value_name = "ID")]
        run: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
