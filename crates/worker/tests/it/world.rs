//! What surrounds a worker in a test: directories, code, an order, the process, its result.
//!
//! Takes a test's wishes, gives a running worker and, at its end, facts and logs as a launcher would read
//! them from the spool. Never: leaving a worker behind.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use gantry_protocol::payload::{Hooks, Stage, ToolKind, Variable};
use gantry_protocol::socket::spool::{EVENTS, parse_segment_name};
use gantry_protocol::socket::{Fact, Phase, PhaseExit, PlanSummary, WorkOrder, WorkerEnd};
use gantry_protocol::{RunType, Secret};
use tempfile::TempDir;

use crate::launcher::{DEADLINE, Launcher, Reply};

/// Code that needs no provider: one resource and one output.
pub(crate) const CODE: &str = r#"
variable "greeting" { default = "hello" }
resource "terraform_data" "it" { input = var.greeting }
output "said" { value = terraform_data.it.output }
"#;

/// The directories of one run.
pub(crate) struct World {
    root: TempDir,
    path: String,
    pub(crate) order: WorkOrder,
    pub(crate) replies: BTreeMap<Phase, Reply>,
}

impl World {
    /// A world with an order of that type and the real Terraform.
    pub(crate) fn new(run_type: RunType) -> Self {
        let terraform = terraform();
        let path = format!("{}:/usr/bin:/bin", terraform.parent().unwrap().display());
        let root = TempDir::new().unwrap();
        for dir in ["io", "spool", "workspace/source", "home"] {
            std::fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        Self {
            root,
            path,
            order: order(run_type),
            replies: BTreeMap::new(),
        }
    }

    /// A world whose tool is this shell script.
    pub(crate) fn with_tool(run_type: RunType, script: &str) -> Self {
        let mut world = Self::new(run_type);
        let tool = world.root.path().join("bin/terraform");
        std::fs::create_dir_all(tool.parent().unwrap()).unwrap();
        std::fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        world.path = format!("{}:/usr/bin:/bin", tool.parent().unwrap().display());
        world
    }

    pub(crate) fn code(self, content: &str) -> Self {
        std::fs::write(self.source("main.tf"), content).unwrap();
        self
    }

    pub(crate) fn hooks(mut self, set: impl FnOnce(&mut Hooks)) -> Self {
        set(&mut self.order.hooks);
        self
    }

    pub(crate) fn reply(mut self, phase: Phase, reply: Reply) -> Self {
        self.replies.insert(phase, reply);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.order.environment.push(Variable {
            name: name.into(),
            value: Secret::new(value),
            secret: false,
        });
        self
    }

    pub(crate) fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn source(&self, name: &str) -> PathBuf {
        self.at("workspace/source").join(name)
    }

    /// The same workspace under a new lease: another order, an empty spool, nothing in memory.
    pub(crate) fn second_lease(&mut self) {
        std::fs::remove_dir_all(self.at("spool")).unwrap();
        std::fs::create_dir(self.at("spool")).unwrap();
        self.order.stage = Stage::Apply;
    }

    /// Starts the worker and a launcher for it.
    pub(crate) fn start(&self) -> Running<'_> {
        let launcher = Launcher::new(&self.at("io"), self.order.clone());
        launcher.set(|seen| seen.replies = self.replies.clone());
        self.start_with(launcher)
    }

    /// Starts the worker with a launcher that is there already.
    pub(crate) fn start_with(&self, launcher: Launcher) -> Running<'_> {
        let child = Command::new(env!("CARGO_BIN_EXE_gantry-worker"))
            .args(["run", "--io"])
            .arg(self.at("io"))
            .arg("--spool")
            .arg(self.at("spool"))
            .arg("--tool")
            .arg(self.at("tool"))
            .arg("--plugins")
            .arg(self.at("plugins"))
            .arg("--providers")
            .arg(self.at("providers"))
            .arg("--workspace")
            .arg(self.at("workspace"))
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.at("home"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Running {
            world: self,
            launcher,
            child: Some(child),
        }
    }

    /// Runs to the end.
    pub(crate) fn run(&self) -> Ended {
        self.start().wait()
    }

    pub(crate) fn log(&self, section: u32) -> Vec<u8> {
        let mut segments = segments(&self.at("spool"), section);
        segments.sort();
        segments.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }
}

/// A worker that runs. Killed when dropped.
pub(crate) struct Running<'a> {
    world: &'a World,
    pub(crate) launcher: Launcher,
    child: Option<Child>,
}

