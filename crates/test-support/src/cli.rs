//! The `gantry` command line against a world's server.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::programs::Program;

/// How to call `gantry`.
#[derive(Clone, Debug)]
pub struct Cli {
    pub(crate) endpoint: String,
    /// In the environment; nothing where a stored login counts.
    pub(crate) key: Option<(String, String)>,
    pub(crate) config_dir: PathBuf,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Standard output, as it is.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Cli {
    /// Runs it to its end.
    pub fn call(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(Program::Cli.path());
        command
            .args(args)
            .env_clear()
            .env("GANTRY_CONFIG_DIR", &self.config_dir);
        if let Some((id, secret)) = &self.key {
            command
                .env("SPACELIFT_API_KEY_ENDPOINT", &self.endpoint)
                .env("SPACELIFT_API_KEY_ID", id)
                .env("SPACELIFT_API_KEY_SECRET", secret);
        }
        let output = command
            .stdin(std::process::Stdio::null())
            .output()
            .expect("run gantry");
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Logs in under this name; gives the same program with that login and no key in its environment.
    pub fn logged_in(&self, name: &str) -> Self {
        self.text(&["login", name]);
        Self {
            key: None,
            ..self.clone()
        }
    }

    /// Runs it, insists on exit code 0, gives its standard output.
    ///
    /// # Panics
    /// When it fails.
    pub fn text(&self, args: &[&str]) -> String {
        let ended = self.call(args);
        assert_eq!(ended.code, 0, "gantry {}: {}", args.join(" "), ended.stderr);
        String::from_utf8(ended.stdout).expect("gantry prints text")
    }

    /// The JSON documents that it prints with `--output json`, one per line.
    pub fn json(&self, args: &[&str]) -> Vec<Value> {
        let text = self.text(&[&["--output", "json"], args].concat());
        let lines = text.lines().map(serde_json::from_str);
        lines
            .collect::<Result<_, _>>()
            .expect("gantry prints JSON lines")
    }
}
