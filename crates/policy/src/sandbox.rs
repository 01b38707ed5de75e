//! The process in which one policy is evaluated, seen from outside.
//!
//! Takes a policy and an input document, gives what the child answers. Never: a child that outlives the call or its
//! limit, an inherited variable, the launcher's own user where that is root.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::child::{ARGUMENT, Answer, KILLED, Request, Task, WATCH_ARGUMENT};
use crate::evaluation::{EvalError, Evaluation};
use crate::kin;
use crate::kind::PolicyKind;
use crate::limits::{Limits, MAX_ANSWER, MAX_INPUT, MAX_POLICY};
use crate::policy::{CompileError, Policy};

/// What the engine's own timer gets to say so first, and a process to start.
const GRACE: Duration = Duration::from_secs(1);

/// Most bytes of the child's complaints that are kept.
const MAX_COMPLAINT: u64 = 4 << 10;

/// Whom a child is, where this process may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// User.
    pub uid: u32,
    /// Group; there are no others.
    pub gid: u32,
}

/// Evaluates policies, each in a process of its own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sandbox {
    program: PathBuf,
    user: Option<User>,
    limits: Limits,
    may_exec: bool,
}

/// Ends the child and all that it started when the call is over, however it ends.
struct Leashed(Child);

impl Drop for Leashed {
    fn drop(&mut self) {
        // None where it ended by itself and was waited for: then its number may be another's already.
        let pid = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            kin::end_with_descendants(pid);
        }
    }
}

impl Sandbox {
    /// Children are this very program, whose `main` has to call [`crate::enter_if_asked`] first. They are `user` where
    /// this process is root, and else whoever this process is.
    pub fn new(user: User, limits: Limits) -> Self {
        Self {
            program: "/proc/self/exe".into(),
            user: rustix::process::geteuid().is_root().then_some(user),
            limits,
            may_exec: false,
        }
    }

    /// Children are another program that has the same entrance.
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// `exec` works. What it runs may read what the child's user may read.
    pub fn with_exec(mut self) -> Self {
        self.may_exec = true;
        self
    }

    /// The same with another limit on the time of the rules.
    pub fn with_time(mut self, time: Duration) -> Self {
        self.limits.time = time;
        self
    }

    /// Whether children are somebody else than this process.
    pub fn has_own_user(&self) -> bool {
        self.user.is_some()
    }

    /// What each evaluation may use.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Reads and checks a text that anybody may have written.
    ///
    /// # Errors
    /// What is wrong with it; also that it can't be read within the limits.
    pub async fn compile(
        &self,
        kind: PolicyKind,
        name: &str,
        text: &str,
    ) -> Result<Policy, CompileError> {
        let unread = |what: String| CompileError::InvalidSomewhere {
            policy: name.to_owned(),
            what,
        };
        if text.len() > MAX_POLICY {
            return Policy::compile(kind, name, text);
        }
        let request = self.request(kind, name, text, Task::Compile);
        match self.ask(&request, self.limits.time).await {
            // It was read within the limits once, so it may be here.
            Ok(Answer::Compiled) => Policy::compile(kind, name, text),
            Ok(Answer::Invalid(error)) => Err(error),
            Ok(Answer::Evaluated(_)) => Err(unread("its process said something else".to_owned())),
            Err(silence) => Err(unread(silence.of(name, self.limits).to_string())),
        }
    }

    /// Evaluates `policy` on `input`.
    ///
    /// # Errors
    /// No answer, for whatever reason: see [`EvalError`]. [`crate::Verdict::of`] makes a denial of it.
    pub async fn evaluate(
        &self,
        policy: &Policy,
        input: &serde_json::Value,
    ) -> Result<Evaluation, EvalError> {
        let (input, name) = (input.to_string(), policy.name());
        if input.len() > MAX_INPUT {
            return Err(EvalError::InputTooLarge {
                policy: name.to_owned(),
                bytes: input.len(),
                most: MAX_INPUT,
            });
        }
        let may_exec = self.may_exec && policy.calls_exec();
        let limit = match may_exec {
            true => self.limits.time + self.limits.exec.total,
            false => self.limits.time,
        };
        let task = Task::Evaluate { input, may_exec };
        let request = self.request(policy.kind(), name, policy.text(), task);
        match self.ask(&request, limit).await {
            Ok(Answer::Evaluated(answer)) => answer,
            Ok(Answer::Invalid(error)) => Err(EvalError::FailedSomewhere {
                policy: name.to_owned(),
                what: error.to_string(),
            }),
            Ok(Answer::Compiled) => {
                let what = "it said something else".to_owned();
                Err(Silence::NoProcess(what).of(name, self.limits))
            }
            Err(silence) => Err(silence.of(name, self.limits)),
        }
    }

