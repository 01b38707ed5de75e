//! Faults at random times.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use gantry_test_support::{Checkpoint, Docker, Dockerd, Launcher, Restore, World, outage};
use serde_json::{Value, json};

use super::random::Random;

const DOCKERD_RESTARTED: &str = "dockerd restarted";

/// Rung when no more trouble is wanted.
#[derive(Debug, Default)]
pub(super) struct Done {
    done: Mutex<bool>,
    changed: Condvar,
}

impl Done {
    /// Waits for `pause`; whether it is over.
    fn within(&self, pause: Duration) -> bool {
        let done = self.done.lock().unwrap();
        let waited = self.changed.wait_timeout_while(done, pause, |done| !*done);
        *waited.unwrap().0
    }
}

/// Ends the trouble when it goes.
pub(super) struct OnDrop<'d>(pub(super) &'d Done);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        *self.0.done.lock().unwrap() = true;
        self.0.changed.notify_all();
    }
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Caused {
    faults: BTreeMap<&'static str, usize>,
    /// Names of containers that were killed.
    pub(super) killed: Vec<String>,
}

impl Caused {
    pub(super) fn counts(&self) -> Value {
        json!(self.faults)
    }

    pub(super) fn restarted_dockerd(&self) -> bool {
        self.faults.contains_key(DOCKERD_RESTARTED)
    }
}

pub(super) struct Trouble<'t> {
    world: &'t World,
    control: &'t Checkpoint,
    mortal: &'t mut Launcher,
    lasting: &'t mut Launcher,
    daemon: Option<&'t mut Dockerd>,
    caused: Caused,
}

impl<'t> Trouble<'t> {
    pub(super) fn new(
        world: &'t World,
        control: &'t Checkpoint,
        mortal: &'t mut Launcher,
        lasting: &'t mut Launcher,
        daemon: Option<&'t mut Dockerd>,
    ) -> Self {
        let caused = Caused::default();
        Self {
            world,
            control,
            mortal,
            lasting,
            daemon,
            caused,
        }
    }

    /// Causes faults until it is over.
    pub(super) fn cause(mut self, mut random: Random, done: &Done) -> Caused {
        while !done.within(Duration::from_secs(2 + random.below(4) as u64)) {
            let fault = self.one(&mut random);
            *self.caused.faults.entry(fault).or_default() += 1;
        }
        self.caused
    }

    fn one(&mut self, random: &mut Random) -> &'static str {
        let short = Duration::from_secs(1 + random.below(5) as u64);
        match random.below(8) {
            0 | 1 => {
                self.mortal.kill();
                self.mortal.start_again();
                "launcher killed"
            }
            2 => {
                self.lasting.pause();
                outage(short);
                self.lasting.resume();
                "launcher stopped"
            }
            3 => {
                self.world.wire().cut();
                outage(short);
                self.world.wire().heal();
                "network cut"
            }
            4 => {
                self.control.fail(true);
                outage(short);
                self.control.fail(false);
                "server answering 500"
            }
            5 => {
                self.world.wire().cut();
                self.world.server().kill();
                self.world.server().start_again();
                self.world.wire().heal();
                "server killed"
            }
            6 => self.kill_container(random),
            _ => match &mut self.daemon {
                Some(daemon) => {
                    daemon.restart(Restore::Live);
                    DOCKERD_RESTARTED
                }
                None => self.kill_container(random),
            },
        }
    }

    fn kill_container(&mut self, random: &mut Random) -> &'static str {
        let names = Docker.run(&[
            "ps",
            "--filter",
            "label=gantry.launcher",
            "--format",
            "{{.Names}}",
        ]);
        let ours = self.world.containers();
        let ours = |name: &&str| ours.iter().any(|c| c["Name"] == format!("/{name}"));
        let names: Vec<_> = names.lines().filter(ours).collect();
        if names.is_empty() {
            return "no container to kill";
        }
        let name = names[random.below(names.len())];
        // It may just have ended.
        self.caused.killed.push(name.to_owned());
        Docker.tries(&["kill", "--signal", "KILL", name]);
        "container killed"
    }
}
