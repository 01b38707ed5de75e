//! Runs a list of hooks in one shell and takes over what they exported.
//!
//! Takes the commands and the environment, gives the environment and working directory as the shell left
//! them, or which hook failed and how. Must never happen here: running a hook after one that failed, or
//! taking a shell that left early for one that reached its end.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dump::{Board, Left};
use crate::env::Environment;
use crate::lookup;
use crate::process::capture::Capture;
use crate::process::{Exit, Processes, Role, SpawnError};
use crate::trace;

/// Why a list of hooks did not end well.
#[derive(Debug)]
pub enum HookError {
    /// A hook ended with another code than 0, or by a signal.
    Failed {
        /// The hook, such as `before_plan[1]`, or the list when the shell could not read it.
        what: String,
        /// How it ended.
        exit: Exit,
    },
    /// A hook ended the shell that it shares with the phase.
    Left {
        /// The hook.
        what: String,
    },
    /// The shell was not started.
    NotStarted {
        /// The list.
        what: String,
        /// Why.
        reason: String,
    },
    /// A stop was requested before the shell started.
    Stopped {
        /// The list.
        what: String,
    },
}

/// What a shell needs besides its commands.
pub struct Surroundings<'a> {
    /// Starts the shell.
    pub processes: &'a Processes,
    /// Takes its output.
    pub capture: &'a Capture,
    /// The worker's own executable, which the shell runs last.
    pub worker: &'a Path,
    /// How a stop meets the shell: as work under the list's name, or aside (`after_run`).
    pub stoppable: bool,
    /// Whether each hook is written into the log before it runs.
    pub traced: bool,
}

/// Runs `hooks`, known as `list`, and leaves what they exported in `env` and `directory`.
///
/// # Errors
/// [`HookError`] names the hook that failed.
pub async fn run(
    list: &str,
    hooks: &[String],
    env: &mut Environment,
    directory: &mut PathBuf,
    around: &Surroundings<'_>,
) -> Result<(), HookError> {
    if hooks.is_empty() {
        return Ok(());
    }
    let not_started = |reason: String| HookError::NotStarted {
        what: list.to_owned(),
        reason,
    };
    let shell = shell(env).ok_or_else(|| not_started(no_shell(env)))?;
    let board = Board::new().map_err(|error| not_started(error.to_string()))?;
    let output = around.capture.stdio();
    let (out, err) = output.map_err(|error| not_started(error.to_string()))?;
    let mut command = Command::new(shell);
    command
        .arg("-c")
        .arg(script(hooks, around.worker, around.traced, board.number()));
    command
        .env_clear()
        .envs(env.without(&[]))
        .current_dir(&*directory);
    command.stdout(out).stderr(err);
    let role = match around.stoppable {
        true => Role::Work(list.to_owned()),
        false => Role::Aside,
    };
    let running = around.processes.spawn(&mut command, role);
    // Its copies of the pipe's write end would keep the phase's output open.
    drop(command);
    let running = running.map_err(|error| match error {
        SpawnError::Stopped => HookError::Stopped {
            what: list.to_owned(),
        },
        SpawnError::Start { program, source } => {
            not_started(format!("could not start `{program}`: {source}"))
        }
    })?;
    let exit = running.exit().await;
    let left = board
        .read()
        .map_err(|error| not_started(error.to_string()))?;
    conclude(list, exit, left).map(|exported| {
        env.replace(exported.variables);
        *directory = exported.directory;
    })
}

/// The shell that runs hooks and tasks.
pub fn shell(env: &Environment) -> Option<PathBuf> {
    lookup::find("sh", env.get("PATH"), Some(Path::new("/bin/sh")))
}

/// The sentence for an image without a shell.
pub fn no_shell(env: &Environment) -> String {
    let path = env.get("PATH").unwrap_or_default().display();
    format!(
        "the image has no shell, which hooks and tasks need: `sh` is not in its PATH (`{path}`) nor at `/bin/sh`; use an image that has one"
    )
}

