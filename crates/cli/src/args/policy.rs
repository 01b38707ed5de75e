//! The words after `gantry policy`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Lists policies
    List,
    /// Shows one policy with its text
    Show {
        /// The policy's id
        #[arg(long, value_name = "ID")]
        id: String,
    },
    /// Makes a policy
    Create(PolicyCreateArgs),
    /// Changes a policy
    Update(PolicyUpdateArgs),
    /// Deletes a policy, wherever it is attached
    Delete {
        /// The policy's id
        #[arg(long, value_name = "ID")]
        id: String,
    },
    /// Attaches a policy to a stack
    Attach(AttachArgs),
    /// Takes a policy off a stack
    Detach(AttachArgs),
    /// Lists the newest evaluations of a policy
    Samples {
        /// The policy's id
        #[arg(long, value_name = "ID")]
        id: String,
    },
    /// Prints the input document of one evaluation
    Sample {
        /// The policy's id
        #[arg(long, value_name = "ID")]
        id: String,
        /// The evaluation's key
        #[arg(long)]
        key: String,
    },
    /// Says what a policy would decide, without deciding it
    Simulate(SimulateArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyTypeArg {
    /// Who has to agree before a run goes on
    Approval,
    /// What a plan may change
    Plan,
    /// What a commit starts
    GitPush,
    /// Whether a run may start on a host; only to simulate
    Initialization,
}

impl PolicyTypeArg {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approval => "APPROVAL",
            Self::Plan => "PLAN",
            Self::GitPush => "GIT_PUSH",
            Self::Initialization => "INITIALIZATION",
        }
    }
}

#[derive(Debug, Args)]
pub struct PolicyCreateArgs {
    /// The policy's name
    #[arg(long)]
    pub name: String,
    /// The policy's id; made from the name otherwise
    #[arg(long, value_name = "ID")]
    pub slug: Option<String>,
    /// What it decides
    #[arg(long = "type", value_enum)]
    pub kind: PolicyTypeArg,
    /// File with the Rego text; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub body: PathBuf,
    /// Label, such as autoattach:prod; may be given more than once
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
    /// What the policy is for
    #[arg(long)]
    pub description: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub struct PolicyUpdateArgs {
    /// The policy's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// A new name
    #[arg(long, group = "change")]
    pub name: Option<String>,
    /// File with a new Rego text; `-` is standard input
    #[arg(long, value_name = "FILE", group = "change")]
    pub body: Option<PathBuf>,
    /// Label instead of all that it has; may be given more than once
    #[arg(long = "label", value_name = "LABEL", group = "change")]
    pub labels: Vec<String>,
    /// What the policy is for
    #[arg(long, group = "change")]
    pub description: Option<String>,
}

#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The policy's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub stack: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("text").required(true).multiple(true))]
#[command(group = ArgGroup::new("document").required(true))]
pub struct SimulateArgs {
    /// A policy that the server has
    #[arg(long, value_name = "ID", group = "text")]
    pub id: Option<String>,
    /// File with a Rego text, in place of the policy's own if there is one; `-` is standard input
    #[arg(long, value_name = "FILE", group = "text")]
    pub body: Option<PathBuf>,
    /// What the text decides, where no policy says so
    #[arg(
        long = "type",
        value_enum,
        conflicts_with = "id",
        required_unless_present = "id"
    )]
    pub kind: Option<PolicyTypeArg>,
    /// File with the input document, JSON; `-` is standard input
    #[arg(long, value_name = "FILE", group = "document")]
    pub input: Option<PathBuf>,
    /// Key of an evaluation whose input to use
    #[arg(long, value_name = "KEY", group = "document", requires = "id")]
    pub sample: Option<String>,
}
