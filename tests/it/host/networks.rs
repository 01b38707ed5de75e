//! The launcher's own networks on the real engine and kernel.
//!
//! Takes a range of its own for each test. Never: a network, namespace or rule that outlives its test.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use gantry_launcher::container::NetworkPool;
use gantry_launcher::network::{NetworkError, Networks, Setup, Slots};

use super::world::{LocalImage, docker, engine, unique, wait_until};

/// A launcher's directory by name only, and a range of addresses that no other test has.
pub(super) struct World {
    data: PathBuf,
    pool: NetworkPool,
    image: LocalImage,
}

impl World {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let (third, fourth) = (
            std::process::id() % 256,
            NEXT.fetch_add(64, Ordering::Relaxed),
        );
        Self {
            data: format!("/nonexistent/gantry-test/{}", unique()).into(),
            pool: format!("10.231.{third}.{fourth}/26")
                .parse()
                .expect("valid"),
            image: LocalImage::new(&[]),
        }
    }

    pub(super) async fn open(&self, count: u32, known: &[&str]) -> Result<Networks, NetworkError> {
        self.open_blocked(count, known, false).await
    }

    pub(super) async fn open_blocked(
        &self,
        count: u32,
        known: &[&str],
        block_metadata: bool,
    ) -> Result<Networks, NetworkError> {
        let known: BTreeSet<String> = known.iter().map(|name| (*name).to_owned()).collect();
        let setup = Setup {
            data: &self.data,
            pool: self.pool,
            count,
            known: &known,
            block_metadata,
        };
        let slots = Slots::open(&engine().await.0, setup).await?;
        Ok(Networks::Own(Box::new(slots)))
    }

    pub(super) fn networks(&self) -> Vec<String> {
        let label = format!("label=gantry.data={}", self.data.display());
        let listed = docker(&["network", "ls", "--filter", &label, "--format", "{{.Name}}"]);
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// A container that runs until it is dropped, with the label of a launcher's.
    fn container(&self, network: &str) -> Running {
        let name = format!("gantry-test-{}", unique());
        docker(&[
            "run",
            "--detach",
            "--name",
            &name,
            "--network",
            network,
            "--label",
            "gantry.launcher=test",
            &self.image.name,
            "/bin/busybox",
            "sleep",
            "600",
        ]);
        Running(name)
    }

    /// A container in `network` that serves the page; also its address.
    fn serving(&self, network: &str) -> (Running, String) {
        let server = self.container(network);
        let page = "echo \"the cloud's page\" > /tmp/page; exec busybox httpd -f -p 8169 -h /tmp";
        let script = format!("PATH=/bin; mkdir -p /tmp; {page}");
        docker(&[
            "exec",
            "--detach",
            &server.0,
            "/bin/busybox",
            "sh",
            "-c",
            &script,
        ]);
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = docker(&["inspect", "--format", format, &server.0]);
        let listening = format!("{address}:8169").parse().expect("an address");
        wait_until("the host reaches it", || {
            TcpStream::connect_timeout(&listening, Duration::from_secs(1)).is_ok()
        });
        (server, address)
    }

    /// Whether a container in `network` gets the page there.
    pub(super) fn reaches(&self, network: &str, address: &str) -> bool {
        // Not wget: in Debian's static busybox it dies looking up even a number.
        let get = "printf 'GET /page HTTP/1.0\\r\\n\\r\\n'";
        let script = format!("busybox {get} | busybox nc -w 2 {address} 8169");
        let name = format!("gantry-test-{}", unique());
        let output = Command::new("docker")
            .args([
                "run",
                "--rm",
                "--name",
                &name,
                "--network",
                network,
                &self.image.name,
            ])
            .args(["/bin/busybox", "sh", "-c", &format!("PATH=/bin; {script}")])
            .output()
            .expect("the docker client");
        String::from_utf8_lossy(&output.stdout).contains("the cloud's page")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in self.networks() {
            let _ = Command::new("docker")
                .args(["network", "rm", &name])
                .output();
            // What is gone already needs no more.
            let chain = format!("GANTRY-{}", key(&name));
            let jump = format!("-D FORWARD -o gantry{}-+ -j {chain}", key(&name));
            for words in [jump, format!("-F {chain}"), format!("-X {chain}")] {
                let _ = Command::new("iptables")
                    .args(["-w", "10", "-t", "mangle"])
                    .args(words.split(' '))
                    .output();
            }
        }
    }
}