fn conclude(list: &str, exit: Exit, left: Left) -> Result<crate::dump::Exported, HookError> {
    let what = match &left {
        Left::InHook(hook) => format!("{list}[{hook}]"),
        Left::Exported(_) | Left::Nowhere => list.to_owned(),
    };
    match (exit, left) {
        (Exit::Code(0), Left::Exported(exported)) => Ok(exported),
        (Exit::Code(0), _) => Err(HookError::Left { what }),
        (exit, _) => Err(HookError::Failed { what, exit }),
    }
}

/// The shell's script. Before each hook its number goes to the board; the worker itself is the last
/// command, so that it sees what was exported. Nothing depends on the hooks' exit codes but `&&`.
fn script(hooks: &[String], worker: &Path, traced: bool, board: i32) -> String {
    let mut script = String::new();
    for (number, hook) in hooks.iter().enumerate() {
        let shown = match traced {
            true => format!(
                "printf %s {} || :\n",
                trace::quoted(&trace::as_written(hook))
            ),
            false => String::new(),
        };
        // `:` keeps a hook of blanks or comments from being a syntax error; `>|` works with `set -C`.
        script += &format!(
            "{{\n{shown}echo {number} >|/proc/self/fd/{board}\n}} && {{\n:\n{hook}\n}} && "
        );
    }
    let worker = trace::quoted(&worker.to_string_lossy());
    script + &format!("{worker} dump-env {board}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::Exported;

    /// Runs a script with the system's shell; `dump-env` is played by a command that prints.
    fn board_after(hooks: &[&str], traced: bool) -> (Option<i32>, String) {
        let hooks: Vec<String> = hooks.iter().map(|h| (*h).to_owned()).collect();
        let board = tempfile::NamedTempFile::new().unwrap();
        let script = script(&hooks, Path::new("/bin/echo"), traced, 77)
            .replace("/proc/self/fd/77", &board.path().display().to_string());
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        let left = std::fs::read_to_string(board.path()).unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), format!("{}|{printed}", left.trim()))
    }

    #[test]
    fn a_script_stops_at_the_hook_that_fails() {
        let table: [(&[&str], i32, &str); 7] = [
            (&["true", "true"], 0, "1|dump-env 77\n"),
            (&["echo a", "exit 7", "echo b"], 7, "1|a\n"),
            (&["false; true"], 0, "0|dump-env 77\n"),
            (&["(exit 3)", "echo b"], 3, "0|"),
            (
                &["", "# only a comment", "set -C", "true"],
                0,
                "3|dump-env 77\n",
            ),
            (
                &["echo a # comment", "cat <<X\nhere\nX"],
                0,
                "1|a\nhere\ndump-env 77\n",
            ),
            (&["true", "if"], 2, "|"),
        ];
        for (hooks, code, left) in table {
            assert_eq!(
                board_after(hooks, false),
                (Some(code), left.to_owned()),
                "{hooks:?}"
            );
        }
    }

    #[test]
    fn a_traced_hook_is_shown_as_it_is_written_before_it_runs() {
        let hooks = ["echo 'a  b' \\n %s", "false # because\nexit 3", "echo c"];
        let (code, left) = board_after(&hooks, true);
        let shown = "[gantry] + echo 'a  b' \\n %s\na  b n %s\n[gantry] + false # because\n[gantry] + exit 3\n";
        assert_eq!((code, left), (Some(3), format!("1|{shown}")));
    }

    #[test]
    fn the_failed_hook_is_named() {
        let exported = Left::Exported(Exported {
            variables: Vec::new(),
            directory: PathBuf::from("/"),
        });
        assert!(conclude("after_plan", Exit::Code(0), exported.clone()).is_ok());
        let table = [
            (Exit::Code(3), Left::InHook(2), "after_plan[2]"),
            (Exit::Signal(9), Left::InHook(0), "after_plan[0]"),
            (Exit::Code(2), Left::Nowhere, "after_plan"),
            (Exit::Code(1), exported, "after_plan"),
        ];
        for (given, left, expected) in table {
            match conclude("after_plan", given, left) {
                Err(HookError::Failed { what, exit }) => {
                    assert_eq!((what.as_str(), exit), (expected, given));
                }
                other => panic!("{other:?}"),
            }
        }
        let early = conclude("after_plan", Exit::Code(0), Left::InHook(1));
        assert!(matches!(early, Err(HookError::Left { what }) if what == "after_plan[1]"));
    }
}
