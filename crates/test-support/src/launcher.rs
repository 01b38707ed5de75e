//! A `gantry-launcher` process with its data directory.
//!
//! Takes a pool and settings, gives a launcher that can be killed and started again on the same directory.
//! Never: a launcher that outlives its test; without a failure it has to drain by itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::docker::Docker;
use crate::pool::Pool;
use crate::process::{Exit, Process};
use crate::programs::Program;
use crate::wait::{SHORT, wait_for};

/// The runs' user.
const RUN_ID: u32 = 1983;

/// A launcher to be.
#[derive(Debug)]
pub struct LauncherBuilder {
    data: PathBuf,
    log: PathBuf,
    env: BTreeMap<String, String>,
}

/// What every launcher of a world is told.
pub(crate) struct Basics {
    pub(crate) token: String,
    /// As `SPACELIFT_POOL_PRIVATE_KEY` has it.
    pub(crate) pool_key: String,
    /// The default runner image.
    pub(crate) image: String,
    /// The public key that workers are signed for with.
    pub(crate) release_key: String,
    /// The one registry that images may come from.
    pub(crate) registry: String,
}

impl LauncherBuilder {
    /// One whose data directory and log lie in a world's directory, beside its repositories.
    pub(crate) fn new(world: &Path, name: &str, basics: Basics) -> Self {
        let repos = world.join("repos").display().to_string();
        let set = [
            ("SPACELIFT_TOKEN", basics.token),
            ("SPACELIFT_POOL_PRIVATE_KEY", basics.pool_key),
            ("SPACELIFT_DEFAULT_RUNNER_IMAGE", basics.image),
            ("GANTRY_WORKER_TRUST_KEYS", basics.release_key),
            ("GANTRY_ALLOWED_REGISTRIES", basics.registry),
            ("GANTRY_SOURCE_FILE_PREFIXES", repos),
            ("GANTRY_LOG", "info".to_owned()),
        ];
        let mut env: BTreeMap<_, _> = set.map(|(name, value)| (name.to_owned(), value)).into();
        env.extend(Docker::host().map(|host| ("DOCKER_HOST".to_owned(), host.to_owned())));
        Self {
            data: world.join(name),
            log: world.join(format!("{name}.log")),
            env,
        }
    }

    /// Sets a variable; an empty value takes it away.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Another pool, or the same with another key.
    pub fn pool(self, pool: &Pool) -> Self {
        self.env("SPACELIFT_TOKEN", &pool.token)
            .env("SPACELIFT_POOL_PRIVATE_KEY", &pool.key_base64())
    }

    /// Another data directory.
    pub fn data_dir(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.data);
        self
    }

    /// Starts it and waits until it has joined its pool.
    pub fn start(self) -> Launcher {
        let mut launcher = self.spawn();
        launcher.process.wait_logged("joined the pool", SHORT);
        launcher
    }

    /// Starts it and waits for nothing: for launchers that are expected to fail.
    pub fn spawn(self) -> Launcher {
        let process = self.process();
        Launcher {
            settings: self,
            process,
            expects_drain: true,
        }
    }

    /// Runs one of its commands with these settings: exit code and standard output.
    pub fn ask(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command().args(arguments).output();
        let output = output.expect("the launcher can be started");
        let code = output.status.code().expect("it ended by itself");
        (code, String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(Program::Launcher.path());
        command.env_clear().env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command.envs(self.env.iter().filter(|(_, value)| !value.is_empty()));
        command.env("GANTRY_DATA_DIR", &self.data);
        command
    }

    fn process(&self) -> Process {
        let mut command = self.command();
        let out = fs::File::options()
            .append(true)
            .create(true)
            .open(self.output())
            .expect("open the launcher's standard output");
        command.stdout(out);
        Process::start_with_output("gantry-launcher", command, &self.log)
    }

    fn output(&self) -> PathBuf {
        self.log.with_extension("out")
    }
}

/// A launcher process.
#[derive(Debug)]
pub struct Launcher {
    settings: LauncherBuilder,
    process: Process,
    expects_drain: bool,
}

impl Launcher {
    /// SIGKILL: no chance to clean up.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGSTOP: it stands still with everything that it has open.
    pub fn pause(&mut self) {
        self.process.pause();
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// Id of its process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Starts it again on the same directory.
    pub fn start_again(&mut self) {
        assert!(!self.process.running(), "the launcher runs already");
        self.process = self.settings.process();
        self.process.wait_logged("joined the pool", SHORT);
    }

    /// SIGTERM once: it finishes what it has and ends.
    pub fn drain(&mut self) {
        self.process.terminate();
        assert_eq!(
            self.wait_exit(Duration::from_secs(60)),
            Exit::Code(0),
            "{}",
            self.log()
        );
    }

    /// Waits for its end.
    pub fn wait_exit(&mut self, within: Duration) -> Exit {
        self.process.wait_exit(within)
    }

    /// Whether it runs.
    pub fn running(&mut self) -> bool {
        self.process.running()
    }

    /// Waits until this process has logged `text`.
    pub fn wait_logged(&mut self, text: &str) {
        self.process.wait_logged(text, SHORT);
    }

    /// What this process has logged.
    pub fn log(&self) -> String {
        self.process.log_text()
    }

    /// What its processes have written to standard output.
    pub fn output(&self) -> Vec<u8> {
        fs::read(self.settings.output()).expect("read the launcher's standard output")
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.settings.data
    }

    /// The id that it enrolled under.
    pub fn id(&self) -> String {
        let file =
            std::fs::read(self.settings.data.join("identity.json")).expect("read the identity");
        let json: Value = serde_json::from_slice(&file).expect("the identity is JSON");
        json["launcher"].as_str().expect("a launcher id").to_owned()
    }

    /// The directory of a run's attempt on this host; waits until it is there.
    pub fn run_dir(&self, run: &str, attempt: u32) -> RunDir {
        let path = self
            .settings
            .data
            .join("runs")
            .join(format!("{run}-{attempt}"));
        wait_for(
            &format!("the run directory `{}`", path.display()),
            SHORT,
            || {
                if path.join("workspace").is_dir() {
                    Ok(())
                } else {
                    Err(self.log())
                }
            },
        );
        RunDir { path }
    }

    /// Lets its end be any: for launchers that a test shuts out.
    pub fn expect_any_end(&mut self) {
        self.expects_drain = false;
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        if std::thread::panicking() || !self.expects_drain || !self.process.running() {
            return;
        }
        self.drain();
    }
}

/// A run's directory on the launcher's host.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// What the run sees as `/mnt/workspace`.
    pub fn workspace(&self) -> PathBuf {
        self.path.join("workspace")
    }

    /// Waits until the run has made this file in its workspace.
    pub fn wait_file(&self, name: &str) {
        let path = self.workspace().join(name);
        wait_for(
            &format!("the run to make `{}`", path.display()),
            crate::wait::LONG,
            || {
                if path.exists() {
                    Ok(())
                } else {
                    Err("it is not there".to_owned())
                }
            },
        );
    }

    /// Makes a file that the run waits for.
    pub fn put_file(&self, name: &str) {
        let path = self.workspace().join(name);
        std::fs::write(&path, "").expect("make a file in the workspace");
        std::os::unix::fs::chown(&path, Some(RUN_ID), Some(RUN_ID)).expect("give it to the run");
    }
}
