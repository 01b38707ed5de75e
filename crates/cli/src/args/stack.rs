//! The words after `gantry stack`.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::SignerArgs;
use super::control::{
    DeleteArgs, DriftArgs, LocalPreviewArgs, LockArgs, ReplanArgs, RunOf, SetCommitArgs, StackId,
};
use super::hosts::{StackUpdateArgs, StateCommand};

#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Makes a stack
    Create(Box<CreateArgs>),
    /// Lists stacks
    List,
    /// Shows one stack
    Show {
        /// The stack's id
        #[arg(long, value_name = "ID")]
        id: String,
    },
    /// Changes settings of a stack
    Update(Box<StackUpdateArgs>),
    /// The managed state of a stack: its versions, going back to one
    #[command(subcommand)]
    State(StateCommand),
    /// Sets one environment variable of a stack
    SetEnv(ConfigArgs),
    /// Starts a run: plan, then apply once confirmed
    Deploy(Box<DeployArgs>),
    /// Starts a preview: a plan that is never applied
    Preview(Box<PreviewArgs>),
    /// Starts a preview of local files that were not pushed
    LocalPreview(Box<LocalPreviewArgs>),
    /// Starts a run that destroys what the stack manages: plan, then destroy once confirmed
    Destroy(Box<DeployArgs>),
    /// Runs one command in the stack's environment
    Task(Box<TaskArgs>),
    /// Accepts a plan: the run goes on to apply it
    Confirm(Box<SignedDecideArgs>),
    /// Approves a run that waits for reviews
    Approve(ReviewArgs),
    /// Rejects a run that waits for reviews
    Reject(ReviewArgs),
    /// Refuses a plan: the run ends
    Discard(DecideArgs),
    /// Starts a run like one that failed, was stopped, canceled or discarded
    Retry(SignedDecideArgs),
    /// Deploys the commit that a preview looked at
    Promote(DecideArgs),
    /// Plans a run that waits for its decision again, limited to some addresses
    Replan(ReplanArgs),
    /// Moves a run ahead in its pool's queue
    Prioritize(RunOf),
    /// Moves a run back to its place in the queue
    Deprioritize(RunOf),
    /// Takes a stack for oneself: nobody else deploys
    Lock(LockArgs),
    /// Gives a stack back
    Unlock(StackId),
    /// Lets a stack take new runs again
    Enable(StackId),
    /// Lets a stack take no new runs
    Disable(StackId),
    /// Lets deployments take the head of the stack's branch again
    SyncCommit(StackId),
    /// Lets deployments that name no commit take this one
    SetCurrentCommit(SetCommitArgs),
    /// Looks on a schedule whether the world still is as it was deployed
    Drift(DriftArgs),
    /// Deletes a stack
    Delete(DeleteArgs),
    /// Stops a run that is under way
    Stop(StopArgs),
    /// Takes back a run that has not started
    Cancel(DecideArgs),
    /// Prints a run's logs
    Logs(LogsArgs),
    /// Prints what a run's plan would change, resource by resource
    Changes {
        /// The stack's id
        #[arg(long, value_name = "ID")]
        id: String,
        /// The run's id
        #[arg(long, value_name = "ID")]
        run: String,
    },
    /// What a stack manages
    #[command(subcommand)]
    Resources(ResourcesCommand),
    /// Prints the outputs of a stack's state
    Outputs {
        /// The stack's id
        #[arg(long, value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum ResourcesCommand {
    /// Lists what is in a stack's state, without secrets
    List {
        /// The stack's id
        #[arg(long, value_name = "ID")]
        id: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ToolArg {
    Terraform,
    Opentofu,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The stack's name
    #[arg(long)]
    pub name: String,
    /// The stack's id; made from the name otherwise
    #[arg(long, value_name = "ID")]
    pub slug: Option<String>,
    /// Clone URL of the code
    #[arg(long, value_name = "URL")]
    pub repository: String,
    /// Branch to deploy
    #[arg(long, default_value = "main")]
    pub branch: String,
    /// Directory of the code in the repository
    #[arg(long, value_name = "DIR")]
    pub project_root: Option<String>,
    /// Id of the pool whose launchers run it
    #[arg(long, value_name = "ID")]
    pub pool: String,
    /// Image that runs execute in; the launcher's default otherwise
    #[arg(long, value_name = "IMAGE")]
    pub runner_image: Option<String>,
    /// The tool
    #[arg(long, value_enum)]
    pub tool: ToolArg,
    /// Version of the tool; what the image holds otherwise
    #[arg(long, value_name = "VERSION")]
    pub tool_version: Option<String>,
    /// Apply plans without asking
    #[arg(long)]
    pub autodeploy: bool,
    /// Allow previews of files that people upload
    #[arg(long)]
    pub local_preview: bool,
    /// Leave the state where the code's own backend keeps it
    #[arg(long)]
    pub no_manage_state: bool,
    /// What the stack is for
    #[arg(long)]
    pub description: Option<String>,
    /// Label; may be given more than once
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
    #[command(flatten)]
    pub hooks: HookArgs,
}

/// Shell commands around the phases; each option may be given more than once.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Commands around the phases (each may be given more than once)")]
pub struct HookArgs {
    #[arg(long, value_name = "COMMAND")]
    pub before_init: Vec<String>,
    #[arg(long, value_name = "COMMAND")]
    pub after_init: Vec<String>,
    #[arg(long, value_name = "COMMAND")]
    pub before_plan: Vec<String>,
    #[arg(long, value_name = "COMMAND")]
    pub after_plan: Vec<String>,
    #[arg(long, value_name = "COMMAND")]
    pub before_apply: Vec<String>,
    #[arg(long, value_name = "COMMAND")]
    pub after_apply: Vec<String>,
    #[arg(long, value_name = "COMMAND")]
    pub before_perform: Vec<String>,
    #[arg(long, value_name = "COMMAND")]
    pub after_perform: Vec<String>,
    #[arg(long, value_name = "COMMAND")]
    pub before_destroy: Vec<String>,
    #[arg(long, value_name = "COMMAND")]
    pub after_destroy: Vec<String>,
    #[arg(long, value_name = "COMMAND")]
    pub after_run: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// Never show the value again, and mask it in logs
    #[arg(long)]
    pub secret: bool,
    /// NAME=VALUE, or NAME with the value on standard input
    #[arg(value_name = "NAME[=VALUE]")]
    pub variable: String,
}

#[derive(Debug, Args)]
pub struct DeployArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// Commit to deploy; the branch's newest otherwise
    #[arg(long, value_name = "COMMIT")]
    pub sha: Option<String>,
    /// Only plan: a preview that never applies
    #[arg(long, conflicts_with = "auto_confirm")]
    pub preview: bool,
    /// Text to keep with the run
    #[arg(long, value_name = "TEXT", value_parser = run_metadata)]
    pub run_metadata: Option<String>,
    /// Follow the run to its end
    #[arg(long)]
    pub tail: bool,
    /// Follow the run, and confirm its plan without asking
    #[arg(long)]
    pub auto_confirm: bool,
    #[command(flatten)]
    pub signer: SignerArgs,
}

#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// Commit to plan; the branch's newest otherwise
    #[arg(long, value_name = "COMMIT")]
    pub sha: Option<String>,
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
pub struct TaskArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// Leave out the tool's init
    #[arg(long)]
    pub no_init: bool,
    /// Text to keep with the run
    #[arg(long, value_name = "TEXT", value_parser = run_metadata)]
    pub run_metadata: Option<String>,
    /// Follow the run to its end
    #[arg(long)]
    pub tail: bool,
    #[command(flatten)]
    pub signer: SignerArgs,
    /// The command: one argument is taken as a shell line, several are quoted
    #[arg(required = true, trailing_var_arg = true)]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct DecideArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The run's id
    #[arg(long, value_name = "ID")]
    pub run: String,
    /// Text to keep with the run
    #[arg(long, value_name = "TEXT", value_parser = run_metadata)]
    pub run_metadata: Option<String>,
    /// Follow the run to its end
    #[arg(long)]
    pub tail: bool,
}

