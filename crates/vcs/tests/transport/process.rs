//! The agent's executable with its settings and its two outputs.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::gateway::{Gateway, SOON};
use crate::host::Host;

#[derive(Clone, Default)]
struct Lines {
    all: Arc<Mutex<Vec<String>>>,
    more: Arc<Notify>,
}

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    out: Lines,
    log: Lines,
}

/// How an agent is started.
pub(crate) struct Start {
    command: Command,
}

impl Start {
    /// For GitLab behind `base`, one stream, clear text to the gateway.
    pub(crate) fn new(token: &str, base: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gantry-vcs-agent"));
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let start = Self { command };
        start
            .set("SPACELIFT_VCS_AGENT_POOL_TOKEN", token)
            .set("SPACELIFT_VCS_AGENT_TARGET_BASE_ENDPOINT", base)
            .set("SPACELIFT_VCS_AGENT_VENDOR", "gitlab")
            .set("SPACELIFT_VCS_AGENT_PARALLELISM", "1")
            .set("SPACELIFT_VCS_AGENT_DIAL_INSECURE", "true")
    }

    pub(crate) fn between(gateway: &Gateway, host: &Host) -> Self {
        Self::new(&gateway.token(), &host.base())
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.command.arg(flag);
        self
    }

    pub(crate) fn go(mut self) -> Agent {
        let mut child = self.command.spawn().unwrap();
        let out = Lines::of(child.stdout.take().unwrap());
        let log = Lines::of(child.stderr.take().unwrap());
        Agent { child, out, log }
    }
}

impl Lines {
    fn of(pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Self::default();
        let kept = lines.clone();
        tokio::spawn(async move {
            let mut read = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = read.next_line().await {
                kept.all.lock().unwrap().push(line);
                kept.more.notify_waiters();
            }
        });
        lines
    }

    fn text(&self) -> String {
        self.all.lock().unwrap().join("\n")
    }

    async fn find(&self, word: &str) -> String {
        let found = async {
            loop {
                let more = self.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if let Some(line) = self
                    .all
                    .lock()
                    .unwrap()
                    .iter()
                    .find(|line| line.contains(word))
                {
                    return line.clone();
                }
                more.await;
            }
        };
        let found = timeout(SOON, found).await;
        found.unwrap_or_else(|_| panic!("no line with {word:?} in\n{}", self.text()))
    }
}

impl Agent {
    /// The line about the request `id`.
    pub(crate) async fn line(&self, id: &str) -> Value {
        let line = self.out.find(&format!("\"id\":\"{id}\"")).await;
        serde_json::from_str(&line).unwrap()
    }

    /// All of standard output so far.
    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    /// All of standard error so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a line of the log.
    pub(crate) async fn logs(&self, word: &str) -> String {
        self.log.find(word).await
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("a running agent").to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Its exit code.
    pub(crate) async fn exit(&mut self) -> i32 {
        let status = timeout(SOON, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("still runs\n{}", self.log()));
        status.unwrap().code().unwrap_or(-1)
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}
