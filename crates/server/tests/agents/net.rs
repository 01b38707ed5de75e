//! A network namespace with one way out: a pair of devices to this host.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use gantry_test_support::find_program;

/// A namespace; gone with everything in it when dropped.
pub(crate) struct Net {
    name: String,
    outside: String,
    number: (u8, u8),
}

impl Net {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let process = std::process::id();
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(nth < 64, "a process has 64 namespaces");
        let net = Self {
            name: format!("gantry-vcs-{process}-{nth}"),
            // 15 characters are all that a device's name may have.
            outside: format!("gv{}o{nth}", process % 1_000_000),
            number: ((process % 256) as u8, nth * 4),
        };
        let (name, outside) = (&net.name, &net.outside);
        ip(&format!("netns add {name}"));
        ip(&format!(
            "link add {outside} type veth peer name in netns {name}"
        ));
        ip(&format!("addr add {}/30 dev {outside}", net.near()));
        ip(&format!("link set {outside} up"));
        ip(&format!("-n {name} addr add {}/30 dev in", net.far()));
        ip(&format!("-n {name} link set in up"));
        ip(&format!("-n {name} link set lo up"));
        net
    }

    /// This host's end, which the namespace reaches.
    pub(crate) fn near(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 229, self.number.0, self.number.1 + 1)
    }

    /// The namespace's end.
    pub(crate) fn far(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 229, self.number.0, self.number.1 + 2)
    }

    /// `program` inside of it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find_program("ip", "iproute2"));
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Lets nothing out any more; what comes in still does.
    pub(crate) fn cut_outward(&self) {
        self.rule("-A");
    }

    /// Lets everything out again.
    pub(crate) fn heal(&self) {
        self.rule("-D");
    }

    fn rule(&self, change: &str) {
        let mut command = self.command("iptables");
        let done = command
            .args(["-w", change, "OUTPUT", "-o", "in", "-j", "DROP"])
            .status();
        assert!(done.unwrap().success(), "iptables {change}");
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for line in [
            format!("link del {}", self.outside),
            format!("netns del {}", self.name),
        ] {
            let _ = Command::new("ip").args(line.split(' ')).output();
        }
    }
}

fn ip(arguments: &str) {
    let output = Command::new(find_program("ip", "iproute2"))
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}");
}
