//! Terraform itself fails: in init, in plan, in apply.

use gantry_test_support::World;

use super::CODE;

#[test]
fn a_failing_init_or_plan_changes_nothing() {
    let world = World::start();
    let no_init = world.repo("no-init");
    no_init.commit(&[(
        "main.tf",
        "terraform {\n  required_version = \">= 99.0\"\n}\n",
    )]);
    let no_plan = world.repo("no-plan");
    no_plan.commit(&[("main.tf", &format!("{CODE}\nlocals {{ content = file(\"no-such-file\") }}\noutput \"c\" {{ value = local.content }}"))]);
    let _launcher = world.launcher("a").start();
    let cases = [
        (&no_init, "init", "INITIALIZING", "required_version"),
        (&no_plan, "plan", "PLANNING", "no-such-file"),
    ];
    for (repo, id, state, said) in cases {
        let stack = world
            .stack(&format!("fails-{id}"), repo)
            .autodeploy()
            .create();
        let run = stack.deploy();
        let seen = run.wait("FAILED");
        assert_eq!(
            seen.history.iter().rev().nth(1).map(String::as_str),
            Some(state),
            "{seen:#?}"
        );
        assert!(
            seen.reasons().contains(id),
            "the reason names the phase: {}",
            seen.reasons()
        );
        run.wait_log(state, said);
        assert_eq!(seen.times("APPLYING"), 0);
        // The stack is free again.
        stack.deploy().wait("FAILED");
    }
}

#[test]
fn a_failing_apply_keeps_what_it_had_made() {
    let world = World::start();
    let repo = world.repo("code");
    let failing = r#"
resource "terraform_data" "good" { input = "kept" }
resource "terraform_data" "bad" {
  depends_on = [terraform_data.good]
  provisioner "local-exec" { command = "echo this one fails; exit 3" }
}
output "good" { value = terraform_data.good.output }
"#;
    repo.commit(&[("main.tf", failing)]);
    let stack = world.stack("fails-apply", &repo).autodeploy().create();
    let _launcher = world.launcher("a").start();
    let run = stack.deploy();
    let seen = run.wait("FAILED");
    assert_eq!(seen.times("APPLYING"), 1);
    assert!(seen.reasons().contains("apply"), "{}", seen.reasons());
    run.wait_log("APPLYING", "this one fails");

    // The state holds the good one and knows that the bad one is tainted.
    repo.commit(&[("main.tf", &failing.replace("exit 3", "exit 0"))]);
    let again = stack.deploy();
    let repaired = again.wait("FINISHED");
    assert_eq!(
        repaired.delta,
        Some([1, 0, 1]),
        "only the failed resource is replaced"
    );
    assert_eq!(stack.output("good").as_deref(), Some("\"kept\""));
}
