//! Runs the system's git under limits.
//!
//! Takes arguments, gives what git said. Never: an inherited variable, a prompt, output without a bound in
//! memory, or a child (or a child's child) that outlives the call.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::{SourceUrl, Sources};

/// The most that is kept of each stream: the beginning of the output, the end of the complaints.
pub(super) const MAX_KEPT: usize = 64 * 1024;

/// One allocation of git may have this size: a host chooses what git has to unpack.
const ALLOCATION_LIMIT: &str = "64m";

/// How often a directory is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// One call.
pub(super) struct Call<'a> {
    pub(super) sources: &'a Sources,
    /// The one repository that git may reach, if any.
    pub(super) url: Option<&'a SourceUrl>,
    /// Where it runs.
    pub(super) directory: &'a Path,
    pub(super) limit: Duration,
    /// The most bytes that `directory` may hold.
    pub(super) disk: u64,
    /// The most bytes of output that are kept.
    pub(super) most: usize,
}

/// What came of it.
pub(super) enum Outcome {
    Ended {
        code: Option<i32>,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
    TimedOut,
    TooLarge,
}

/// Kills the process group when the call is over, however it ends: git starts helpers.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody left to kill is what it should be.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Call<'_> {
    pub(super) async fn run(&self, arguments: &[&OsStr]) -> io::Result<Outcome> {
        let mut child = self.command(arguments).spawn()?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let _group = Group(pid.and_then(rustix::process::Pid::from_raw));
        tokio::select! {
            ended = talk(&mut child, self.most) => match size(self.directory, self.disk) > self.disk {
                true => Ok(Outcome::TooLarge),
                false => ended,
            },
            () = self.until_too_large() => Ok(Outcome::TooLarge),
            () = tokio::time::sleep(self.limit) => Ok(Outcome::TimedOut),
        }
    }

    fn command(&self, arguments: &[&OsStr]) -> Command {
        let home = &self.sources.home;
        let known = self.sources.environment.iter();
        let mut git = Command::new("git");
        git.env_clear()
            .envs(known.map(|(name, value)| (name, value)))
            .env("HOME", home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", home.join("gitconfig"))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env(
                "GIT_ALLOW_PROTOCOL",
                self.url.map_or("", |url| url.protocol),
            )
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_ALLOC_LIMIT", ALLOCATION_LIMIT)
            .env(
                "GIT_SSH_COMMAND",
                "ssh -o BatchMode=yes -o ConnectTimeout=10",
            )
            .env("LC_ALL", "C")
            .args(["-c", "http.followRedirects=false"])
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(["-c", "fetch.unpackLimit=1"])
            .args(["-c", "gc.auto=0"])
            .args(["-c", "maintenance.auto=false"])
            .args(["-c", "transfer.bundleURI=false"])
            .args(arguments)
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for (name, value) in self.url.iter().flat_map(|url| url.settings()) {
            git.env(name, value.expose());
        }
        // Only where one is on this way: git's own reading of exceptions is not ours.
        if let Some(proxy) = self.url.and_then(|url| self.sources.proxy(url)) {
            git.env("https_proxy", proxy.url().expose());
        }
        if let Some(file) = &self.sources.ca_file {
            git.env("GIT_SSL_CAINFO", file);
            git.env("GIT_PROXY_SSL_CAINFO", file);
        }
        git
    }

    async fn until_too_large(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let (directory, most) = (self.directory.to_owned(), self.disk);
            let look = move || size(&directory, most) > most;
            if matches!(tokio::task::spawn_blocking(look).await, Ok(true)) {
                return;
            }
        }
    }
}

async fn talk(child: &mut Child, most: usize) -> io::Result<Outcome> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::join!(
        keep(stdout, Keep::Head, most),
        keep(stderr, Keep::Tail, MAX_KEPT)
    );
    let code = child.wait().await?.code();
    Ok(Outcome::Ended {
        code,
        stdout,
        stderr,
    })
}

#[derive(Clone, Copy)]
enum Keep {
    Head,
    Tail,
}

/// Reads to the end; keeps `most` bytes.
async fn keep(stream: Option<impl AsyncRead + Unpin>, which: Keep, most: usize) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    let Some(mut stream) = stream else {
        return kept;
    };
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        let excess = kept.len().saturating_sub(most);
        match which {
            Keep::Head => kept.truncate(most),
            Keep::Tail => drop(kept.drain(..excess)),
        }
    }
    kept
}

/// The bytes below a directory; counting ends once there are more than `most`.
fn size(directory: &Path, most: u64) -> u64 {
    let mut sum = 0;
    let Ok(entries) = std::fs::read_dir(directory) else {
        return sum;
    };
    for entry in entries.flatten() {
        // Not followed: `metadata` of an entry is that of a link itself.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        sum += match metadata.is_dir() {
            true => size(&entry.path(), most),
            false => metadata.len(),
        };
        if sum > most {
            break;
        }
    }
    sum
}
