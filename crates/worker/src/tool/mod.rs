//! What an infrastructure tool is to the phases.
//!
//! Takes a phase's action, gives arguments, the meaning of exit codes, and how to read a plan. A third
//! tool joins with one more file and one more line in [`of`]. Must never happen here: starting a process
//! on its own, or taking one tool for another.

mod origin;
pub mod providers;
mod terraform;

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use gantry_protocol::payload::ToolKind;
use gantry_protocol::plan::{PlanError, Redacted};

use crate::env::Environment;
use crate::lookup;
use crate::process::Processes;
use crate::process::query::{QueryError, query};

pub use origin::Origin;
pub use terraform::{OPEN_TOFU, TERRAFORM};

/// Something a tool is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Make the directory ready.
    Init,
    /// Plan and save the plan.
    Plan(Planned<'a>),
    /// Apply the plan in this file.
    Apply(&'a Path),
    /// Destroy everything that the tool manages here.
    Destroy,
}

/// What is to be planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned<'a> {
    /// Where the plan is saved.
    pub file: &'a Path,
    /// What for.
    pub aim: Aim,
    /// Addresses that it is limited to; none is all of them.
    pub targets: &'a [String],
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// To make what the code says.
    Make,
    /// To destroy everything that the tool manages here.
    Destroy,
}

/// How a plan is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As data, for counting.
    Data,
    /// As people read it.
    Text,
}

/// What an exit code of a tool says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It worked.
    Done,
    /// The plan would change something.
    Changes,
    /// It failed.
    Failed,
}

/// Resources that a plan touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To create.
    pub add: u32,
    /// To change in place.
    pub change: u32,
    /// To destroy.
    pub delete: u32,
    /// Whether an output would change.
    pub outputs: bool,
}

impl Counts {
    /// Whether anything would change.
    pub fn any(&self) -> bool {
        self.add > 0 || self.change > 0 || self.delete > 0 || self.outputs
    }
}

/// A tool. Implementations are plain data: nothing here starts a process.
pub trait Tool: Sync {
    /// Its name as people write it.
    fn title(&self) -> &'static str;
    /// Name of its executable.
    fn program(&self) -> &'static str;
    /// Where it may be mounted when `PATH` has none.
    fn fallback(&self) -> &'static Path;
    /// Variables it runs with unless the order says otherwise.
    fn defaults(&self) -> &'static [(&'static str, &'static str)];
    /// Short name of an action, as in `terraform plan`.
    fn verb(&self, action: Action<'_>) -> &'static str;
    /// Arguments of an action.
    fn arguments(&self, action: Action<'_>) -> Vec<OsString>;
    /// What an exit code of an action says.
    fn verdict(&self, action: Action<'_>, code: i32) -> Verdict;
    /// Arguments that make it say what it is.
    fn identify(&self) -> Vec<OsString>;
    /// The version in its answer; nothing when it did not say that it is this tool.
    fn version_in<'a>(&self, answer: &'a str) -> Option<&'a str>;
    /// Arguments that show the plan in a file.
    fn show(&self, plan: &Path, view: View) -> Vec<OsString>;
    /// Counts what a plan shown as [`View::Data`] would do.
    ///
    /// # Errors
    /// When it is not what this tool shows.
    fn count(&self, shown: &mut dyn Read) -> Result<Counts, serde_json::Error>;
    /// What of a plan shown as [`View::Data`] may leave the container. More than `MAX_SHOWN` bytes need not be given.
    ///
    /// # Errors
    /// [`PlanError`]; then nothing may.
    fn redact(&self, shown: &[u8]) -> Result<Redacted, PlanError>;
    /// Variables that would change [`Tool::identify`] and [`Tool::show`], left out for those.
    fn distractions(&self) -> Vec<String>;
    /// File, relative to its working directory, in which it keeps a state that it could not write.
    fn rescued_state(&self) -> &'static str;
}

/// The tool of that kind.
pub fn of(kind: ToolKind) -> &'static dyn Tool {
    match kind {
        ToolKind::Terraform => &TERRAFORM,
        ToolKind::OpenTofu => &OPEN_TOFU,
    }
}

/// Why the image can't serve the tool.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not there.
    #[error(
        "the image has no {title}: `{program}` is not in its PATH (`{path}`) nor at `{fallback}`; use an image that has it or choose another tool for the stack"
    )]
    Missing {
        /// The tool's name.
        title: &'static str,
        /// Its executable's name.
        program: &'static str,
        /// The `PATH` that was searched.
        path: String,
        /// The file that was looked for besides.
        fallback: String,
    },
    /// It is another tool.
    #[error("`{file}` is not {title}: asked for its version it says `{answer}`")]
    Another {
        /// The tool's name.
        title: &'static str,
        /// The executable.
        file: String,
        /// The first line of its answer.
        answer: String,
    },
    /// It is another version.
    #[error(
        "the stack asks for {title} {wanted}, and the image's `{file}` is {found}: set the stack's version to {found} or to none, use an image with {wanted}, or let the host download it (GANTRY_TOOL_KEYS of the launcher)"
    )]
    Version {
        /// The tool's name.
        title: &'static str,
        /// The version that the stack asks for.
        wanted: String,
        /// The executable.
        file: String,
        /// Its version.
        found: String,
    },
    /// The host's is not what it is called.
    #[error(
        "the host brought `{file}` as {title} {wanted}, and it is {found}; the mirror's archive is not what its name says"
    )]
    Mislabelled {
        /// The tool's name.
        title: &'static str,
        /// The version that the stack asks for.
        wanted: String,
        /// The executable.
        file: String,
        /// Its version.
        found: String,
    },
    /// It can't say what it is.
    #[error("`{file}` does not work in this image: it could not tell its version")]
    Broken {
        /// The executable.
        file: String,
        /// Why.
        source: QueryError,
    },
}

