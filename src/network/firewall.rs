//! Rules of the host's kernel for the runs' own networks, set by iptables.
//!
//! Takes a chain of rules for bridges whose names begin alike, sees to it that all of them stand, or that none does.
//! Each is in a table that Docker leaves alone, before Docker's own: no other program's rule can let a packet
//! through first. Never: a rule that touches packets of other interfaces.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tracing::{debug, info};

/// iptables waits for others' changes this long, in seconds.
const WAIT: &str = "10";

/// Where iptables is looked for.
const PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// iptables has to answer within this.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why rules do not stand.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// The engine is elsewhere.
    #[error(
        "the engine's bridge `{bridge}` is not on this host (a remote engine, or a launcher in a container or network namespace): run the launcher in the engine's own network namespace"
    )]
    Elsewhere {
        /// A bridge that was looked for.
        bridge: String,
    },
    /// No such program.
    #[error("`{program}` could not be run: install iptables on the engine's host")]
    Missing {
        /// The program.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// It failed.
    #[error("`{program}` failed: {said} (it needs root on the engine's host)")]
    Failed {
        /// The program.
        program: &'static str,
        /// Its words.
        said: String,
    },
    /// It hangs.
    #[error("`{program}` gave no answer within {} s", DEADLINE.as_secs())]
    Silent {
        /// The program.
        program: &'static str,
    },
}

/// Rules that stand together.
#[derive(Debug)]
pub(super) struct Rules {
    /// The kernel's table.
    pub(super) table: &'static str,
    /// What it does, for the log.
    pub(super) purpose: &'static str,
    /// Unlike the names of other launchers' chains.
    pub(super) chain: String,
    /// What leads to it, without `-A`, as iptables prints it.
    pub(super) jump: String,
    /// As iptables prints them.
    pub(super) lines: Vec<String>,
}

impl Rules {
    /// Looks whether all rules stand, and sets them if not: firewalls of hosts like to clear tables.
    pub(super) async fn ensure(&self) -> Result<(), FirewallError> {
        let standing = table(self.table).await?;
        if self.stands(&standing) {
            return Ok(());
        }
        run(
            "iptables-restore",
            &["-w", WAIT, "--noflush"],
            &self.written(&standing),
        )
        .await?;
        info!(chain = %self.chain, "{}", self.purpose);
        Ok(())
    }

    /// Takes the rules away; where there is no iptables there are none.
    pub(super) async fn lift(&self) {
        let Ok(standing) = table(self.table).await else {
            debug!("no iptables, so no rules of an earlier start");
            return;
        };
        if !standing
            .lines()
            .any(|line| line == format!("-N {}", self.chain))
        {
            return;
        }
        let jump = match self.has_jump(&standing) {
            true => format!("-D {}\n", self.jump),
            false => String::new(),
        };
        let (table, chain) = (self.table, &self.chain);
        let table = format!("*{table}\n:{chain} - [0:0]\n{jump}-X {chain}\nCOMMIT\n");
        if let Err(error) = run("iptables-restore", &["-w", WAIT, "--noflush"], &table).await {
            debug!(%error, "rules of an earlier start stay");
        }
    }

    fn has_jump(&self, standing: &str) -> bool {
        let jump = format!("-A {}", self.jump);
        standing.lines().any(|line| line.trim_end() == jump)
    }

    pub(super) fn stands(&self, standing: &str) -> bool {
        let prefix = format!("-A {} ", self.chain);
        let rules = standing.lines().map(str::trim_end);
        let rules: Vec<_> = rules.filter(|line| line.starts_with(&prefix)).collect();
        self.has_jump(standing) && rules == self.lines
    }

    /// Replaces the chain at once; naming it empties it.
    pub(super) fn written(&self, standing: &str) -> String {
        let jump = match self.has_jump(standing) {
            true => String::new(),
            false => format!("-I {}\n", self.jump),
        };
        let (table, chain, lines) = (self.table, &self.chain, self.lines.join("\n"));
        format!("*{table}\n:{chain} - [0:0]\n{lines}\n{jump}COMMIT\n")
    }
}

/// All rules of a table, as iptables prints them.
pub(super) async fn table(name: &str) -> Result<String, FirewallError> {
    run("iptables", &["-w", WAIT, "-t", name, "-S"], "").await
}

async fn run(
    program: &'static str,
    arguments: &[&str],
    input: &str,
) -> Result<String, FirewallError> {
    let missing = |source| FirewallError::Missing { program, source };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says why by its exit.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let output = ended
        .map_err(|_| FirewallError::Silent { program })?
        .map_err(missing)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().replace('\n', " ").chars().take(300).collect();
    Err(FirewallError::Failed { program, said })
}