    fn request(&self, kind: PolicyKind, name: &str, text: &str, task: Task) -> Request {
        Request {
            kind,
            name: name.to_owned(),
            text: text.to_owned(),
            limits: self.limits,
            task,
        }
    }

    async fn ask(&self, request: &Request, limit: Duration) -> Result<Answer, Silence> {
        let bytes = serde_json::to_vec(request).expect("invariant: texts and numbers are JSON");
        let broken = |error: std::io::Error| Silence::NoProcess(error.to_string());
        let may_exec = matches!(request.task, Task::Evaluate { may_exec: true, .. });
        let child = self.start(limit, may_exec).map_err(broken)?;
        let mut child = Leashed(child);
        let begun = Instant::now();
        let talk = talk(&mut child.0, &bytes);
        match tokio::time::timeout(limit + GRACE, talk).await {
            Ok(said) => read(&said.map_err(broken)?, begun.elapsed(), limit),
            Err(_) => Err(Silence::TimedOut(limit)),
        }
    }

    fn start(&self, limit: Duration, may_exec: bool) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .arg(if may_exec { WATCH_ARGUMENT } else { ARGUMENT })
            .arg(self.limits.memory.to_string())
            .arg((limit + 2 * GRACE).as_secs().to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(user) = self.user {
            // Supplementary groups are dropped with this.
            command.uid(user.uid).gid(user.gid);
        }
        command.spawn()
    }
}

/// Why a child did not answer.
enum Silence {
    TimedOut(Duration),
    OutOfMemory,
    NoProcess(String),
}

impl Silence {
    fn of(self, policy: &str, limits: Limits) -> EvalError {
        let policy = policy.to_owned();
        match self {
            Self::TimedOut(limit) => EvalError::TimedOut { policy, limit },
            Self::OutOfMemory => EvalError::OutOfMemory {
                policy,
                limit: limits.memory,
            },
            Self::NoProcess(what) => EvalError::NoProcess { policy, what },
        }
    }
}

fn read(said: &Said, took: Duration, limit: Duration) -> Result<Answer, Silence> {
    if let Ok(answer) = serde_json::from_slice(&said.out)
        && said.status.success()
    {
        return Ok(answer);
    }
    let complaint = String::from_utf8_lossy(&said.err);
    let code = said.status.code().and_then(|code| code.checked_sub(KILLED));
    Err(match said.status.signal().or(code) {
        Some(libc_signal::XCPU) => Silence::TimedOut(limit),
        // The kernel kills it when its processor time is over; so may anybody.
        Some(libc_signal::KILL) if took >= limit => Silence::TimedOut(limit),
        Some(libc_signal::KILL) => Silence::NoProcess("it was killed".to_owned()),
        _ if complaint.contains("memory allocation of") => Silence::OutOfMemory,
        _ => Silence::NoProcess(format!("it ended with {}", said.status)),
    })
}

/// Numbers of signals, which are the same on every Linux that is supported.
mod libc_signal {
    pub(super) const KILL: i32 = 9;
    pub(super) const XCPU: i32 = 24;
}

struct Said {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

async fn talk(child: &mut Child, request: &[u8]) -> std::io::Result<Said> {
    let stdin = child.stdin.take();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A child that ends early says why by how it ends.
            let _ = stdin.write_all(request).await;
            let _ = stdin.shutdown().await;
        }
    };
    let ((), out, err) = tokio::join!(
        write,
        drain(out, MAX_ANSWER as u64),
        drain(err, MAX_COMPLAINT)
    );
    let (out, err) = (out?, err?);
    let status = child.wait().await?;
    Ok(Said { status, out, err })
}

/// The first `most` bytes; the rest is not read, and who writes it is killed with the group.
async fn drain(stream: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(most).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}
