//! Docker, through its own command line: what a person would see, independent of the launcher's client.
//!
//! Takes arguments, gives output. Never: a container touched that is not of a test's own directories.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

use crate::programs::find_program;

/// Another daemon than the host's, for all of a test process.
static HOST: OnceLock<String> = OnceLock::new();

/// The daemon that the tests use.
#[derive(Clone, Copy, Debug)]
pub struct Docker;

impl Docker {
    /// The daemon, which has to answer.
    ///
    /// # Panics
    /// When it does not.
    pub fn answering() -> Self {
        let answered = Self::output(&["version", "--format", "{{.Server.Version}}"]);
        assert!(
            answered.status.success(),
            "these tests start containers and need a Docker daemon that answers: start dockerd \
             (scripts/test does it) and run them as root: {}",
            String::from_utf8_lossy(&answered.stderr).trim()
        );
        Self
    }

    /// Uses the daemon at `host` from here on, in all of this process: before the first use of any.
    ///
    /// # Panics
    /// When another one was named before.
    pub fn use_host(host: &str) {
        HOST.set(host.to_owned())
            .expect("one daemon for all of a process");
    }

    /// The daemon's address, when it is not the host's own.
    pub fn host() -> Option<&'static str> {
        HOST.get().map(String::as_str)
    }

    /// A call of Docker's command line.
    pub(crate) fn command() -> Command {
        let mut command = Command::new(find_program("docker", "docker.io"));
        if let Some(host) = Self::host() {
            command.args(["--host", host]);
        }
        command
    }

    fn output(args: &[&str]) -> Output {
        Self::command().args(args).output().expect("run docker")
    }

    /// Runs `docker` and gives what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(self, args: &[&str]) -> String {
        let output = Self::output(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "docker {}: {stderr}",
            args.join(" ")
        );
        String::from_utf8(output.stdout)
            .expect("docker prints text")
            .trim()
            .to_owned()
    }

    /// Runs `docker` and gives whether it succeeded.
    pub fn tries(self, args: &[&str]) -> bool {
        Self::output(args).status.success()
    }

    /// Everything that the daemon tells about containers whose mounts lie below `dir`, ended ones too.
    pub fn containers_of(self, dir: &Path) -> Vec<Value> {
        let names = self.run(&["ps", "--all", "--quiet", "--filter", "name=^gantry-"]);
        let all = names.lines().filter_map(|id| self.inspect(id));
        all.filter(|container| has_mount_below(container, dir))
            .collect()
    }

    /// What the daemon tells about a container; nothing when it is gone.
    pub fn inspect(self, container: &str) -> Option<Value> {
        let output = Self::output(&["inspect", "--type", "container", container]);
        let listed: Vec<Value> = serde_json::from_slice(&output.stdout).ok()?;
        listed.into_iter().next()
    }

    /// Names of the networks of launchers whose data directories lie below `dir`.
    pub fn networks_of(self, dir: &Path) -> Vec<String> {
        let listed = self.run(&["network", "ls", "--quiet", "--filter", "label=gantry.data"]);
        let format = "{{.Name}} {{index .Labels \"gantry.data\"}}";
        let looked = listed.lines().filter_map(|id| {
            // Another test may remove its own meanwhile.
            let output = Self::output(&["network", "inspect", "--format", format, id]);
            let text = String::from_utf8(output.stdout).ok()?;
            let (name, data) = text.trim().split_once(' ')?;
            Path::new(data).starts_with(dir).then(|| name.to_owned())
        });
        looked.collect()
    }

    /// Removes networks.
    pub fn remove_networks(self, names: &[String]) {
        for name in names {
            self.tries(&["network", "rm", name]);
        }
    }

    /// Removes containers, running ones too.
    pub fn remove(self, containers: &[Value]) {
        for id in containers
            .iter()
            .filter_map(|container| container["Id"].as_str())
        {
            // Gone already is as good.
            self.tries(&["rm", "--force", "--volumes", id]);
        }
    }
}

fn has_mount_below(container: &Value, dir: &Path) -> bool {
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    let mut sources = mounts.filter_map(|mount| mount["Source"].as_str());
    sources.any(|source| Path::new(source).starts_with(dir))
}
