//! Signed runs from the person's key to the container, and what happens without a signature.

use std::fs;

use gantry_test_support::{Launcher, Run, World};

use super::{CODE, refuses_to_start};

/// A key of somebody who may sign, and a launcher that asks for signatures.
struct Signed {
    // Ended before the world looks for what it left.
    _launcher: Launcher,
    world: World,
    key: String,
}

impl Signed {
    fn start(requirement: &str) -> Self {
        let world = World::start();
        let path = |name: &str| world.dir().join(name).display().to_string();
        let (key, jwks) = (path("signer.pem"), path("trusted.json"));
        world.cli().text(&["key", "generate", "--out", &key]);
        let set = world.cli().text(&["key", "jwks", &key]);
        fs::write(&jwks, set).expect("a file");
        let launcher = world.launcher("a");
        let launcher = launcher.env("GANTRY_RUN_TRUST_JWKS", &jwks);
        let launcher = launcher
            .env("GANTRY_REQUIRE_SIGNATURE", requirement)
            .start();
        Self {
            _launcher: launcher,
            world,
            key,
        }
    }

    fn stack(&self, id: &str, autodeploy: bool) -> gantry_test_support::Stack<'_> {
        let repo = self.world.repo(id);
        repo.commit(&[("main.tf", CODE)]);
        let stack = self
            .world
            .stack(id, &repo)
            .secret("TF_VAR_key", "hunter2-hunter2");
        match autodeploy {
            true => stack.autodeploy().create(),
            false => stack.create(),
        }
    }

    /// The words with which a command signs.
    fn sign<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["--sign-key", &self.key, "--yes"], rest].concat()
    }

    fn confirm(&self, run: &Run<'_>, stack: &str, rest: &[&str]) {
        let confirm = ["stack", "confirm", "--id", stack, "--run", run.id()];
        self.world.cli().text(&[&confirm[..], rest].concat());
    }
}

#[test]
fn a_signed_run_is_planned_and_its_signed_confirm_applied() {
    let signed = Signed::start("all");
    let stack = signed.stack("good", false);
    let run = stack.try_start("deploy", &signed.sign(&[])).expect("a run");
    run.wait("UNCONFIRMED");
    run.wait_log("PREPARING", "Signed for `plan` by key");
    signed.confirm(&run, "good", &signed.sign(&[]));
    assert_eq!(run.wait("FINISHED").times("APPLYING"), 1);
    run.wait_log("PREPARING_APPLY", "Signed for `apply` by key");
}

#[test]
fn nothing_unsigned_is_executed() {
    let signed = Signed::start("all");
    let stack = signed.stack("unsigned", false);
    let refused = |run: &Run<'_>, part: &str| {
        let seen = run.wait("FAILED");
        assert!(seen.reasons().contains(part), "{}", seen.reasons());
        assert_eq!(seen.times("INITIALIZING") + seen.times("APPLYING"), 0);
    };
    refused(&stack.deploy(), "signature");
    refused(&stack.preview(), "signature");
    refused(&stack.bare_task("echo never"), "signature");
    let made = stack.try_start("deploy", &["--run-metadata", "no signature"]);
    refused(&made.expect("a run"), "signature");
}

#[test]
fn a_confirm_needs_a_signature_of_its_own() {
    let signed = Signed::start("apply-only");
    let stack = signed.stack("confirm", false);
    let run = stack.try_start("deploy", &signed.sign(&[])).expect("a run");
    run.wait("UNCONFIRMED");
    signed.confirm(&run, "confirm", &[]);
    let seen = run.wait("FAILED");
    assert_eq!(seen.times("APPLYING"), 0);
    assert!(seen.reasons().contains("signature"), "{}", seen.reasons());

    // Nobody signed for the plans; that they were made from what is signed now the launchers attest.
    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    let change = [
        "stack",
        "set-env",
        "--id",
        "confirm",
        "TF_VAR_greeting=other",
    ];
    signed.world.cli().text(&change);
    signed.confirm(&run, "confirm", &signed.sign(&[]));
    let seen = run.wait("FAILED");
    assert_eq!(seen.times("APPLYING"), 0);
    let why = "made from other settings than its apply says";
    assert!(seen.reasons().contains(why), "{}", seen.reasons());

    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    let replan = ["stack", "replan", "--id", "confirm", "--run", run.id()];
    let address = ["--resources", "terraform_data.it"];
    signed.world.cli().text(&[&replan[..], &address].concat());
    run.wait_log("PREPARING_REPLAN", "Restoring the workspace of the plan.");
    run.wait("UNCONFIRMED");
    signed.confirm(&run, "confirm", &signed.sign(&[]));
    assert_eq!(run.wait("FINISHED").times("APPLYING"), 1);
}

