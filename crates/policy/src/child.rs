//! The process in which one policy is evaluated, seen from inside.
//!
//! Takes a request on standard input, gives an answer on standard output. Never: a byte of the request read before the
//! limits hold, a second request, a privilege that was there before.

mod exec;
mod fence;
mod watch;

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::engine::evaluate;
use crate::evaluation::{EvalError, Evaluation};
use crate::kind::PolicyKind;
use crate::limits::{Limits, MAX_INPUT, MAX_POLICY};
use crate::policy::{CompileError, Policy};

pub(crate) use watch::KILLED;

/// First argument of a process that evaluates one policy.
pub const ARGUMENT: &str = "policy-evaluation";

/// First argument of a process that starts such a one, and ends what it leaves behind.
pub const WATCH_ARGUMENT: &str = "policy-watch";

/// First argument of a process that becomes a command of `exec`.
pub const EXEC_ARGUMENT: &str = "policy-command";

/// What the parent asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) kind: PolicyKind,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) limits: Limits,
    pub(crate) task: Task,
}

/// What to do with it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    Compile,
    Evaluate { input: String, may_exec: bool },
}

/// What it hears.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Compiled,
    Invalid(CompileError),
    Evaluated(Result<Evaluation, EvalError>),
}

/// Longest request: text and input, each of whose characters may need six in JSON.
const MAX_REQUEST: u64 = 6 * (MAX_INPUT + MAX_POLICY) as u64 + (64 << 10);

/// To be called first in `main` of every program that has a [`crate::Sandbox`]: when the process was started as one of
/// its own children, does that work and gives how it ended.
pub fn enter_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    if first == ARGUMENT {
        Some(serve(
            arguments.filter_map(|argument| argument.into_string().ok()),
        ))
    } else if first == WATCH_ARGUMENT {
        Some(watch::watch(arguments))
    } else if first == EXEC_ARGUMENT {
        Some(exec::become_command(arguments))
    } else {
        None
    }
}

fn serve(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let mut number = || arguments.next()?.parse::<u64>().ok();
    let (Some(memory), Some(seconds)) = (number(), number()) else {
        return ExitCode::from(64);
    };
    if fence::raise(memory, seconds).is_err() {
        return ExitCode::from(70);
    }
    let mut request = Vec::new();
    let read = std::io::stdin().take(MAX_REQUEST).read_to_end(&mut request);
    let Ok(request) = serde_json::from_slice::<Request>(&request) else {
        return ExitCode::from(65);
    };
    let answer = answer(request);
    let answer = serde_json::to_vec(&answer).unwrap_or_default();
    let written = std::io::stdout().write_all(&answer);
    match read.is_ok() && written.is_ok() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(74),
    }
}

fn answer(request: Request) -> Answer {
    let policy = match Policy::compile(request.kind, &request.name, &request.text) {
        Ok(policy) => policy,
        Err(error) => return Answer::Invalid(error),
    };
    match request.task {
        Task::Compile => Answer::Compiled,
        Task::Evaluate { input, may_exec } => {
            let limits = request.limits;
            let runner = may_exec.then(|| exec::runner(limits.exec));
            Answer::Evaluated(evaluate(&policy, &input, limits, runner))
        }
    }
}
