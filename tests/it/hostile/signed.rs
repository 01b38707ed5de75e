//! The same server where signatures are required: what nobody signed for is not executed.
//!
//! The server has every signature that somebody gave, and may put any of them on anything.

use gantry_protocol::Attempt;
use gantry_protocol::control::envelope::CLOCK_ALLOWANCE;
use gantry_protocol::payload::RunPayload;
use gantry_protocol::run::RunType;
use gantry_test_support::hostile::{Hostile, Packed, Signer, apply_of, lease_of};
use gantry_test_support::{SHORT, wait_for};

use super::scene::Expect;
use super::signing::{Signing, refused};
use super::unsigned::{OF_APPLIES, OF_TASKS, wanted};

const HOUR: i64 = 3600;

/// The run handed out again for its apply, with one more entry of metadata where there is one.
fn apply(run: &RunPayload, packed: &Packed, attempt: u32, entry: Option<&String>) -> RunPayload {
    let mut apply = apply_of(run, packed);
    apply.attempt = Attempt(attempt);
    apply.metadata.extend(entry.cloned());
    apply
}

impl Signing {
    /// A good signature, shown again.
    fn replays(&mut self) {
        let task = self.signed(self.scene.world.task("good"));
        self.offer("none: a signed task", Expect::Executed, "good", &task);
        self.scene.server().wait_result(lease_of(&task));
        let again = RunPayload {
            attempt: Attempt(2),
            ..task.clone()
        };
        self.offer(
            "the same task again",
            refused("changed the world by it"),
            "good",
            &again,
        );
        let other = RunPayload {
            run: self.scene.world.task("x").run,
            ..task
        };
        self.offer(
            "its signature on another run",
            refused("was used before, by run"),
            "good",
            &other,
        );
    }

    /// A good signature on something else than was signed for.
    fn changes(&mut self) {
        for change in OF_TASKS {
            let mark = self.mark();
            let mut run = self.signed(self.scene.world.task(&mark));
            (change.make)(&self.scene, &mut run);
            self.offer(change.name, refused(change.part), &mark, &run);
        }
    }

    /// No signature, or one for another phase.
    fn phases(&mut self) {
        let types = [
            (
                "a task without a signature",
                RunType::Task,
                "no signature for `task`",
            ),
            (
                "a plan without a signature",
                RunType::Tracked,
                "no signature for `plan`",
            ),
            (
                "a preview without a signature",
                RunType::Proposed,
                "no signature for `plan`",
            ),
        ];
        for (name, run_type, words) in types {
            let mark = self.mark();
            let run = RunPayload {
                run_type,
                ..wanted(self.scene.world.task(&mark))
            };
            self.offer(name, refused(words), &mark, &run);
        }
        let mark = self.mark();
        let preview = RunPayload {
            run_type: RunType::Proposed,
            ..self.scene.world.task(&mark)
        };
        let task = RunPayload {
            run_type: RunType::Task,
            ..self.signed(preview)
        };
        let words = "it carries one for `plan`";
        self.offer(
            "a preview's signature for a task",
            refused(words),
            &mark,
            &task,
        );
        let mark = self.mark();
        let plan = self.signed(self.scene.world.plan(&mark));
        let auto = RunPayload {
            autodeploy: true,
            ..plan
        };
        let words = "no signature for `plan_and_apply`";
        self.offer(
            "a plan's signature for a plan that goes on by itself",
            refused(words),
            &mark,
            &auto,
        );
    }

    /// Signatures that are not by the one who may sign.
    fn forgeries(&mut self) {
        let mark = self.mark();
        let mut run = wanted(self.scene.world.task(&mark));
        let stranger = Signer::new();
        run.metadata = vec![stranger.sign(&stranger.run(&run))];
        self.offer(
            "a stranger's signature",
            refused("not among the trusted keys"),
            &mark,
            &run,
        );
        let mark = self.mark();
        let [mut run, other] =
            ["x", mark.as_str()].map(|name| self.signed(self.scene.world.task(name)));
        let (claims, _) = other.metadata[0].rsplit_once('.').unwrap();
        let (_, signature) = run.metadata[0].rsplit_once('.').unwrap();
        run = RunPayload {
            metadata: vec![format!("{claims}.{signature}")],
            ..other
        };
        self.offer(
            "the signature of other claims",
            refused("did not sign this"),
            &mark,
            &run,
        );
    }

    /// Signatures that say by themselves that they are not for this.
    fn terms(&mut self) {
        self.claimed(
            "a signer whose clock is an hour behind",
            "the run signature ended at",
            |claims| {
                (claims.iat, claims.exp) = (claims.iat - 2 * HOUR, claims.exp - 2 * HOUR);
            },
        );
        self.claimed(
            "a signer whose clock is an hour ahead",
            "the run signature was made at",
            |claims| {
                (claims.iat, claims.exp) = (claims.iat + HOUR, claims.exp + HOUR);
            },
        );
        self.claimed(
            "a signature that lives for two days",
            "at most 24 hours are allowed",
            |claims| {
                claims.exp += 47 * HOUR;
            },
        );
        self.claimed(
            "a signature for another launcher",
            "is made out to `01JB8M6Q7N4T0V2X5Y8Z9A1B2C`",
            |claims| {
                claims.aud = Some("01JB8M6Q7N4T0V2X5Y8Z9A1B2C".to_owned());
            },
        );
        self.claimed(
            "a signature that leaves a part out",
            "`image` is not stated",
            |claims| {
                claims.fields.remove("image");
            },
        );
    }
}

