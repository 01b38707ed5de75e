//! The same server where signatures are required: what nobody signed for is not executed.
//!
//! The server has every signature that somebody gave, and may put any of them on anything.

use gantry_protocol::Attempt;
use gantry_protocol::payload::RunPayload;
use gantry_protocol::run::RunType;
use gantry_test_support::hostile::{Packed, Signer, apply_of, lease_of};

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

#[test]
fn what_nobody_signed_for_is_not_started() {
    let mut signing = Signing::start("all");
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
    let confirm = signing.confirm(&again, &packed);
    let foreign = signing.confirm(&other, &others);
    assert_eq!(
        signing.scene.world.marks("planned.").len(),
        2,
        "planned, not applied"
    );
    signing.scene.server().lie(|lies| {
        lies.workspaces.insert(run.run, packed.sealed.clone());
    });

    let unsigned = apply(&again, &packed, 10, None);
    signing.offer(
        "an apply that nobody confirmed",
        refused("it carries one for `plan`"),
        "planned",
        &unsigned,
    );
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
    for (at, change) in OF_APPLIES.iter().enumerate() {
        let attempt = 20 + u32::try_from(at).unwrap();
        let mut changed = apply(&again, &packed, attempt, Some(&confirm));
        (change.make)(&signing.scene, &mut changed);
        signing.offer(change.name, refused(change.part), "planned", &changed);
    }
    let good = apply(&again, &packed, 30, Some(&confirm));
    signing.judge("applies that nobody confirmed");
    signing.offer(
        "none: the apply that was confirmed",
        Expect::Executed,
        "planned",
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
    signing.scene.launcher.kill();
    signing.scene.launcher.start_again();
    let later = apply(&again, &packed, 32, Some(&confirm));
    signing.offer(
        "the same apply again, after a restart",
        refused("changed the world by it"),
        "planned",
        &later,
    );
    signing.judge("after a restart");
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
    signing.judge("signatures required for changes");
    assert!(signing.scene.world.marks("planned.apply").is_empty());
}
