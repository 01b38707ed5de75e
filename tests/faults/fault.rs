//! What goes wrong.

use std::time::Duration;

use gantry_test_support::{Docker, Launcher, outage};

use crate::expected::Fault;
use crate::meeting::Seat;
use crate::scene::{Scene, soon};

/// Longer than a lease lives and the server looks for silent ones.
const STANDSTILL: Duration = Duration::from_secs(64);

/// A long cut of the network.
const CUT: Duration = Duration::from_secs(120);

/// A server that answers nonsense, for less than a lease lives.
const NONSENSE: Duration = Duration::from_secs(30);

/// Makes the fault happen and lets the run go when it is over.
pub(crate) fn strike(
    fault: Fault,
    scene: &mut Scene<'_>,
    launcher: &mut Launcher,
    seat: Option<&mut Seat<'_>>,
) {
    let world = scene.world;
    match fault {
        Fault::LauncherKilled => {
            launcher.kill();
            launcher.start_again();
        }
        Fault::LauncherStopped => {
            launcher.pause();
            outage(STANDSTILL);
            launcher.resume();
        }
        Fault::DockerdLive | Fault::DockerdCold => {
            seat.expect("a seat where the daemon's restart is waited for")
                .arrive();
        }
        Fault::ContainerKilled => kill_container(scene),
        Fault::ServerKilled => {
            // What stands between must not keep connections that died with the server.
            world.wire().cut();
            world.server().kill();
            world.server().start_again();
            world.wire().heal();
        }
        Fault::NetworkCut => {
            world.wire().cut();
            outage(CUT);
            world.wire().heal();
        }
        Fault::Server500 => {
            scene.control.fail(true);
            scene.release();
            outage(NONSENSE);
            scene.control.fail(false);
        }
    }
    scene.release();
}

fn kill_container(scene: &Scene<'_>) {
    let mut killed = false;
    soon("the run's container to be killed", || {
        let containers = scene.world.containers();
        let running = |c: &&serde_json::Value| c["State"]["Running"] == true;
        let Some(container) = containers.iter().find(running) else {
            return killed.then_some(()).ok_or_else(|| "none runs".to_owned());
        };
        let id = container["Id"].as_str().unwrap_or_default();
        killed |= Docker.tries(&["kill", "--signal", "KILL", id]);
        Err(format!("{} runs", container["Name"]))
    });
}
