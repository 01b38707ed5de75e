//! One cell: a run is brought into its phase, the fault happens, and everything is looked at.

use std::time::{Duration, Instant};

use gantry_test_support::{Docker, Launcher, World};

use crate::check;
use crate::expected::{Cell, Expected, Fault, Phase};
use crate::fault::strike;
use crate::meeting::Seat;
use crate::scene::Scene;

/// What was seen of a cell.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) cell: Cell,
    /// What became of the run; nothing when that is not known.
    pub(crate) found: Option<Expected>,
    /// What is not as it has to be.
    pub(crate) problems: Vec<String>,
    pub(crate) took: Duration,
}

/// Plays a cell in a world of its own.
pub(crate) fn play(cell: &Cell, mut seat: Option<Seat<'_>>) -> Played {
    let began = Instant::now();
    let world = World::start();
    let mut scene = Scene::set(&world, cell.phase);
    scene.arm();
    if let Some(seat) = seat.as_ref().filter(|_| cell.phase == Phase::Leased) {
        // Nobody renews this lease while it is held: it comes last.
        seat.before_arriving();
    }
    let mut launcher = scene.launcher();
    scene.reach(&launcher);
    strike(cell.fault, &mut scene, &mut launcher, seat.as_mut());
    let seen = scene.finish(&scene.run, &launcher);
    let found = check::found(&seen);
    let expected = cell.expected.clone().expect("a cell that can happen");
    let mut problems = Vec::new();
    if found != expected {
        problems.push(format!(
            "{found} instead of {expected}: {}",
            seen.reasons().trim()
        ));
    }
    problems.extend(check::notes(cell, &expected, &seen));
    problems.extend(check::log(&scene.run, &seen));
    let applied = scene.applied();
    if applied != found.applies {
        problems.push(format!(
            "applied {applied} times on the host, {} in the history",
            found.applies
        ));
    }
    problems.extend(again(&scene, &launcher));
    launcher.drain();
    scene.forget_images();
    problems.extend(check::leftovers(&world, &launcher));
    if !problems.is_empty() {
        keep_logs(&world, &launcher, cell);
    }
    Played {
        cell: cell.clone(),
        found: Some(found),
        problems,
        took: began.elapsed(),
    }
}

/// Nothing of the first run stands in the way of the next one.
fn again(scene: &Scene<'_>, launcher: &Launcher) -> Option<String> {
    let next = scene.stack.deploy();
    let seen = scene.finish(&next, launcher);
    let fine = seen.state == "FINISHED" && !seen.reasons().contains("left locked");
    (!fine).then(|| {
        format!(
            "the next deployment: {} {}",
            seen.state,
            seen.reasons().trim()
        )
    })
}

/// The logs of a world whose cell has problems, and nothing that would keep it from ending.
fn keep_logs(world: &World, launcher: &Launcher, cell: &Cell) {
    let kept = std::env::temp_dir().join("gantry-faults").join(cell.name());
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(kept.join("launcher.log"), launcher.log()).unwrap();
    std::fs::write(kept.join("server.log"), world.server().log()).unwrap();
    Docker.remove(&world.containers());
    std::fs::remove_dir_all(launcher.data_dir().join("runs")).ok();
}

/// Faults that need a daemon of one's own.
pub(crate) fn restarts_dockerd(fault: Fault) -> bool {
    matches!(fault, Fault::DockerdLive | Fault::DockerdCold)
}
