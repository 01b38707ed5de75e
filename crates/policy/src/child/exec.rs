//! `exec`: commands of an initialization policy.
//!
//! Takes what the policy wrote, gives status and output. Never: an inherited variable, a command beyond the limits, a
//! failure to run it that reads as its success.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use regorus::Value;
use serde::Deserialize;

use super::{EXEC_ARGUMENT, fence};
use crate::builtins::Runner;
use crate::limits::ExecLimits;

/// Where commands without a slash are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Most arguments, and most bytes of one.
const MAX_ARGUMENTS: usize = 256;

/// What a shell says of a command that it can't start.
const NOT_STARTED: u8 = 127;

/// What a policy may write.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Bare(String),
    List(Vec<String>),
    Full(Full),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    command: Vec<String>,
    #[serde(default)]
    stdin: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Seconds.
    timeout: Option<f64>,
}

/// What the evaluation used so far.
#[derive(Default)]
struct Used {
    calls: u32,
    time: Duration,
    /// The same command gives the same answer within one evaluation.
    answers: BTreeMap<Value, Value>,
}

/// Runs commands until `limits` are used up.
pub(super) fn runner(limits: ExecLimits) -> Runner {
    let used = Mutex::new(Used::default());
    Arc::new(move |asked| {
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = used.answers.get(asked) {
            return Ok(answer.clone());
        }
        if used.calls == limits.calls {
            bail!("more than {} commands in one evaluation", limits.calls);
        }
        used.calls += 1;
        let command = full(asked)?;
        let left = limits.total.saturating_sub(used.time);
        let begun = Instant::now();
        let answer = run(&command, limits, left);
        used.time += begun.elapsed();
        let answer = answer?;
        used.answers.insert(asked.clone(), answer.clone());
        Ok(answer)
    })
}

fn full(asked: &Value) -> Result<Full> {
    let Ok(written) = serde_json::from_str(&asked.to_json_str()?) else {
        bail!(
            "a command is a string, a list of strings, or an object with command (a list) and maybe stdin, env, timeout"
        );
    };
    let full = match written {
        Written::Bare(command) => bare(vec![command]),
        Written::List(command) => bare(command),
        Written::Full(full) => full,
    };
    if full.command.first().is_none_or(String::is_empty) {
        bail!("the command is empty");
    }
    if full.command.len() > MAX_ARGUMENTS {
        bail!("a command has at most {MAX_ARGUMENTS} arguments");
    }
    let texts = full
        .command
        .iter()
        .chain(full.env.keys())
        .chain(full.env.values());
    if texts.into_iter().any(|text| text.contains('\0')) {
        bail!("a command has no zero bytes");
    }
    if full
        .env
        .keys()
        .any(|name| name.is_empty() || name.contains('='))
    {
        bail!("a variable of a command has a name without `=`");
    }
    Ok(full)
}

fn bare(command: Vec<String>) -> Full {
    Full {
        command,
        stdin: String::new(),
        env: BTreeMap::new(),
        timeout: None,
    }
}

fn run(full: &Full, limits: ExecLimits, left: Duration) -> Result<Value> {
    let wanted = full.timeout.map(Duration::try_from_secs_f64).transpose();
    let wanted = wanted.map_err(|_| anyhow!("timeout is a number of seconds"))?;
    let limit = wanted.unwrap_or(limits.each).min(limits.each).min(left);
    let deadline = Instant::now() + limit;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(EXEC_ARGUMENT)
        .arg(limits.memory.to_string())
        .args(&full.command)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/")
        .env("LANG", "C.UTF-8")
        .envs(&full.env)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| anyhow!("the command can't be started: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let text = full.stdin.clone();
        // A command may end without having read everything.
        std::thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
    }
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err) = (drain(out, limits.output), drain(err, limits.output));
    // Nobody waits for a command that is too slow: with this evaluation it ends, its group being killed.
    let (said, ended) = channel();
    std::thread::spawn(move || drop(said.send(child.wait())));
    let out = until(&out, deadline, limit)?.map_err(|()| too_much(limits))?;
    let err = until(&err, deadline, limit)?.map_err(|()| too_much(limits))?;
    let status = until(&ended, deadline, limit)??;
    Ok(Value::from(serde_json::json!({
        "status": number(status),
        "stdout": String::from_utf8_lossy(&out),
        "stderr": String::from_utf8_lossy(&err),
    })))
}

fn too_much(limits: ExecLimits) -> anyhow::Error {
    anyhow!("the command wrote more than {} bytes", limits.output)
}

/// As a shell has it: 128 and the signal's number for a command that was killed.
fn number(status: ExitStatus) -> i32 {
    let killed = status.signal().map(|signal| 128 + signal);
    status.code().or(killed).unwrap_or(-1)
}

/// Everything of `stream`, or that it was more than `most` bytes.
fn drain(stream: Option<impl Read + Send + 'static>, most: usize) -> Receiver<Result<Vec<u8>, ()>> {
    let (done, result) = channel();
    std::thread::spawn(move || {
        let (mut bytes, bound) = (Vec::new(), most as u64 + 1);
        if let Some(stream) = stream {
            // What was read before an error counts.
            let _ = stream.take(bound).read_to_end(&mut bytes);
        }
        let fits = bytes.len() <= most;
        let _ = done.send(if fits { Ok(bytes) } else { Err(()) });
    });
    result
}

fn until<T>(result: &Receiver<T>, deadline: Instant, limit: Duration) -> Result<T> {
    let left = deadline.saturating_duration_since(Instant::now());
    result.recv_timeout(left).map_err(|error| match error {
        RecvTimeoutError::Timeout => {
            anyhow!("the command took longer than {} s", limit.as_secs_f32())
        }
        RecvTimeoutError::Disconnected => anyhow!("the command's output can't be read"),
    })
}

/// In the command's own process: other limits, then the command itself. Comes back only where that can't be started.
pub(super) fn become_command(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let memory = arguments
        .next()
        .and_then(|memory| memory.into_string().ok());
    let memory = memory.and_then(|memory| memory.parse().ok());
    let (Some(memory), Some(program)) = (memory, arguments.next()) else {
        return ExitCode::from(NOT_STARTED);
    };
    let error = match fence::for_command(memory) {
        Ok(()) => Command::new(&program).args(arguments).exec(),
        Err(error) => error,
    };
    let text = format!("can't start `{}`: {error}\n", program.display());
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(NOT_STARTED)
}
