//! A Docker daemon of the tests' own, to be restarted at will.
//!
//! Takes a mode, gives a daemon with its own socket, storage, containerd and bridge, beside whatever daemon the
//! host has. Never: a change of the host's firewall or of another daemon's bridge; a daemon that outlives its test.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::docker::Docker;
use crate::process::Process;
use crate::programs::find_program;
use crate::wait::{SHORT, wait_for};

/// A daemon that stops containers gives each its own stop time-out, up to ten minutes.
const STOP: Duration = Duration::from_secs(660);

/// What becomes of containers when the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restore {
    /// They go on.
    Live,
    /// They are stopped.
    Cold,
}

/// The daemon. Named as the one of this process ([`Docker::use_host`]).
#[derive(Debug)]
pub struct Dockerd {
    dir: TempDir,
    restore: Restore,
    process: Process,
}

impl Dockerd {
    /// Starts it and names it as the daemon of this process.
    ///
    /// # Panics
    /// When it does not start: it needs root.
    pub fn start(restore: Restore) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("gantry-dockerd-")
            .tempdir()
            .expect("a directory for dockerd");
        let name = bridge();
        ip(&["link", "del", &name]).ok();
        ip(&["link", "add", &name, "type", "bridge"]).expect("make a bridge");
        ip(&["addr", "add", &address(), "dev", &name]).expect("give the bridge an address");
        ip(&["link", "set", &name, "up"]).expect("set the bridge up");
        let process = spawn(&dir, restore);
        Docker::use_host(&format!("unix://{}", socket(&dir).display()));
        let mut daemon = Self {
            dir,
            restore,
            process,
        };
        daemon.wait_ready();
        daemon
    }

    /// Ends it by SIGTERM and starts it again, in another mode if need be; gives how long it was away.
    pub fn restart(&mut self, restore: Restore) -> Duration {
        let began = std::time::Instant::now();
        self.process.terminate();
        self.process.wait_exit(STOP);
        self.restore = restore;
        self.process = spawn(&self.dir, restore);
        self.wait_ready();
        began.elapsed()
    }

    /// What it logged.
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("dockerd.log")
    }

    fn wait_ready(&mut self) {
        let process = &mut self.process;
        wait_for("dockerd to answer", SHORT, || {
            assert!(process.running(), "dockerd ended:\n{}", process.log_text());
            match Docker.tries(&["version"]) {
                true => Ok(()),
                false => Err("no answer".to_owned()),
            }
        });
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let all = Docker.run(&["ps", "--all", "--quiet"]);
        for id in all.lines() {
            Docker.tries(&["rm", "--force", id]);
        }
        self.process.terminate();
        if !std::thread::panicking() {
            self.process.wait_exit(STOP);
        }
        end_shims(&self.dir);
        ip(&["link", "del", &bridge()]).ok();
        // It mounts its storage onto itself and leaves that.
        let mut umount = Command::new(find_program("umount", "mount"));
        let storage = self.dir.path().join("data");
        umount.arg("--lazy").arg(storage).status().ok();
    }
}

/// Shims of containers that ended while the daemon and its containerd were away wait for ever to be asked.
fn end_shims(dir: &TempDir) {
    let ours = dir.path().join("exec").display().to_string();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        if words.contains("containerd-shim") && words.contains(&ours) {
            let id = process.file_name();
            let mut kill = Command::new(find_program("kill", "procps"));
            kill.arg("-KILL").arg(id).status().ok();
        }
    }
}

fn socket(dir: &TempDir) -> PathBuf {
    dir.path().join("docker.sock")
}

fn spawn(dir: &TempDir, restore: Restore) -> Process {
    let mut command = Command::new(find_program("dockerd", "docker.io"));
    // It finds containerd, runc and iptables by itself.
    command.env(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    );
    let path = |name: &str| dir.path().join(name);
    command.arg("--data-root").arg(path("data"));
    command.arg("--exec-root").arg(path("exec"));
    command.arg("--pidfile").arg(path("dockerd.pid"));
    command
        .arg("--host")
        .arg(format!("unix://{}", socket(dir).display()));
    command.args(["--bridge", &bridge()]);
    // The host's rules belong to the host's daemon; runs need no way out.
    command.args(["--iptables=false", "--ip-masq=false", "--ip-forward=false"]);
    command.arg(format!("--live-restore={}", restore == Restore::Live));
    Process::start("dockerd", command, &path("dockerd.log"))
}

/// Its bridge, which no other daemon knows.
fn bridge() -> String {
    format!("gantry-d{}", std::process::id())
}

/// The bridge's address, of a range that Docker does not hand out by itself.
fn address() -> String {
    format!("10.211.{}.1/24", std::process::id() % 256)
}

fn ip(args: &[&str]) -> Result<(), String> {
    let mut command = Command::new(find_program("ip", "iproute2"));
    let done = command
        .args(args)
        .output()
        .map_err(|error| error.to_string())?;
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}
