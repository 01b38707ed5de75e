//! The runs: started one after the other, a few at a time, and looked at until they have ended.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use gantry_test_support::{Repo, Run, Stack, World};
use serde_json::{Value, json};

use super::ended::{Ended, every};
use super::evidence;
use super::random::Random;
use super::trouble::Caused;

/// Stacks, because a stack's runs wait for each other.
const STACKS: usize = 10;

/// Runs that are on their way at a time.
const AHEAD: usize = 16;

/// Code that always has something to do, and leaves a line on the host when it did.
const CODE: &str = r#"
variable "stack" {}
resource "terraform_data" "it" {
  triggers_replace = timestamp()
  provisioner "local-exec" {
    command = "echo applied >> /mnt/evidence/${var.stack}"
  }
}
"#;

pub(super) struct Load<'w> {
    world: &'w World,
    stacks: Vec<Stack<'w>>,
    random: Random,
    runs: usize,
    /// After this no run is started.
    until: Instant,
    sent: usize,
    /// Every attempt to start a run has its own number.
    numbers: usize,
    out: Vec<Run<'w>>,
    ended: usize,
}

impl<'w> Load<'w> {
    pub(super) fn new(world: &'w World, (runs, until): (usize, Instant), random: Random) -> Self {
        let repo = world.repo("code");
        repo.commit(&[("main.tf", CODE)]);
        let stacks = (0..STACKS).map(|n| stack(world, &repo, &format!("soak-{n}")));
        Self {
            world,
            stacks: stacks.collect(),
            random,
            runs,
            until,
            sent: 0,
            numbers: 0,
            out: Vec::new(),
            ended: 0,
        }
    }

    /// How many were started.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Starts what there is room for and looks at what runs; done when `until` have ended.
    pub(super) fn step(&mut self, until: usize) -> Result<(), String> {
        if Instant::now() >= self.until {
            self.runs = self.sent;
        }
        while self.out.len() < AHEAD && self.sent < self.runs {
            // A server that is away is asked again at the next step.
            match self.start() {
                Ok(run) => self.out.push(run),
                Err(_) => break,
            }
        }
        let mut left = Vec::new();
        for run in self.out.drain(..) {
            match run.try_look() {
                Ok(seen) if seen.finished => self.ended += 1,
                _ => left.push(run),
            }
        }
        self.out = left;
        if self.ended >= until.min(self.runs) {
            return Ok(());
        }
        let waiting: Vec<_> = self.out.iter().map(|run| run.try_look()).collect();
        Err(format!(
            "{} ended, {} sent; {waiting:?}",
            self.ended, self.sent
        ))
    }

    fn start(&mut self) -> Result<Run<'w>, String> {
        let stack = &self.stacks[self.random.below(STACKS)];
        // After an error it may run all the same: its number is not used again.
        let number = self.numbers;
        self.numbers += 1;
        let task = format!("echo hello; echo task-{number} >> /mnt/evidence/tasks");
        let run = match self.random.below(100) {
            0..10 => stack.try_start("deploy", &[]),
            10..18 => stack.try_start("deploy", &["--preview"]),
            18..22 => stack.try_start("task", &[&task]),
            _ => stack.try_start("task", &["--no-init", &task]),
        };
        self.sent += usize::from(run.is_ok());
        run
    }

    /// Every run that the server knows, each in a state that is right for what was done to it.
    pub(super) fn ended(&self, caused: &Caused) -> Vec<String> {
        let mut problems = Vec::new();
        let mut applied = BTreeMap::new();
        for stack in &self.stacks {
            let runs = every(self.world, stack.id());
            let applies: usize = runs.iter().map(|run| run.applies).sum();
            applied.insert(stack.id().to_owned(), applies);
            problems.extend(runs.iter().filter_map(|run| wrong(run, caused)));
        }
        problems.extend(self.applied_once(&applied, caused));
        problems.extend(
            self.stacks
                .iter()
                .filter_map(|stack| self.still_works(stack)),
        );
        problems
    }

    fn applied_once(&self, applied: &BTreeMap<String, usize>, caused: &Caused) -> Vec<String> {
        let lines = |name: &str| {
            let text = fs::read_to_string(evidence(self.world).join(name));
            let text = text.unwrap_or_default();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let mut problems = Vec::new();
        for (stack, granted) in applied {
            let found = lines(stack).len();
            // A container that was killed in its apply may not have come as far as the line.
            if found > *granted || found + caused.killed.len() < *granted {
                problems.push(format!(
                    "{stack}: {granted} granted, {found} applied on the host"
                ));
            }
        }
        let mut tasks = lines("tasks");
        tasks.sort();
        let doubled = tasks.windows(2).filter(|pair| pair[0] == pair[1]);
        problems.extend(doubled.map(|pair| format!("{} was executed twice", pair[0])));
        problems
    }

    /// No lock of the server or the state was left.
    fn still_works(&self, stack: &Stack<'w>) -> Option<String> {
        let seen = stack.deploy().wait_end();
        (seen.state != "FINISHED")
            .then(|| format!("{} does not work any more: {seen:?}", stack.id()))
    }

    /// Runs by how they ended, and how many needed another attempt.
    pub(super) fn counts(&self) -> Value {
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        let (mut again, mut by_the_engine) = (0, 0);
        for stack in &self.stacks {
            for run in every(self.world, stack.id()) {
                again += usize::from(run.attempt > 1);
                by_the_engine += usize::from(run.state == "FAILED" && engines(&run));
                *states.entry(run.state).or_default() += 1;
            }
        }
        json!({
            "states": states,
            "more than one attempt": again,
            "failed by a restarting engine": by_the_engine,
        })
    }
}

fn wrong(run: &Ended, caused: &Caused) -> Option<String> {
    let killed = caused
        .killed
        .iter()
        .any(|name| name.contains(&run.id.to_ascii_lowercase()) || name.contains(&run.id));
    let right = match run.state.as_str() {
        "FINISHED" => true,
        "FAILED" => {
            (killed && run.note.contains("137")) || (caused.restarted_dockerd() && engines(run))
        }
        _ => false,
    };
    (!right).then(|| format!("run {}: {} {}", run.id, run.state, run.note))
}

/// What an engine does to a container around its restart, also with live-restore: it stops one whose start it had
/// not written down, and loses the exit code of one that ends meanwhile. Both are the run's failure, told by name.
fn engines(run: &Ended) -> bool {
    [
        "was stopped from outside",
        "its container ended with code 255",
    ]
    .iter()
    .any(|told| run.note.contains(told))
}

fn stack<'w>(world: &'w World, repo: &Repo, id: &str) -> Stack<'w> {
    let stack = world.stack(id, repo).env("TF_VAR_stack", id);
    stack.autodeploy().create()
}
