//! `gantry-launcher policy check|eval`: initialization policies written and tested without a server.
//!
//! Takes a policy's file and an input document; gives text or JSON and an exit code. Never: configuration, a line of
//! the policy in an error.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gantry_policy::{EvalError, Evaluation, Policy};
use serde_json::{Value as Json, json};

use super::print;
use crate::exit::Exit;
use crate::policy::{Verdict, compile, sandbox};
use crate::report::Chain;

/// What can be asked about initialization policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Compiles a policy as the start of the launcher does.
    ///
    /// Exit codes: 0 a launcher takes it, 1 it does not.
    Check(Check),
    /// Evaluates a policy on an input document (docs/POLICIES.md), under the limits that hold for runs.
    ///
    /// Commands of `exec` are run: as uid 1984 where this is root, else as whoever calls this.
    ///
    /// Exit codes: 0 the run would be allowed; 1 it would be denied, or there is no answer.
    Eval(Eval),
}

/// Arguments of `policy check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The policy.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Arguments of `policy eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// The policy.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The input document, such as the `input` of a sample.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Performs a command.
pub(super) async fn perform(command: PolicyCommand) -> Exit {
    let (answer, json) = match command {
        PolicyCommand::Check(arguments) => (check(&arguments.file), arguments.json),
        PolicyCommand::Eval(arguments) => {
            let answer = eval(&arguments.file, &arguments.input).await;
            (answer, arguments.json)
        }
    };
    let shown = match json {
        true => format!("{}\n", answer.json()),
        false => answer.text(),
    };
    match print(&shown) {
        Exit::Drained if answer.is_yes() => Exit::Drained,
        _ => Exit::Failed,
    }
}

/// What there is to show.
enum Answer {
    Invalid(String),
    Compiles {
        dialect: String,
        exec: bool,
    },
    Evaluated {
        verdict: Verdict,
        result: Result<Evaluation, EvalError>,
    },
}

fn check(file: &Path) -> Answer {
    match compile(file) {
        Ok(policy) => Answer::Compiles {
            dialect: policy.dialect().to_string(),
            exec: policy.calls_exec(),
        },
        Err(error) => Answer::Invalid(Chain(&error).to_string()),
    }
}

async fn eval(file: &Path, input: &Path) -> Answer {
    let policy = match compile(file) {
        Ok(policy) => policy,
        Err(error) => return Answer::Invalid(Chain(&error).to_string()),
    };
    let document = match read_document(input) {
        Ok(document) => document,
        Err(why) => return Answer::Invalid(why),
    };
    let result = evaluate(&policy, &document).await;
    Answer::Evaluated {
        verdict: Verdict::of(&result),
        result,
    }
}

fn read_document(path: &Path) -> Result<Json, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("input document `{name}` can't be read: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("input document `{name}`: {error}"))
}

async fn evaluate(policy: &Policy, document: &Json) -> Result<Evaluation, EvalError> {
    sandbox().with_exec().evaluate(policy, document).await
}

impl Answer {
    fn is_yes(&self) -> bool {
        match self {
            Self::Invalid(_) => false,
            Self::Compiles { .. } => true,
            Self::Evaluated { verdict, .. } => !verdict.is_denied(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Invalid(why) => format!("invalid: {why}\n"),
            Self::Compiles { dialect, exec } => {
                let exec = if *exec { ", calls `exec`" } else { "" };
                format!("compiles: Rego {dialect}{exec}\n")
            }
            Self::Evaluated { verdict, result } => {
                let mut text = String::new();
                for line in result.iter().flat_map(|evaluation| &evaluation.prints) {
                    let _ = writeln!(text, "print: {line}");
                }
                match verdict {
                    Verdict::Allowed => text.push_str("allowed\n"),
                    Verdict::Denied { messages } => {
                        for message in messages {
                            let _ = writeln!(text, "denied: {message}");
                        }
                    }
                }
                if let Ok(evaluation) = result {
                    let sample = evaluation.flag("sample");
                    let _ = writeln!(text, "sample: {sample}");
                }
                text
            }
        }
    }

    fn json(&self) -> Json {
        match self {
            Self::Invalid(why) => json!({ "verdict": "invalid", "why": why }),
            Self::Compiles { dialect, exec } => {
                json!({ "verdict": "compiles", "dialect": dialect, "exec": exec })
            }
            Self::Evaluated { verdict, result } => {
                let (verdict, deny) = match verdict {
                    Verdict::Allowed => ("allowed", &[][..]),
                    Verdict::Denied { messages } => ("denied", messages.as_slice()),
                };
                let said = result.as_ref().ok();
                json!({
                    "verdict": verdict,
                    "deny": deny,
                    "sample": said.map(|said| said.flag("sample")),
                    "prints": said.map(|said| &said.prints),
                    "error": result.as_ref().err().map(ToString::to_string),
                })
            }
        }
    }
}
