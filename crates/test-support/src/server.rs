//! A `gantry-server` process with its keys.
//!
//! Takes a directory, gives a server that answers, and can be killed and started again on the same address.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::api::Api;
use crate::process::Process;
use crate::programs::Program;
use crate::wait::{SHORT, wait_for};

/// The server of a world.
#[derive(Debug)]
pub struct Server {
    dir: PathBuf,
    public_url: String,
    repos: PathBuf,
    key: Value,
    listen: String,
    process: Process,
}

impl Server {
    /// Makes keys below `dir`, registers the signed worker, starts it.
    pub(crate) fn start(dir: &Path, public_url: String, repos: PathBuf) -> Self {
        let master = output(Command::new(Program::Server.path()).args(["master-key", "generate"]));
        write_private(&dir.join("master.key"), &master);
        let data = dir.join("server");
        let mut create = Command::new(Program::Server.path());
        create.args([
            "api-key", "create", "--name", "it", "--role", "admin", "--output", "json",
        ]);
        let key = output(create.arg("--data-dir").arg(&data));
        let key = serde_json::from_slice(&key).expect("the API key is JSON");
        register_worker(dir, &data);
        let listen = crate::registry::free_address();
        let process = spawn(dir, &public_url, &repos, &listen);
        let mut server = Self {
            dir: dir.to_owned(),
            public_url,
            repos,
            key,
            listen,
            process,
        };
        server.wait_ready();
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listen.parse().expect("an address")
    }

    /// Base URL without the wire in between.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Id and secret of the administrator's API key.
    pub fn key(&self) -> (String, String) {
        let text = |name: &str| self.key[name].as_str().expect("an API key").to_owned();
        (text("id"), text("secret"))
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("server")
    }

    /// What this process has logged.
    pub fn log(&self) -> String {
        self.process.log_text()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same address and data.
    pub fn start_again(&mut self) {
        assert!(!self.process.running(), "the server runs already");
        self.process = spawn(&self.dir, &self.public_url, &self.repos, &self.listen);
        self.wait_ready();
    }

    /// Public half of the release key that signed its worker.
    pub fn release_key(&self) -> String {
        let text = fs::read(self.dir.join("release.json")).expect("read the release key");
        let json: Value = serde_json::from_slice(&text).expect("the release key is JSON");
        json["publicKey"].as_str().expect("a public key").to_owned()
    }

    fn wait_ready(&mut self) {
        let process = &mut self.process;
        wait_for("the server to be ready", SHORT, || {
            assert!(
                process.running(),
                "the server ended:\n{}",
                process.log_text()
            );
            Api::ready(&format!("http://{}", self.listen))
        });
    }
}

fn spawn(dir: &Path, public_url: &str, repos: &Path, listen: &str) -> Process {
    let mut command = Command::new(Program::Server.path());
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(dir.join("server"));
    command.arg("--master-key-file").arg(dir.join("master.key"));
    command.args(["--listen", listen, "--public-url", public_url]);
    command.arg("--source-file-prefixes").arg(repos);
    command.env("GANTRY_LOG", "info");
    Process::start("gantry-server", command, &dir.join("server.log"))
}

fn register_worker(dir: &Path, data: &Path) {
    let (key, manifest) = (dir.join("release.pem"), dir.join("worker.manifest"));
    let worker = Program::Worker.path();
    let mut keygen = Command::new(Program::Cli.path());
    let public = output(
        keygen
            .args(["release", "keygen", "--output", "json", "--out"])
            .arg(&key),
    );
    fs::write(dir.join("release.json"), public).expect("keep the public key");
    let mut sign = Command::new(Program::Cli.path());
    sign.args(["release", "sign", "--key"])
        .arg(&key)
        .arg("--binary")
        .arg(&worker);
    output(sign.arg("--out").arg(&manifest));
    let mut add = Command::new(Program::Server.path());
    add.args(["worker", "add", "--data-dir"]).arg(data);
    output(
        add.arg("--manifest")
            .arg(&manifest)
            .arg("--binary")
            .arg(&worker),
    );
}

/// Runs a command to its end and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("run a program");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    output.stdout
}

pub(crate) fn write_private(path: &Path, content: &[u8]) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::File::options();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content))
        .expect("write a private file");
}
