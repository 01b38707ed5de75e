//! Keeps the runs' own networks from link-local addresses, where clouds serve the host's credentials.
//!
//! Takes the prefix of the bridges' names, gives rules in the kernel's `raw` table: they meet a packet before any
//! address translation and before it is known whether it is forwarded or for the host itself, and no other program's
//! rule can let it through first. Runs' own networks carry no IPv6, so there is nothing to block there. Never: a rule
//! that touches packets of other interfaces.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tracing::{debug, info};

use super::host;

/// Addresses that are blocked.
const LINK_LOCAL: &str = "169.254.0.0/16";

/// iptables waits for others' changes this long, in seconds.
const WAIT: &str = "10";

/// Where iptables is looked for.
const PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// iptables has to answer within this.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why link-local addresses are not blocked.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The engine is elsewhere.
    #[error(
        "the engine's bridge `{bridge}` is not on this host (a remote engine, or a launcher in a container or network namespace): run the launcher in the engine's own network namespace, or unset the variable and block 169.254.0.0/16 there"
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

/// The rules of one launcher.
#[derive(Debug)]
pub(super) struct Block {
    chain: String,
    jump: String,
    rules: Vec<String>,
}

impl Block {
    /// For bridges whose names begin with `prefix`; `key` makes the chain's name unlike others'.
    pub(super) fn new(key: &str, prefix: &str) -> Self {
        Self::with_name_servers(key, prefix, &host::link_local_name_servers())
    }

    fn with_name_servers(key: &str, prefix: &str, servers: &[Ipv4Addr]) -> Self {
        let chain = format!("GANTRY-{key}");
        let mut rules = Vec::new();
        for server in servers {
            // Some clouds resolve names where they serve credentials.
            for protocol in ["udp", "tcp"] {
                rules.push(format!(
                    "-A {chain} -d {server}/32 -p {protocol} -m {protocol} --dport 53 -j RETURN"
                ));
            }
        }
        rules.push(format!("-A {chain} -d {LINK_LOCAL} -j DROP"));
        Self {
            jump: format!("PREROUTING -i {prefix}+ -j {chain}"),
            chain,
            rules,
        }
    }

    /// Looks whether all rules stand, and sets them if not: firewalls of hosts like to clear tables.
    pub(super) async fn ensure(&self) -> Result<(), BlockError> {
        let standing = iptables(&["-w", WAIT, "-t", "raw", "-S"]).await?;
        if self.stands(&standing) {
            return Ok(());
        }
        run(
            "iptables-restore",
            &["-w", WAIT, "--noflush"],
            &self.table(&standing),
        )
        .await?;
        info!(chain = %self.chain, "runs are kept from {LINK_LOCAL}");
        Ok(())
    }

    /// Takes the rules away; where there is no iptables there are none.
    pub(super) async fn lift(&self) {
        let Ok(standing) = iptables(&["-w", WAIT, "-t", "raw", "-S"]).await else {
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
        let chain = &self.chain;
        let table = format!("*raw\n:{chain} - [0:0]\n{jump}-X {chain}\nCOMMIT\n");
        if let Err(error) = run("iptables-restore", &["-w", WAIT, "--noflush"], &table).await {
            debug!(%error, "rules of an earlier start stay");
        }
    }

    fn has_jump(&self, standing: &str) -> bool {
        let jump = format!("-A {}", self.jump);
        standing.lines().any(|line| line.trim_end() == jump)
    }

    fn stands(&self, standing: &str) -> bool {
        let prefix = format!("-A {} ", self.chain);
        let rules = standing.lines().map(str::trim_end);
        let rules: Vec<_> = rules.filter(|line| line.starts_with(&prefix)).collect();
        self.has_jump(standing) && rules == self.rules
    }

    /// Replaces the chain at once; naming it empties it.
    fn table(&self, standing: &str) -> String {
        let jump = match self.has_jump(standing) {
            true => String::new(),
            false => format!("-I {}\n", self.jump),
        };
        let (chain, rules) = (&self.chain, self.rules.join("\n"));
        format!("*raw\n:{chain} - [0:0]\n{rules}\n{jump}COMMIT\n")
    }
}

async fn iptables(arguments: &[&str]) -> Result<String, BlockError> {
    run("iptables", arguments, "").await
}

async fn run(program: &'static str, arguments: &[&str], input: &str) -> Result<String, BlockError> {
    let missing = |source| BlockError::Missing { program, source };
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
        .map_err(|_| BlockError::Silent { program })?
        .map_err(missing)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().replace('\n', " ").chars().take(300).collect();
    Err(BlockError::Failed { program, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_only_all_together_and_in_order() {
        let block =
            Block::with_name_servers("abcde", "gantryabcde-", &[[169, 254, 169, 254].into()]);
        let whole = "-P PREROUTING ACCEPT\n-P OUTPUT ACCEPT\n-N GANTRY-abcde\n\
            -A PREROUTING -i gantryabcde-+ -j GANTRY-abcde\n\
            -A GANTRY-abcde -d 169.254.169.254/32 -p udp -m udp --dport 53 -j RETURN\n\
            -A GANTRY-abcde -d 169.254.169.254/32 -p tcp -m tcp --dport 53 -j RETURN\n\
            -A GANTRY-abcde -d 169.254.0.0/16 -j DROP\n";
        assert!(block.stands(whole));
        for missing in whole.lines().filter(|line| line.starts_with("-A")) {
            let less: String = whole
                .lines()
                .filter(|line| *line != missing)
                .flat_map(|line| [line, "\n"])
                .collect();
            assert!(!block.stands(&less), "without {missing}");
        }
        let more = format!("{whole}-A GANTRY-abcde -j ACCEPT\n");
        assert!(!block.stands(&more));
    }

    #[test]
    fn a_jump_that_stands_is_not_doubled() {
        let block = Block::with_name_servers("abcde", "gantryabcde-", &[]);
        let table = block.table("");
        assert_eq!(
            table,
            "*raw\n:GANTRY-abcde - [0:0]\n-A GANTRY-abcde -d 169.254.0.0/16 -j DROP\n\
             -I PREROUTING -i gantryabcde-+ -j GANTRY-abcde\nCOMMIT\n"
        );
        let standing = "-A PREROUTING -i gantryabcde-+ -j GANTRY-abcde\n";
        assert!(!block.table(standing).contains("-I "));
    }
}
