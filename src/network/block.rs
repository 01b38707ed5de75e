//! What the runs' own networks are kept from: link-local addresses, and each other.
//!
//! Takes the prefix of the bridges' names, gives the rules. Runs' own networks carry no IPv6, so there is
//! nothing of it to keep off.

use std::net::Ipv4Addr;

use super::firewall::{self, Rules};
use super::host;
use super::plan::bridge_prefix;

/// The kernel's table of [`metadata`].
const RAW: &str = "raw";

/// The kernel's table of [`apart`], which Docker leaves alone.
pub(super) const MANGLE: &str = "mangle";

/// What the names of all chains begin with; a launcher's key follows.
const CHAIN: &str = "GANTRY-";

/// Where clouds serve the host's credentials.
const LINK_LOCAL: &str = "169.254.0.0/16";

/// The rules for a key and a prefix of bridges.
type Kind = fn(&str, &str) -> Rules;

/// Keeps containers from link-local addresses, wherever they are served: the rules meet a packet before any
/// translation of addresses and before it is known whether it is forwarded or for the host itself. `key` makes the
/// chain's name unlike others'.
pub(super) fn metadata(key: &str, prefix: &str) -> Rules {
    link_local(key, prefix, &host::link_local_name_servers())
}

/// Lets nobody open a connection to a container, whatever network or host it comes from: runs offer nothing.
///
/// Docker keeps its networks apart too, by a jump that it takes out and puts in again each time that anybody makes a
/// network on the host. Meanwhile packets pass.
pub(super) fn apart(key: &str, prefix: &str) -> Rules {
    let chain = format!("{CHAIN}{key}");
    Rules {
        table: MANGLE,
        purpose: "nothing reaches into runs' networks",
        jump: format!("FORWARD -o {prefix}+ -j {chain}"),
        lines: vec![format!(
            "-A {chain} -m conntrack --ctstate INVALID,NEW -j DROP"
        )],
        chain,
    }
}

/// Takes away the rules of launchers whose bridges are gone: they left this host, or another directory is theirs now.
/// A launcher makes its bridges before its rules, so those of one that starts meanwhile are never taken for such.
pub(super) async fn sweep() {
    let kinds: [(&str, Kind); 2] = [(RAW, metadata), (MANGLE, apart)];
    for (table, rules) in kinds {
        // Where rules can't be seen there are none of ours.
        let standing = firewall::table(table).await.unwrap_or_default();
        for key in keys(&standing) {
            let prefix = bridge_prefix(key);
            if !host::has_interfaces(&prefix) {
                rules(key, &prefix).lift().await;
            }
        }
    }
}

fn keys(standing: &str) -> impl Iterator<Item = &str> {
    let chains = standing.lines().filter_map(|line| line.strip_prefix("-N "));
    chains.filter_map(|chain| chain.trim_end().strip_prefix(CHAIN))
}

fn link_local(key: &str, prefix: &str, servers: &[Ipv4Addr]) -> Rules {
    let chain = format!("{CHAIN}{key}");
    let mut lines = Vec::new();
    for server in servers {
        // Some clouds resolve names where they serve credentials.
        for protocol in ["udp", "tcp"] {
            lines.push(format!(
                "-A {chain} -d {server}/32 -p {protocol} -m {protocol} --dport 53 -j RETURN"
            ));
        }
    }
    lines.push(format!("-A {chain} -d {LINK_LOCAL} -j DROP"));
    Rules {
        table: RAW,
        purpose: "runs are kept from link-local addresses",
        jump: format!("PREROUTING -i {prefix}+ -j {chain}"),
        chain,
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_only_all_together_and_in_order() {
        let block = link_local("abcde", "gantryabcde-", &[[169, 254, 169, 254].into()]);
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
        let block = link_local("abcde", "gantryabcde-", &[]);
        let table = block.written("");
        assert_eq!(
            table,
            "*raw\n:GANTRY-abcde - [0:0]\n-A GANTRY-abcde -d 169.254.0.0/16 -j DROP\n\
             -I PREROUTING -i gantryabcde-+ -j GANTRY-abcde\nCOMMIT\n"
        );
        let standing = "-A PREROUTING -i gantryabcde-+ -j GANTRY-abcde\n";
        assert!(!block.written(standing).contains("-I "));
    }
}
