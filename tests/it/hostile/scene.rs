//! One attack after the other on one launcher, and what has to become of each.
//!
//! Takes a table of attacks. Gives what came of each, next to what was expected. Never: an attack that counts as
//! refused because nothing happened; somebody has to be told why, the server or the launcher's own log.

use std::sync::OnceLock;

use gantry_protocol::control::inbox::Content;
use gantry_protocol::control::run::{Gate, Lease, Outcome, RunResult};
use gantry_protocol::payload::RunPayload;
use gantry_test_support::hostile::{Hostile, HostileWorld, lease_of};
use gantry_test_support::{Launcher, SHORT, wait_for};

use super::table;
use super::workspaces::Plans;

/// What has to become of an attack.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expect {
    /// Told to the server: refused at this gate, in a sentence with these words. Nothing was executed.
    Refused(Gate, &'static str),
    /// Nobody can be told: the launcher's own log has these words. Nothing was executed.
    Dropped(&'static str),
    /// No attack at all: it is executed once. Else "refused" would mean nothing.
    Executed,
}

/// One row of the table.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) expect: Expect,
    /// Sends what it takes; everything that would be executed leaves marks of this name. Gives the lease that counts.
    pub(super) play: fn(&Scene, &str) -> Lease,
}

/// A row.
pub(super) const fn attack(
    name: &'static str,
    expect: Expect,
    play: fn(&Scene, &str) -> Lease,
) -> Attack {
    Attack { name, expect, play }
}

/// A launcher and the server that attacks it.
pub(super) struct Scene {
    /// First, so that it has ended when the world looks what is left.
    pub(super) launcher: Launcher,
    pub(super) world: HostileWorld,
    /// Runs that were planned here, once they are asked for.
    pub(super) plans: OnceLock<Plans>,
}

/// What was sent of an attack.
pub(super) struct Sent {
    pub(super) name: &'static str,
    pub(super) expect: Expect,
    /// The lease that counts.
    pub(super) lease: Lease,
    /// What is executed leaves marks that begin so.
    pub(super) mark: String,
    /// How much the launcher had logged before.
    logged: usize,
    /// How many marks there were before.
    before: usize,
}

/// What came of an attack.
pub(super) struct Played {
    pub(super) name: &'static str,
    pub(super) found: String,
    pub(super) problem: Option<String>,
}

impl Scene {
    pub(super) fn start() -> Self {
        let world = HostileWorld::start();
        let launcher = world.launcher("a").start();
        Self::of(world, launcher)
    }

    pub(super) fn of(world: HostileWorld, launcher: Launcher) -> Self {
        Self {
            launcher,
            world,
            plans: OnceLock::new(),
        }
    }

    pub(super) fn server(&self) -> &Hostile {
        self.world.hostile()
    }

    /// Offers a payload as an honest server would.
    pub(super) fn offer(&self, payload: &RunPayload) -> Lease {
        self.server().send_run(self.server().issue(payload));
        lease_of(payload)
    }

    /// Sends messages in this order and waits until they are acknowledged.
    pub(super) fn send(&self, contents: Vec<Content>) {
        self.server().send(contents);
    }

    /// Plays all, waits for what they lead to, prints the table.
    ///
    /// # Panics
    /// When one of them went otherwise than expected.
    pub(super) fn play(&self, title: &str, attacks: &[Attack]) {
        let sent = attacks.iter().enumerate().map(|(at, attack)| {
            let mark = format!("m{at}");
            let play = || (attack.play)(self, &mark);
            self.sending(attack.name, attack.expect, &mark, play)
        });
        let sent: Vec<_> = sent.collect();
        self.judge_all(title, &sent);
    }

    /// Sends something, and notes what there was before.
    pub(super) fn sending(
        &self,
        name: &'static str,
        expect: Expect,
        mark: &str,
        send: impl FnOnce() -> Lease,
    ) -> Sent {
        let (logged, before) = (self.launcher.log().len(), self.executed(mark).0);
        Sent {
            name,
            expect,
            lease: send(),
            mark: mark.to_owned(),
            logged,
            before,
        }
    }

    /// How many marks of this name there are, and which.
    fn executed(&self, mark: &str) -> (usize, Vec<String>) {
        // Marks are `NAME.phase`.
        let marks = self.world.marks(&format!("{mark}."));
        let times = marks.iter().map(|name| self.world.marked(name)).sum();
        (times, marks)
    }

    /// Waits for what was sent to come to its end, prints the table.
    ///
    /// # Panics
    /// When something went otherwise than expected.
    pub(super) fn judge_all(&self, title: &str, sent: &[Sent]) {
        let judged: Vec<_> = sent.iter().map(|sent| self.judge(sent)).collect();
        table::print(title, &judged);
        let bad = judged.iter().filter(|row| row.problem.is_some()).count();
        assert_eq!(bad, 0, "attacks that went otherwise than expected");
    }

    fn judge(&self, sent: &Sent) -> Played {
        let Sent {
            name,
            expect,
            ref mark,
            lease,
            logged,
            before,
        } = *sent;
        let (found, fits) = match expect {
            Expect::Dropped(words) => self.dropped(words, logged),
            Expect::Refused(gate, words) => {
                let result = self.server().wait_result(lease);
                let fits = matches!(&result.outcome, Outcome::Refused { gate: found, message }
                    if *found == gate && message.contains(words));
                (told(&result), fits)
            }
            Expect::Executed => {
                let result = self.server().wait_result(lease);
                (told(&result), result.outcome == Outcome::Succeeded)
            }
        };
        let told = self.server().told(lease);
        let (times, marks) = self.executed(mark);
        let times = times - before;
        let due = usize::from(matches!(expect, Expect::Executed));
        let began = told.phases.len() + told.grants.len() > 0;
        let problem = match () {
            () if !fits => Some(format!("expected {expect:?}")),
            () if times != due => Some(format!("executed {times} times: {marks:?}")),
            () if began != (due > 0) => Some(format!("{:?} {:?}", told.phases, told.grants)),
            () if told
                .results
                .windows(2)
                .any(|pair| !agree(&pair[0], &pair[1])) =>
            {
                Some(format!("contradicting results: {:?}", told.results))
            }
            () => None,
        };
        Played {
            name,
            found,
            problem,
        }
    }

    fn dropped(&self, words: &str, logged: usize) -> (String, bool) {
        let lines = wait_for("the launcher to say why", SHORT, || {
            let log = self.launcher.log();
            let new = log.get(logged..).unwrap_or_default().to_owned();
            match new.contains("a run envelope is refused") {
                true => Ok(new),
                false => Err(new),
            }
        });
        let line = lines.lines().find(|line| line.contains(words));
        let found = line.map_or("otherwise dropped", |_| "dropped");
        (format!("{found}: {words}"), line.is_some())
    }
}

fn told(result: &RunResult) -> String {
    match &result.outcome {
        Outcome::Refused { gate, message } => format!("refused ({gate:?}): {message}"),
        other => format!("{other:?}"),
    }
}

/// Whether two reports say the same. An envelope that comes again is refused again, and its message may count seconds.
fn agree(one: &RunResult, other: &RunResult) -> bool {
    match (&one.outcome, &other.outcome) {
        (Outcome::Refused { gate: one, .. }, Outcome::Refused { gate: other, .. }) => one == other,
        _ => one == other,
    }
}