#[derive(Debug, Args)]
pub struct SignedDecideArgs {
    #[command(flatten)]
    pub decide: DecideArgs,
    #[command(flatten)]
    pub signer: SignerArgs,
}

#[derive(Debug, Args)]
pub struct ReviewArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The run's id; the run that holds the stack otherwise
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Text to keep with the run
    #[arg(long, value_name = "TEXT", value_parser = run_metadata)]
    pub run_metadata: Option<String>,
}

#[derive(Debug, Args)]
pub struct StopArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The run's id
    #[arg(long, value_name = "ID")]
    pub run: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Text to keep with the run
    #[arg(long, value_name = "TEXT", value_parser = run_metadata)]
    pub run_metadata: Option<String>,
    /// Follow the run to its end
    #[arg(long)]
    pub tail: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub struct LogsArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub which: WhichRun,
    /// Follow the run to its end
    #[arg(long)]
    pub tail: bool,
    /// Only this state's logs, such as PLANNING, and no headings
    #[arg(long, value_name = "STATE")]
    pub phase: Option<String>,
}

#[derive(Debug, Args)]
pub struct WhichRun {
    /// The run's id
    #[arg(long, value_name = "ID", group = "which")]
    pub run: Option<String>,
    /// The stack's newest run
    #[arg(long, group = "which")]
    pub run_latest: bool,
}

/// It travels in one line of a header; the server would refuse it too, after the work of asking.
pub(super) fn run_metadata(text: &str) -> Result<String, String> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err("expected one line of text, without control characters".to_owned());
    }
    Ok(text.to_owned())
}
