//! What an infrastructure tool is to the phases.
//!
//! Takes a phase's action, gives arguments, the meaning of exit codes, and how to read a plan. A third
//! tool joins with one more file and one more line in [`of`]. Must never happen here: starting a process
//! on its own, or taking one tool for another.

mod terraform;

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use gantry_protocol::payload::ToolKind;

use crate::env::Environment;
use crate::lookup;
use crate::process::Processes;
use crate::process::query::{QueryError, query};

pub use terraform::{OPEN_TOFU, TERRAFORM};

/// Something a tool is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Make the directory ready.
    Init,
    /// Plan and save the plan in this file.
    Plan(&'a Path),
    /// Apply the plan in this file.
    Apply(&'a Path),
    /// Destroy everything that the tool manages here.
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
    /// Whether it said that it is this tool.
    fn is_itself(&self, answer: &str) -> bool;
    /// Arguments that show the plan in a file.
    fn show(&self, plan: &Path, view: View) -> Vec<OsString>;
    /// Counts what a plan shown as [`View::Data`] would do.
    ///
    /// # Errors
    /// When it is not what this tool shows.
    fn count(&self, shown: &mut dyn Read) -> Result<Counts, serde_json::Error>;
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
    #[error("`{file}` in the image is not {title}: asked for its version it says `{answer}`")]
    Another {
        /// The tool's name.
        title: &'static str,
        /// The executable.
        file: String,
        /// The first line of its answer.
        answer: String,
    },
    /// It can't say what it is.
    #[error("`{file}` in the image does not work: it could not tell its version")]
    Broken {
        /// The executable.
        file: String,
        /// Why.
        source: QueryError,
    },
}

/// Finds `tool` in `env`'s `PATH` and makes sure that it is what it is called.
///
/// # Errors
/// [`ToolError`] names the tool and what was found instead.
pub async fn locate(
    tool: &'static dyn Tool,
    env: &Environment,
    directory: &Path,
    processes: &Processes,
) -> Result<PathBuf, ToolError> {
    let path = env.get("PATH");
    let file = lookup::find(tool.program(), path, Some(tool.fallback()));
    let file = file.ok_or_else(|| ToolError::Missing {
        title: tool.title(),
        program: tool.program(),
        path: path.unwrap_or_default().display().to_string(),
        fallback: tool.fallback().display().to_string(),
    })?;
    let mut command = command(&file, env, directory, &tool.distractions());
    command.args(tool.identify());
    let answer = query(processes, &mut command, |out| {
        let mut answer = Vec::new();
        let _ = out.take(16 << 10).read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    let name = file.display().to_string();
    match answer.await {
        Ok(answer) if tool.is_itself(&answer) => Ok(file),
        Ok(answer) => Err(ToolError::Another {
            title: tool.title(),
            file: name,
            answer: answer
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect(),
        }),
        Err(source) => Err(ToolError::Broken { file: name, source }),
    }
}

/// A command of `file` with `env`, less `leave_out`, in `directory`.
pub fn command(file: &Path, env: &Environment, directory: &Path, leave_out: &[String]) -> Command {
    let mut command = Command::new(file);
    command.env_clear().envs(env.without(leave_out));
    command.env("PWD", directory).current_dir(directory);
    command
}
