//! The words after `gantry vcs-integration`, `gantry notification-target` and `gantry stack state|update`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum IntegrationCommand {
    /// Lists integrations
    List,
    /// Shows one integration and what came of its newest pushes
    Show(IntegrationId),
    /// Makes an integration
    Create(Box<IntegrationCreateArgs>),
    /// Changes an integration
    Update(Box<IntegrationUpdateArgs>),
    /// Deletes an integration with its token
    Delete(IntegrationId),
    /// Lists repositories that its token sees
    Repositories(RepositoriesArgs),
    /// Lists branches of a repository
    Branches(BranchesArgs),
    /// Asks its host whose token it is, and for one repository
    Test(IntegrationId),
}

#[derive(Debug, Args)]
pub struct IntegrationId {
    /// The integration's id
    #[arg(long, value_name = "ID")]
    pub id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VendorArg {
    Git,
    Github,
    Gitlab,
    BitbucketDatacenter,
    AzureDevops,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").multiple(true))]
pub struct IntegrationCreateArgs {
    /// The integration's name
    #[arg(long)]
    pub name: String,
    /// The integration's id; made from the name otherwise
    #[arg(long, value_name = "ID")]
    pub slug: Option<String>,
    /// The space; your own otherwise
    #[arg(long, value_name = "ID")]
    pub space: Option<String>,
    /// What kind of host it is
    #[arg(long, value_enum)]
    pub vendor: VendorArg,
    /// Beginning of the clone URLs that belong to it, such as https://github.com/acme/ or private://POOL/
    #[arg(long, value_name = "URL")]
    pub url_prefix: String,
    #[command(flatten)]
    pub details: IntegrationDetails,
    /// New file for the secret of its webhooks; printed otherwise
    #[arg(long, value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
}

/// What may change later.
#[derive(Debug, Args)]
pub struct IntegrationDetails {
    /// Where the host's API is, such as https://api.github.com or private://POOL/api/v4; empty for none
    #[arg(long, value_name = "URL", group = "change")]
    pub api_url: Option<String>,
    /// User name that goes with the token; empty for the host's usual one
    #[arg(long, value_name = "NAME", group = "change")]
    pub username: Option<String>,
    /// File with the token, `-` for standard input; an empty one takes the token away
    #[arg(long, value_name = "FILE", group = "change")]
    pub token_file: Option<PathBuf>,
    /// Seconds between two looks at its repositories; 0 for never
    #[arg(long, value_name = "SECONDS", group = "change")]
    pub poll_seconds: Option<u32>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub struct IntegrationUpdateArgs {
    /// The integration's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// A new name
    #[arg(long, group = "change")]
    pub name: Option<String>,
    #[command(flatten)]
    pub details: IntegrationDetails,
}

#[derive(Debug, Args)]
pub struct RepositoriesArgs {
    /// The integration's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// Part of the names
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 200)]
    pub limit: usize,
}

#[derive(Debug, Args)]
pub struct BranchesArgs {
    /// The integration's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The repository's name, as `repositories` prints it
    #[arg(long, value_name = "NAME")]
    pub repository: String,
    /// Part of the names
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 200)]
    pub limit: usize,
}

#[derive(Debug, Subcommand)]
pub enum NotificationCommand {
    /// Lists targets
    List,
    /// Shows one target and how its newest messages went
    Show(TargetId),
    /// Makes a target
    Create(TargetCreateArgs),
    /// Changes a target
    Update(TargetUpdateArgs),
    /// Deletes a target; what waits for it is not sent
    Delete(TargetId),
    /// Sends a message again
    Redeliver {
        /// The target's id
        #[arg(long, value_name = "ID")]
        id: String,
        /// The message's id
        #[arg(long, value_name = "ID")]
        delivery: String,
    },
}

#[derive(Debug, Args)]
pub struct TargetId {
    /// The target's id
    #[arg(long, value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct TargetCreateArgs {
    /// The target's name
    #[arg(long)]
    pub name: String,
    /// Where it listens
    #[arg(long)]
    pub url: String,
    /// State of runs that it is told of, such as FINISHED; may be given more than once, all otherwise
    #[arg(long = "state", value_name = "STATE")]
    pub states: Vec<String>,
    /// The space; your own otherwise
    #[arg(long, value_name = "ID")]
    pub space: Option<String>,
    /// New file for the secret that messages are signed with; printed otherwise
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub struct TargetUpdateArgs {
    /// The target's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// A new name
    #[arg(long, group = "change")]
    pub name: Option<String>,
    /// Where it listens
    #[arg(long, group = "change")]
    pub url: Option<String>,
    /// State instead of all that it is told of; may be given more than once
    #[arg(long = "state", value_name = "STATE", group = "change")]
    pub states: Vec<String>,
    /// Whether it is told at all
    #[arg(long, value_name = "BOOL", group = "change")]
    pub enabled: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Lists versions of a stack's managed state, newest first
    List {
        /// The stack's id
        #[arg(long, value_name = "ID")]
        id: String,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Writes a stack's newest managed state into a new file, secrets and all
    Pull {
        /// The stack's id
        #[arg(long, value_name = "ID")]
        id: String,
        /// The file; of mode 0600
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Makes an older version of a stack's managed state the newest one
    Rollback {
        /// The stack's id
        #[arg(long, value_name = "ID")]
        id: String,
        /// The version, as `state list` prints it
        #[arg(long)]
        version: u64,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub struct StackUpdateArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// A new name
    #[arg(long, group = "change")]
    pub name: Option<String>,
    /// Clone URL of the code
    #[arg(long, value_name = "URL", group = "change")]
    pub repository: Option<String>,
    /// Branch to deploy
    #[arg(long, group = "change")]
    pub branch: Option<String>,
    /// Directory of the code in the repository; empty for its root
    #[arg(long, value_name = "DIR", group = "change")]
    pub project_root: Option<String>,
    /// Id of the pool whose launchers run it
    #[arg(long, value_name = "ID", group = "change")]
    pub pool: Option<String>,
    /// Image that runs execute in; empty for the launcher's default
    #[arg(long, value_name = "IMAGE", group = "change")]
    pub runner_image: Option<String>,
    /// Whether plans are applied without asking
    #[arg(long, value_name = "BOOL", group = "change")]
    pub autodeploy: Option<bool>,
    /// Whether previews of files that people upload are allowed
    #[arg(long, value_name = "BOOL", group = "change")]
    pub local_preview: Option<bool>,
    /// What the stack is for
    #[arg(long, group = "change")]
    pub description: Option<String>,
    /// Label instead of all that it has; may be given more than once
    #[arg(long = "label", value_name = "LABEL", group = "change")]
    pub labels: Vec<String>,
}