/// Lets packets pass from one bridge to another, before Docker's own rules.
struct Hole(Vec<String>);

impl Hole {
    fn new(from: &str, to: &str) -> Self {
        let ways = [(from, to), (to, from)];
        let rules = ways.map(|(from, to)| format!("DOCKER-USER -i {from} -o {to} -j ACCEPT"));
        for rule in &rules {
            iptables("filter", &format!("-I {rule}"));
        }
        Self(rules.to_vec())
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        for rule in &self.0 {
            iptables("filter", &format!("-D {rule}"));
        }
    }
}

/// A running container.
struct Running(String);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["rm", "--force", &self.0])
            .output();
    }
}

/// What Docker says of a network.
fn inspected(network: &str) -> serde_json::Value {
    let text = docker(&["network", "inspect", network]);
    let mut seen: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    seen[0].take()
}

/// The name of its interface on the host.
fn bridge(network: &str) -> String {
    let seen = inspected(network);
    let name = seen["Options"]["com.docker.network.bridge.name"].as_str();
    name.expect("named").to_owned()
}

#[tokio::test]
async fn two_containers_are_never_in_one_network() {
    let world = World::new();
    let networks = world.open(2, &[]).await.expect("room");
    assert_eq!(world.networks().len(), 2);
    let first = networks.take("gantry-a-1").await.expect("free");
    let second = networks.take("gantry-b-1").await.expect("free");
    assert_ne!(first, second);
    assert_eq!(networks.take("gantry-a-1").await.expect("its own"), first);
    let error = networks.take("gantry-c-1").await.expect_err("none is left");
    assert!(error.to_string().contains("gantry-a-1"), "{error}");
    networks.release("gantry-a-1");
    assert_eq!(
        networks.take("gantry-c-1").await.expect("free again"),
        first
    );

    // Somebody's container is in a network that should be free.
    networks.release("gantry-c-1");
    let _stranger = world.container(first.as_str());
    let error = networks.take("gantry-d-1").await.expect_err("none is left");
    assert!(error.to_string().contains(first.as_str()), "{error}");
}

#[tokio::test]
async fn networks_are_what_they_should_be() {
    let world = World::new();
    let networks = world.open(1, &[]).await.expect("room");
    let name = networks.take("gantry-a-1").await.expect("free");
    let seen = inspected(name.as_str());
    assert_eq!(seen["EnableIPv6"], false);
    assert_eq!(seen["Internal"], false);
    assert_eq!(seen["Driver"], "bridge");
    assert_eq!(
        seen["Options"]["com.docker.network.bridge.enable_icc"],
        "false"
    );
    let subnet = seen["IPAM"]["Config"][0]["Subnet"].as_str().expect("one");
    let subnet = subnet.parse().expect("a range");
    assert!(world.pool.holds(subnet), "{subnet}");
    let bridge = bridge(name.as_str());
    assert!(
        Path::new("/sys/class/net").join(&bridge).exists(),
        "{bridge}"
    );
    // No IPv6 inside, so nothing of it has to be blocked.
    let inside = world.container(name.as_str());
    let cat = [
        "exec",
        &inside.0,
        "/bin/busybox",
        "cat",
        "/proc/net/if_inet6",
    ];
    let addresses = docker(&cat);
    assert!(!addresses.contains("eth0"), "{addresses}");
}

