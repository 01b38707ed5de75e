//! Stacks: made and started through the command line.

use crate::run::Run;
use crate::world::World;

/// A stack to be.
#[derive(Debug)]
pub struct StackBuilder<'w> {
    world: &'w World,
    id: String,
    args: Vec<String>,
    plain: Vec<String>,
    secret: Vec<String>,
}

impl<'w> StackBuilder<'w> {
    pub(crate) fn new(world: &'w World, id: &str, repository: &str) -> Self {
        let fixed = [
            "--name",
            id,
            "--slug",
            id,
            "--repository",
            repository,
            "--tool",
            "terraform",
        ];
        let mut args: Vec<String> = fixed.map(str::to_owned).to_vec();
        args.extend(["--pool".to_owned(), world.pool().id.clone()]);
        Self {
            world,
            id: id.to_owned(),
            args,
            plain: Vec::new(),
            secret: Vec::new(),
        }
    }

    /// An option of `gantry stack create`, such as `--before-plan`.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.args.push(format!("{name}={value}"));
        self
    }

    /// Applies without asking.
    pub fn autodeploy(mut self) -> Self {
        self.args.push("--autodeploy".to_owned());
        self
    }

    /// Plans files that were not pushed.
    pub fn local_preview(mut self) -> Self {
        self.args.push("--local-preview".to_owned());
        self
    }

    /// A variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.plain.push(format!("{name}={value}"));
        self
    }

    /// A secret variable.
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        self.secret.push(format!("{name}={value}"));
        self
    }

    /// Makes it.
    pub fn create(self) -> Stack<'w> {
        let cli = self.world.cli();
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        cli.json(&[&["stack", "create"], &args[..]].concat());
        for variable in &self.plain {
            cli.text(&["stack", "set-env", "--id", &self.id, variable]);
        }
        for variable in &self.secret {
            cli.text(&["stack", "set-env", "--id", &self.id, "--secret", variable]);
        }
        Stack {
            world: self.world,
            id: self.id,
        }
    }
}

/// A stack of a world.
#[derive(Debug)]
pub struct Stack<'w> {
    world: &'w World,
    id: String,
}

impl<'w> Stack<'w> {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Starts a tracked run.
    pub fn deploy(&self) -> Run<'w> {
        self.start(&["stack", "deploy", "--id", &self.id])
    }

    /// Starts a proposed run.
    pub fn preview(&self) -> Run<'w> {
        self.start(&["stack", "deploy", "--id", &self.id, "--preview"])
    }

    /// Starts a task.
    pub fn task(&self, command: &str) -> Run<'w> {
        self.start(&["stack", "task", "--id", &self.id, command])
    }

    /// Starts a task that leaves the tool's init out.
    pub fn bare_task(&self, command: &str) -> Run<'w> {
        self.start(&["stack", "task", "--id", &self.id, "--no-init", command])
    }

    /// Starts a run by `gantry stack VERB --id … REST`; the error is what the command line said. After an error it
    /// may have started all the same.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub fn try_start(&self, verb: &str, rest: &[&str]) -> Result<Run<'w>, String> {
        let args = ["--output", "json", "stack", verb, "--id", &self.id];
        let ended = self.world.cli().call(&[&args, rest].concat());
        let text = String::from_utf8_lossy(&ended.stdout);
        let made: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let id = made["id"].as_str().ok_or(ended.stderr)?;
        Ok(Run::new(self.world, self.id.clone(), id.to_owned()))
    }

    fn start(&self, args: &[&str]) -> Run<'w> {
        let made = self.world.cli().json(args).remove(0);
        let id = made["id"].as_str().expect("the run's id").to_owned();
        Run::new(self.world, self.id.clone(), id)
    }

    /// The value of an output as JSON text; nothing when the state has none of that name.
    pub fn output(&self, name: &str) -> Option<String> {
        let outputs = self
            .world
            .cli()
            .json(&["stack", "outputs", "--id", &self.id]);
        let found = outputs.into_iter().find(|output| output["name"] == name)?;
        Some(found["value"].as_str().unwrap_or_default().to_owned())
    }
}
