//! A day of use in minutes: many short runs, faults at random times, and at the end nothing may be left.
//!
//! Takes a number of runs and a seed, gives figures and problems. One launcher is killed now and then; the other
//! one lives through everything else, so that its memory and file descriptors can be compared. Never: a fault that
//! the seed does not decide.

mod ended;
mod load;
mod measure;
mod random;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry_test_support::{
    Checkpoint, Docker, Dockerd, Launcher, Registry, Restore, World, wait_for,
};
use serde_json::{Value, json};

use crate::check;
use load::Load;
use measure::Figures;
use random::Random;
use trouble::Trouble;

/// Longest time of it all.
const ALL: Duration = Duration::from_secs(45 * 60);

/// Runs before the launcher's figures are taken for the first time.
const WARM: usize = 10;

/// Memory that the launcher may have more of at the end, in KiB.
const MORE_MEMORY: u64 = 10 << 10;

/// File descriptors that it may have more of: pooled connections.
const MORE_DESCRIPTORS: usize = 8;

/// What came out.
pub(crate) struct Report {
    pub(crate) figures: Value,
    pub(crate) problems: Vec<String>,
}

/// Does it all.
pub(crate) fn soak(runs: usize, minutes: u64, seed: u64, own_daemon: bool) -> Report {
    let began = Instant::now();
    let mut daemon = own_daemon.then(|| Dockerd::start(Restore::Live));
    let registry = Registry::shared();
    let world = World::start();
    let control = Checkpoint::before(world.server().address());
    world.wire().connect_to(control.address());
    std::fs::create_dir(evidence(&world)).unwrap();
    std::os::unix::fs::chown(evidence(&world), Some(1983), Some(1983)).unwrap();
    let mut mortal = launcher(&world, "a", "2", 0);
    let mut lasting = launcher(&world, "b", "4", 64);
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let mut load = Load::new(&world, (runs, until), Random::new(seed));
    let pump = |load: &mut Load<'_>, until: usize| {
        wait_for("the runs to end", ALL, || load.step(until));
    };
    pump(&mut load, WARM.min(runs));
    let before = Figures::of(lasting.process_id());
    let done = trouble::Done::default();
    let troubled = std::thread::scope(|scope| {
        let (world, control, done) = (&world, &control, &done);
        let (mortal, lasting) = (&mut mortal, &mut lasting);
        let trouble = scope.spawn(move || {
            let trouble = Trouble::new(world, control, mortal, lasting, daemon.as_mut());
            let caused = trouble.cause(Random::new(seed ^ 0x5eed), done);
            (caused, daemon)
        });
        // The trouble ends also when the runs do not.
        let over = trouble::OnDrop(done);
        pump(&mut load, runs);
        drop(over);
        trouble.join().unwrap()
    });
    let (caused, daemon) = troubled;
    let mut problems = load.ended(&caused);
    let after = measure::settled(&lasting, before, MORE_DESCRIPTORS);
    problems.extend(after.compared(before, MORE_MEMORY, MORE_DESCRIPTORS));
    problems.extend(measure::children(lasting.process_id()));
    let counts = load.counts();
    for launcher in [&mut mortal, &mut lasting] {
        launcher.drain();
    }
    for launcher in [&mortal, &lasting] {
        problems.extend(check::leftovers(&world, launcher));
    }
    Docker.tries(&["image", "rm", &registry.images().busybox.digest]);
    let figures = json!({
        "wanted": runs, "started": load.sent(), "seed": seed, "seconds": began.elapsed().as_secs(), "faults": caused.counts(),
        "ended": counts, "before": before.json(), "after": after.json(),
    });
    drop((world, Arc::clone(&registry), daemon));
    Report { figures, problems }
}

fn launcher(world: &World, name: &str, capacity: &str, from: u8) -> Launcher {
    // Addresses that no other process of these tests uses.
    let pool = format!("10.214.{}.{from}/26", std::process::id() % 256);
    let mount = format!("{}:/mnt/evidence", evidence(world).display());
    let launcher = world.launcher(name).env("GANTRY_CAPACITY", capacity);
    let launcher = launcher.env("GANTRY_NETWORK_POOL", &pool);
    launcher
        .env("SPACELIFT_WORKER_EXTRA_MOUNTS", &mount)
        .start()
}

fn evidence(world: &World) -> PathBuf {
    world.dir().join("evidence")
}