#[tokio::test]
async fn a_container_does_not_reach_that_of_another_run() {
    let world = World::new();
    let networks = world.open(2, &[]).await.expect("room");
    let [mine, theirs] = [
        networks.take("gantry-a-1").await.expect("free"),
        networks.take("gantry-b-1").await.expect("free"),
    ];
    let (_server, address) = world.serving(theirs.as_str());
    assert!(
        !world.reaches(mine.as_str(), &address),
        "another run's network"
    );
    assert!(!world.reaches(theirs.as_str(), &address), "its own network");
    assert!(
        !world.reaches("bridge", &address),
        "Docker's shared network"
    );

    // Docker lifts its own rules for a moment whenever a network is made; here they are lifted for these two bridges.
    let [from, to] = [&mine, &theirs].map(|network| bridge(network.as_str()));
    let _hole = Hole::new(&from, &to);
    assert!(!world.reaches(mine.as_str(), &address), "through the hole");

    // It is our rule that keeps them apart; and it comes back before the next container.
    remove_jump("mangle", key(mine.as_str()));
    assert!(world.reaches(mine.as_str(), &address), "without the rule");
    networks.release("gantry-a-1");
    let again = networks.take("gantry-c-1").await.expect("free again");
    assert_eq!(again, mine);
    assert!(!world.reaches(mine.as_str(), &address), "the rule is back");
}

#[tokio::test]
async fn a_restart_takes_over_what_runs_and_leaves_no_more_than_before() {
    let world = World::new();
    let before = world.open(3, &[]).await.expect("room");
    let network = before.take("gantry-a-1").await.expect("free");
    let running = world.container(network.as_str());
    let names = world.networks();
    drop(before);

    // Killed; the same again, the container is in the journal.
    let after = world.open(3, &[&running.0]).await.expect("room");
    assert_eq!(world.networks(), names);
    assert_eq!(after.take(&running.0).await.expect("its own"), network);
    assert_ne!(after.take("gantry-b-1").await.expect("free"), network);
    drop(after);

    // Fewer at a time: what runs keeps its network, the rest goes.
    let fewer = world.open(1, &[&running.0]).await.expect("room");
    assert_eq!(world.networks(), [network.as_str()]);
    assert!(fewer.take("gantry-b-1").await.is_err());
    drop(fewer);

    // Nobody knows it: it keeps its network to itself, and runs are not fewer for it.
    let strange = world.open(1, &[]).await.expect("room");
    assert_eq!(world.networks().len(), 2);
    assert_ne!(strange.take("gantry-b-1").await.expect("free"), network);
    drop(strange);
    drop(running);
    drop(world.open(1, &[]).await.expect("room"));
    assert_eq!(world.networks().len(), 1, "the other one was left over");

    // A launcher that left: its rules go when another one starts.
    let chain = format!("-N GANTRY-{}", key(network.as_str()));
    assert!(iptables("mangle", "-S").contains(&chain));
    docker(&["network", "rm", &world.networks()[0]]);
    let other = World::new();
    drop(other.open(1, &[]).await.expect("room"));
    assert!(!iptables("mangle", "-S").contains(&chain));
}

#[tokio::test]
async fn a_pruned_network_comes_back() {
    let world = World::new();
    let networks = world.open(1, &[]).await.expect("room");
    docker(&["network", "rm", &world.networks()[0]]);
    let name = networks.take("gantry-a-1").await.expect("made again");
    let _inside = world.container(name.as_str());
}

#[tokio::test]
async fn a_range_that_is_taken_is_named() {
    let world = World::new();
    let theirs = format!("gantry-test-{}", unique());
    let whole = world.pool.to_string();
    docker(&["network", "create", "--subnet", &whole, &theirs]);
    let error = world.open(1, &[]).await.expect_err("no room").to_string();
    docker(&["network", "rm", &theirs]);
    for part in ["GANTRY_NETWORK_POOL", &whole, &theirs] {
        assert!(error.contains(part), "{error}");
    }
    assert!(world.open(4, &[]).await.is_ok());
    assert!(world.open(5, &[]).await.is_err(), "a /26 holds four");
}

/// The launcher's key in a network's name.
pub(super) fn key(network: &str) -> &str {
    network.split('-').nth(1).expect("its key")
}

/// Gives what it printed.
pub(super) fn iptables(table: &str, arguments: &str) -> String {
    let output = Command::new("iptables")
        .args(["-w", "10", "-t", table])
        .args(arguments.split(' '))
        .output()
        .expect("iptables");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "iptables {arguments}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// As a firewall does that is loaded anew.
pub(super) fn remove_jump(table: &str, key: &str) {
    let rules = iptables(table, "-S");
    let jump = rules
        .lines()
        .find(|line| line.contains(&format!("-j GANTRY-{key}")));
    iptables(table, &jump.expect("a rule").replacen("-A", "-D", 1));
}
