//! Runs' networks and the addresses where clouds serve credentials.
//!
//! Plays the cloud by a network namespace and by an address of the host. Never: an address, namespace or rule that
//! outlives its test.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::networks::{World, iptables, key, remove_jump};
use super::world::wait_until;

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
    let key = key(network);
    remove_jump("raw", key);
    assert!(world.reaches(network, &far));
    blocked.take("gantry-b-1").await.expect("free");
    assert!(!world.reaches(network, &far), "the rules are back");
    drop(blocked);

    drop(world.open(1, &[]).await.expect("room"));
    assert!(world.reaches(network, &far), "switched off");
    let left = iptables("raw", "-S");
    assert!(!left.contains(&format!("GANTRY-{key}")), "{left}");
}
