//! The launcher's own networks on the real engine and kernel.
//!
//! Takes a range of its own for each test; plays the cloud by a network namespace and by an address of the host.
//! Never: a network, namespace or rule that outlives its test.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use gantry_launcher::container::NetworkPool;
use gantry_launcher::network::{NetworkError, Networks, Setup, Slots};

use super::world::{LocalImage, docker, engine, unique, wait_until};

/// A launcher's directory by name only, and a range of addresses that no other test has.
struct World {
    data: PathBuf,
    pool: NetworkPool,
    image: LocalImage,
}

impl World {
    fn new() -> Self {
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

    async fn open(&self, count: u32, known: &[&str]) -> Result<Networks, NetworkError> {
        self.open_blocked(count, known, false).await
    }

    async fn open_blocked(
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

    fn networks(&self) -> Vec<String> {
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

    /// Whether a container in `network` gets the page there.
    fn reaches(&self, network: &str, address: &str) -> bool {
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
    let text = docker(&["network", "inspect", name.as_str()]);
    let seen: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let seen = &seen[0];
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
    let bridge = seen["Options"]["com.docker.network.bridge.name"]
        .as_str()
        .expect("named");
    assert!(
        Path::new("/sys/class/net").join(bridge).exists(),
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
    let server = world.container(theirs.as_str());
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
    assert!(
        !world.reaches(mine.as_str(), &address),
        "another run's network"
    );
    assert!(!world.reaches(theirs.as_str(), &address), "its own network");
    assert!(
        !world.reaches("bridge", &address),
        "Docker's shared network"
    );
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

/// A cloud's metadata service, in a network namespace or on the host itself.
struct Cloud {
    place: Place,
    server: Child,
    _page: tempfile::TempDir,
}

enum Place {
    Elsewhere { name: String, address: String },
    Here { address: String },
}

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("iproute2");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}");
}

impl Cloud {
    /// Reached through the host, as on real clouds; also under a usual address, to tell a block from a broken way.
    fn elsewhere(number: u8) -> (Self, String, String) {
        let (name, outside) = (format!("gtest{number}"), format!("gtest{number}o"));
        let address = format!("169.254.231.{number}");
        let usual = format!("10.230.{number}.2");
        ip(&format!("netns add {name}"));
        ip(&format!(
            "link add {outside} type veth peer name in netns {name}"
        ));
        ip(&format!("addr add 10.230.{number}.1/30 dev {outside}"));
        ip(&format!("link set {outside} up"));
        ip(&format!("-n {name} addr add {usual}/30 dev in"));
        ip(&format!("-n {name} addr add {address}/32 dev in"));
        ip(&format!("-n {name} link set in up"));
        ip(&format!(
            "-n {name} route add default via 10.230.{number}.1"
        ));
        ip(&format!("route add {address}/32 via {usual}"));
        let place = Place::Elsewhere {
            name: name.clone(),
            address: address.clone(),
        };
        let prefix = ["ip", "netns", "exec", &name].map(str::to_owned);
        (Self::serve(place, prefix.to_vec()), address, usual)
    }

    /// An address of the host itself, as node-local credential services have it.
    fn here(number: u8) -> (Self, String) {
        let address = format!("169.254.232.{number}");
        ip(&format!("addr add {address}/32 dev lo"));
        let place = Place::Here {
            address: address.clone(),
        };
        (Self::serve(place, Vec::new()), address)
    }

    fn serve(place: Place, mut command: Vec<String>) -> Self {
        let page = tempfile::tempdir().expect("temp dir");
        std::fs::write(page.path().join("page"), "the cloud's page").expect("written");
        let listen = match &place {
            Place::Elsewhere { .. } => "0.0.0.0:8169".to_owned(),
            Place::Here { address } => format!("{address}:8169"),
        };
        command.extend(["busybox", "httpd", "-f", "-p", &listen, "-h"].map(str::to_owned));
        command.push(page.path().display().to_string());
        let server = Command::new(&command[0])
            .args(&command[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("busybox httpd");
        let cloud = Self {
            place,
            server,
            _page: page,
        };
        wait_until("the cloud answers", || cloud.answers_the_host());
        cloud
    }

    fn answers_the_host(&self) -> bool {
        let (Place::Elsewhere { address, .. } | Place::Here { address }) = &self.place;
        let address = format!("{address}:8169").parse().expect("an address");
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let arguments = match &self.place {
            Place::Elsewhere { name, .. } => {
                vec![format!("link del {name}o"), format!("netns del {name}")]
            }
            Place::Here { address } => vec![format!("addr del {address}/32 dev lo")],
        };
        for line in arguments {
            let _ = Command::new("ip").args(line.split(' ')).output();
        }
    }
}

fn raw_rules() -> String {
    let output = Command::new("iptables")
        .args(["-w", "10", "-t", "raw", "-S"])
        .output();
    String::from_utf8_lossy(&output.expect("iptables").stdout).into_owned()
}

#[tokio::test]
async fn the_metadata_address_is_blocked_wherever_it_is_served() {
    let number = (std::process::id() % 250) as u8 + 1;
    let (_cloud, far, usual) = Cloud::elsewhere(number);
    let (_service, near) = Cloud::here(number);
    let world = World::new();
    let open = world.open(1, &[]).await.expect("room");
    let network = open.take("gantry-a-1").await.expect("free");
    let network = network.as_str();
    for address in [&far, &near, &usual] {
        assert!(world.reaches(network, address), "{address} without a block");
    }
    drop(open);

    let blocked = world
        .open_blocked(1, &[], true)
        .await
        .expect("root and iptables");
    assert_eq!(world.networks(), [network]);
    assert!(!world.reaches(network, &far), "{far}, forwarded");
    assert!(!world.reaches(network, &near), "{near}, of the host");
    assert!(world.reaches(network, &usual), "all else stays");
    assert!(
        world.reaches("bridge", &far),
        "others' containers are not our business"
    );

    // A firewall that is loaded anew clears the rules; the next container is kept off all the same.
    let key = network.split('-').nth(1).expect("its key");
    let jump = raw_rules()
        .lines()
        .find(|line| line.contains(&format!("-j GANTRY-{key}")))
        .map(str::to_owned);
    let jump = jump.expect("a rule").replacen("-A", "-D", 1);
    let removed = Command::new("iptables")
        .args(["-w", "10", "-t", "raw"])
        .args(jump.split(' '))
        .status();
    assert!(removed.expect("iptables").success());
    assert!(world.reaches(network, &far));
    blocked.take("gantry-b-1").await.expect("free");
    assert!(!world.reaches(network, &far), "the rules are back");
    drop(blocked);

    drop(world.open(1, &[]).await.expect("room"));
    assert!(world.reaches(network, &far), "switched off");
    let left = raw_rules();
    assert!(!left.contains(&format!("GANTRY-{key}")), "{left}");
}