impl Running<'_> {
    pub(crate) fn pid(&self) -> i32 {
        self.child.as_ref().unwrap().id().cast_signed()
    }

    /// Waits until section `section` of the log holds `text`.
    pub(crate) fn wait_for_log(&self, section: u32, text: &str) {
        let what = format!("`{text}` in section {section}");
        self.launcher.wait(&what, |_| {
            String::from_utf8_lossy(&self.world.log(section)).contains(text)
        });
    }

    /// Waits for the worker's own end.
    pub(crate) fn wait(mut self) -> Ended {
        let mut child = self.child.take().unwrap();
        let pid = child.id().cast_signed();
        let (tell, ended) = mpsc::channel();
        std::thread::spawn(move || tell.send(child.wait().unwrap()));
        let status = ended.recv_timeout(DEADLINE).unwrap_or_else(|_| {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            );
            panic!("the worker did not end; log: {}", self.world.all_logs());
        });
        let ended = Ended {
            code: status.code(),
            facts: facts(&self.world.at("spool")),
            logs: self.world.all_logs(),
            launcher: self.launcher.clone(),
        };
        ended.check();
        ended
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl World {
    fn all_logs(&self) -> String {
        let sections = (1..8).map(|section| self.log(section));
        let texts = sections.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        texts.collect::<Vec<_>>().join("\u{c}")
    }
}

/// What a finished worker left.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) facts: Vec<Fact>,
    /// Text of the sections, joined by form feeds.
    pub(crate) logs: String,
    pub(crate) launcher: Launcher,
}

impl Ended {
    /// What holds for every run: `Finished` is last and agrees with the exit code, sections are numbered
    /// from 1, and each that was entered was left.
    fn check(&self) {
        let end = self.end();
        assert_eq!(self.code, Some(i32::from(end.exit_code())), "{end:?}");
        let finished = |fact: &&Fact| matches!(fact, Fact::Finished(_));
        assert_eq!(self.facts.iter().filter(finished).count(), 1);
        let entered = self.facts.iter().filter_map(|fact| match fact {
            Fact::Entered { section, .. } => Some(*section),
            _ => None,
        });
        let left = self.facts.iter().filter_map(|fact| match fact {
            Fact::Left { section, .. } => Some(*section),
            _ => None,
        });
        let entered: Vec<_> = entered.collect();
        assert_eq!(entered, left.collect::<Vec<_>>());
        assert!(entered.iter().copied().eq(1..=entered.len() as u32));
    }

    pub(crate) fn end(&self) -> &WorkerEnd {
        match self.facts.last() {
            Some(Fact::Finished(end)) => end,
            other => panic!("the last fact is {other:?}; log: {}", self.logs),
        }
    }

    pub(crate) fn message(&self) -> &str {
        match self.end() {
            WorkerEnd::Failed { message, .. } | WorkerEnd::Stopped { message } => message,
            end => panic!("{end:?} has no message; log: {}", self.logs),
        }
    }

    pub(crate) fn phases(&self) -> Vec<Phase> {
        let phases = self.facts.iter().filter_map(|fact| match fact {
            Fact::Entered { phase, .. } => Some(*phase),
            _ => None,
        });
        phases.collect()
    }

    pub(crate) fn exits(&self) -> Vec<&PhaseExit> {
        let exits = self.facts.iter().filter_map(|fact| match fact {
            Fact::Left { exit, .. } => Some(exit),
            _ => None,
        });
        exits.collect()
    }

    pub(crate) fn plan(&self) -> &PlanSummary {
        let plan = self.facts.iter().find_map(|fact| match fact {
            Fact::Planned(plan) => Some(plan),
            _ => None,
        });
        plan.expect("the run planned")
    }
}

fn order(run_type: RunType) -> WorkOrder {
    WorkOrder {
        run: "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap(),
        stack: "net".parse().unwrap(),
        run_type,
        stage: Stage::Start,
        tool: ToolKind::Terraform,
        tool_from: gantry_protocol::socket::ToolFrom::default(),
        project_root: String::new(),
        autodeploy: false,
        targets: Vec::new(),
        skip_init: false,
        command: None,
        managed_state: false,
        environment: Vec::new(),
        hooks: Hooks::default(),
        handed: Vec::new(),
        trace_commands: false,
        spool_budget: 1 << 30,
    }
}

fn terraform() -> PathBuf {
    let path = std::env::split_paths(env!("PATH"));
    let found = path
        .map(|dir| dir.join("terraform"))
        .find(|file| file.is_file());
    found.expect("these tests run the real Terraform: put `terraform` on PATH and build again")
}

fn segments(spool: &Path, wanted: u32) -> Vec<(u64, Vec<u8>)> {
    let names = std::fs::read_dir(spool).unwrap().flatten();
    let segments = names.filter_map(|entry| {
        let (section, start) = parse_segment_name(entry.file_name().to_str()?)?;
        let bytes = (section == wanted).then(|| std::fs::read(entry.path()))?;
        Some((start, bytes.ok()?))
    });
    segments.collect()
}

fn facts(spool: &Path) -> Vec<Fact> {
    let text = std::fs::read_to_string(spool.join(EVENTS)).unwrap();
    assert!(text.ends_with('\n'), "the last fact is cut");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