#[test]
fn a_deployment_without_a_confirm_is_signed_for_as_such() {
    let signed = Signed::start("apply-only");
    let stack = signed.stack("unattended", true);
    let any = signed.sign(&["--accept-any-plan"]);
    let run = stack.try_start("deploy", &any).expect("a run");
    assert_eq!(run.wait("FINISHED").times("APPLYING"), 1);

    let seen = stack.deploy().wait("FAILED");
    assert_eq!((seen.times("PLANNING"), seen.times("APPLYING")), (0, 0));
}

#[test]
fn a_setting_that_changed_after_the_signature_is_named() {
    let signed = Signed::start("all");
    let stack = signed.stack("changed", false);
    let sign = [
        "sign",
        "--stack",
        "changed",
        "--sign-key",
        &signed.key,
        "--yes",
    ];
    let entry = signed.world.cli().text(&sign);
    let entry = entry.lines().last().expect("an entry").trim().to_owned();
    let change = [
        "stack",
        "set-env",
        "--id",
        "changed",
        "TF_VAR_greeting=other",
    ];
    signed.world.cli().text(&change);
    let run = stack.try_start("deploy", &["--run-metadata", &entry]);
    let seen = run.expect("a run").wait("FAILED");
    assert!(
        seen.reasons().contains("`environment`"),
        "{}",
        seen.reasons()
    );
}

#[test]
fn a_replan_and_a_retry_are_signed_for_where_all_runs_have_to_be() {
    let signed = Signed::start("all");
    let stack = signed.stack("again", false);
    let refused = stack.deploy();
    refused.wait("FAILED");
    let like = signed.sign(&["--run", refused.id()]);
    let run = stack.try_start("retry", &like).expect("a run");
    run.wait("UNCONFIRMED");

    let replan = ["stack", "replan", "--id", "again", "--run", run.id()];
    let address = ["--resources", "terraform_data.it"];
    let rest = signed.sign(&address);
    signed.world.cli().text(&[&replan[..], &rest].concat());
    run.wait_log("PREPARING_REPLAN", "Signed for `plan` by key");
    run.wait("UNCONFIRMED");
    signed.confirm(&run, "again", &signed.sign(&[]));
    assert_eq!(run.wait("FINISHED").times("APPLYING"), 1);
}

#[test]
fn keys_that_can_not_be_used_stop_the_launcher_with_one_line() {
    let world = World::start();
    let file = |name: &str, text: &str| {
        let path = world.dir().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let weak = r#"{"keys":[{"kty":"RSA","kid":"weak","alg":"PS256","n":"sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXboIRROSBigeC5yjU1hGzHHyXss8UDprecbAYxknTcQkhslANGRUZmdTOQ5qTRsLAt6BTYuyvVRdhS8exSZEy_c4gs_7svlJJQ4H9_NxsiIoLwAEk7-Q3UXERGYw_75IDrGA84-lA_-Ct4eTlXHBIY2EaV7t7LjJaynVJCpkv4LKjTTAumiGUIuQhrNhZLuF_RJLqHpM2kgWFLU7-VTdL1VbC2tejvcI2BlMkEpk1BzBZI0KQB0GaDWFLN-aEAw3vRw","e":"AQAB"}]}"#;
    let cases = [
        (
            world.dir().join("none.json").display().to_string(),
            "none.json",
        ),
        (file("text.json", "no JSON"), "text.json"),
        (file("weak.json", weak), "weak"),
        (file("empty.json", r#"{"keys":[]}"#), "empty.json"),
    ];
    for (at, (path, said)) in cases.iter().enumerate() {
        let builder = world.launcher(&format!("bad-{at}"));
        let (error, _) = refuses_to_start(builder.env("GANTRY_RUN_TRUST_JWKS", path));
        assert!(error.contains(said), "`{said}`: {error}");
    }
}