/// A tool that is what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The executable.
    pub file: PathBuf,
    /// What it says its version is.
    pub version: String,
}

/// The executable that would be used: the one that the host brought, else the first in `env`'s `PATH`.
pub fn find(tool: &'static dyn Tool, origin: &Origin, env: &Environment) -> Option<PathBuf> {
    match origin {
        Origin::Host { file, .. } => Some(file.clone()),
        Origin::Image { .. } => {
            lookup::find(tool.program(), env.get("PATH"), Some(tool.fallback()))
        }
    }
}

/// Finds `tool` and makes sure that it is what it is called, at the version that was asked for.
///
/// # Errors
/// [`ToolError`] names the tool and what was found instead.
pub async fn locate(
    tool: &'static dyn Tool,
    origin: &Origin,
    env: &Environment,
    directory: &Path,
    processes: &Processes,
) -> Result<Located, ToolError> {
    let file = find(tool, origin, env).ok_or_else(|| ToolError::Missing {
        title: tool.title(),
        program: tool.program(),
        path: env.get("PATH").unwrap_or_default().display().to_string(),
        fallback: tool.fallback().display().to_string(),
    })?;
    let answer = ask(tool, &file, env, directory, processes).await?;
    let Some(version) = tool.version_in(&answer).map(str::to_owned) else {
        return Err(ToolError::Another {
            title: tool.title(),
            file: file.display().to_string(),
            answer: first_line(&answer),
        });
    };
    match origin.refusal(tool.title(), &file, &version) {
        Some(refusal) => Err(refusal),
        None => Ok(Located { file, version }),
    }
}

/// What an executable says that it is.
async fn ask(
    tool: &'static dyn Tool,
    file: &Path,
    env: &Environment,
    directory: &Path,
    processes: &Processes,
) -> Result<String, ToolError> {
    let mut command = command(file, env, directory, &tool.distractions());
    command.args(tool.identify());
    let answer = query(processes, &mut command, |out| {
        let mut answer = Vec::new();
        let _ = out.take(16 << 10).read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    answer.await.map_err(|source| ToolError::Broken {
        file: file.display().to_string(),
        source,
    })
}

fn first_line(answer: &str) -> String {
    let line = answer.lines().next().unwrap_or_default();
    line.chars().take(200).collect()
}
/// A command of `file` with `env`, less `leave_out`, in `directory`.
pub fn command(file: &Path, env: &Environment, directory: &Path, leave_out: &[String]) -> Command {
    let mut command = Command::new(file);
    command.env_clear().envs(env.without(leave_out));
    command.env("PWD", directory).current_dir(directory);
    command
}