impl Signing {
    /// A launcher that starts when this time (Unix seconds) is over.
    fn restarted_after(&mut self, over: i64) {
        wait_for("the end of an envelope", SHORT, || {
            match Hostile::now() > over {
                true => Ok(()),
                false => Err("it is not over".to_owned()),
            }
        });
        self.scene.launcher.kill();
        self.scene.launcher.start_again();
    }

    /// The apply without its confirm, and others than were confirmed.
    fn unlike(&mut self, run: &RunPayload, packed: &Packed, confirm: &String) {
        let unsigned = apply(run, packed, 10, None);
        self.offer(
            "an apply that nobody confirmed",
            refused("it carries one for `plan`"),
            "planned",
            &unsigned,
        );
        for (at, change) in OF_APPLIES.iter().enumerate() {
            let attempt = 20 + u32::try_from(at).unwrap();
            let mut changed = apply(run, packed, attempt, Some(confirm));
            (change.make)(&self.scene, &mut changed);
            self.offer(change.name, refused(change.part), "planned", &changed);
        }
    }
}

#[test]
fn what_nobody_signed_for_is_not_started() {
    let mut signing = Signing::start("all");
    signing.states();
    signing.replays();
    signing.changes();
    signing.phases();
    signing.forgeries();
    signing.terms();
    signing.judge("starts, signatures required");
}

#[test]
fn what_nobody_signed_for_is_not_applied() {
    let mut signing = Signing::start("all");
    let (run, old) = signing.planned("planned", 5);
    let (other, others) = signing.planned("other", 5);
    let again = RunPayload {
        attempt: Attempt(6),
        ..run.clone()
    };
    let packed = signing.plan(&again);
    let [confirm, foreign] =
        [(&again, &packed), (&other, &others)].map(|(run, packed)| signing.confirm(run, packed));
    assert_eq!(
        signing.scene.world.marks("planned.").len(),
        2,
        "planned, not applied"
    );
    signing.scene.server().lie(|lies| {
        lies.workspaces.insert(run.run, packed.sealed.clone());
    });

    let strange = apply(&again, &packed, 11, Some(&foreign));
    signing.offer(
        "the confirm of another run",
        refused("`run` was signed"),
        "planned",
        &strange,
    );
    let older = apply(&run, &old, 12, Some(&confirm));
    signing.offer(
        "the confirm of a plan for the one before it",
        refused("`workspace` was signed"),
        "planned",
        &older,
    );
    signing.unlike(&again, &packed, &confirm);
    let good = apply(&again, &packed, 30, Some(&confirm));
    signing.judge("applies that nobody confirmed");
    // Almost over when it comes, so that the journal may forget it soon.
    let over = Hostile::now() + 10;
    let times = (over - HOUR, over - CLOCK_ALLOWANCE);
    signing.offer_at(
        "none: the apply that was confirmed",
        Expect::Executed,
        ("planned", times),
        &good,
    );
    signing.scene.server().wait_result(lease_of(&good));
    let twice = apply(&again, &packed, 31, Some(&confirm));
    signing.offer(
        "the same apply again",
        refused("changed the world by it"),
        "planned",
        &twice,
    );
    let back = apply(&again, &packed, 7, Some(&confirm));
    signing.offer(
        "the same apply again, as an earlier attempt",
        refused("the run signature was"),
        "planned",
        &back,
    );
    signing.judge("applies, signatures required");
    signing.restarted_after(over);
    let later = apply(&again, &packed, 32, Some(&confirm));
    signing.offer(
        "the same apply again, after a restart",
        refused("changed the world by it"),
        "planned",
        &later,
    );
    signing.judge("after a restart");
    let again = signing.again(&good);
    assert!(
        again.contains("came in another envelope then"),
        "the same lease in a fresh envelope: {again}"
    );
    assert_eq!(signing.scene.world.marked("planned.apply"), 1);
}

#[test]
fn signatures_for_changes_alone_let_plans_happen_and_nothing_else() {
    let mut signing = Signing::start("apply-only");
    let plan = wanted(signing.scene.world.plan("planned"));
    let packed = signing.plan(&plan);
    assert_eq!(signing.scene.world.marks("planned.").len(), 2);
    let unsigned = apply(&plan, &packed, 2, None);
    signing.offer(
        "an apply without a signature",
        refused("no signature for `apply`"),
        "planned",
        &unsigned,
    );
    let mark = signing.mark();
    let auto = RunPayload {
        autodeploy: true,
        ..wanted(signing.scene.world.plan(&mark))
    };
    signing.offer(
        "a plan that goes on by itself",
        refused("no signature for `plan_and_apply`"),
        &mark,
        &auto,
    );
    let mark = signing.mark();
    let task = wanted(signing.scene.world.task(&mark));
    signing.offer(
        "a task without a signature",
        refused("no signature for `task`"),
        &mark,
        &task,
    );
    // Executed before the plan, and not in what was signed: its workspace may hold anything.
    let mut other = plan.clone();
    other.hooks.before_plan.clear();
    let confirm = signing.confirm(&other, &packed);
    let other = apply(&other, &packed, 3, Some(&confirm));
    signing.offer(
        "the confirm of a plan that was made with another hook",
        refused("made from other settings than its apply says"),
        "planned",
        &other,
    );
    signing.judge("signatures required for changes");
    assert!(signing.scene.world.marks("planned.apply").is_empty());
    let confirm = signing.confirm(&plan, &packed);
    let good = apply(&plan, &packed, 4, Some(&confirm));
    signing.offer(
        "none: the confirm of the plan as it was made",
        Expect::Executed,
        "planned",
        &good,
    );
    signing.judge("signatures for changes");
}
