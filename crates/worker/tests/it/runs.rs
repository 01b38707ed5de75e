//! Each type of run against the real Terraform.
//!
//! Takes an order, checks phases, plan, end and what happened to the world. Never: a provider download.

use gantry_protocol::RunType;
use gantry_protocol::payload::ToolKind;
use gantry_protocol::plan::{HIDDEN, PLAN_DATA, PlanData};
use gantry_protocol::socket::{FailureKind, Phase, PhaseExit, WorkerEnd};

use crate::launcher::Reply;
use crate::world::{CODE, World};

fn failure(end: &WorkerEnd) -> FailureKind {
    match end {
        WorkerEnd::Failed { kind, .. } => *kind,
        end => panic!("{end:?} is no failure"),
    }
}

#[test]
fn a_proposed_run_plans_and_changes_nothing() {
    let world = World::new(RunType::Proposed).code(CODE);
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    assert_eq!(ended.phases(), [Phase::Init, Phase::Plan]);
    let plan = ended.plan();
    assert!(plan.has_changes && plan.plan.is_some() && plan.rendered.is_some());
    assert_eq!((plan.add, plan.change, plan.delete), (1, 0, 0));
    assert!(
        ended
            .logs
            .contains("Plan: 1 to add, 0 to change, 0 to destroy.")
    );
    assert!(!world.source("terraform.tfstate").exists());
    assert_eq!(ended.launcher.get(|seen| seen.asked(Phase::Apply)), 0);
}

#[test]
fn a_plan_is_left_as_data_without_what_it_marks() {
    let code = r#"
variable "open" { default = "open-default" }
variable "key" {
  type      = string
  sensitive = true
}
resource "terraform_data" "it" {
  input            = { open = var.open, key = "x-${var.key}" }
  triggers_replace = [var.key]
}
output "said" { value = var.open }
output "hidden" {
  value     = { (var.open) = var.key }
  sensitive = true
}
"#;
    let world = World::new(RunType::Proposed).code(code);
    let world = world.variable("TF_VAR_key", "hunter2-hunter2");
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    let text = std::fs::read_to_string(world.at("spool").join(PLAN_DATA)).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let PlanData::Document(plan) = serde_json::from_str(&text).unwrap() else {
        panic!("a document: {text}");
    };
    let change = &plan["resource_changes"][0]["change"];
    assert_eq!(change["actions"][0], "create");
    assert_eq!(change["after"]["input"]["open"], "open-default");
    assert_eq!(change["after"]["input"]["key"], HIDDEN);
    assert_eq!(plan["variables"]["open"]["value"], "open-default");
    assert_eq!(plan["variables"]["key"]["value"], HIDDEN);
    assert_eq!(plan["output_changes"]["said"]["after"], "open-default");
    assert_eq!(plan["output_changes"]["hidden"]["after"], HIDDEN);
}

#[test]
fn a_tracked_run_parks_and_a_second_lease_applies() {
    let mut world = World::new(RunType::Tracked).code(CODE);
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Parked, "{}", ended.logs);
    let planned = ended.plan().plan.unwrap();
    let file = std::fs::read(world.at("workspace/.gantry/plan.tfplan")).unwrap();
    assert_eq!(gantry_protocol::Digest::of(&file), planned);

    world.second_lease();
    let world = world.reply(Phase::Apply, Reply::Grant);
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    assert_eq!(ended.phases(), [Phase::Apply]);
    assert_eq!(ended.launcher.get(|seen| seen.asked(Phase::Apply)), 1);
    assert!(ended.logs.contains(r#"said = "hello""#), "{}", ended.logs);
    assert!(world.source("terraform.tfstate").exists());
}

#[test]
fn an_unchanged_plan_succeeds_and_an_output_alone_is_a_change() {
    let mut world = World::new(RunType::Tracked).code(CODE);
    world.order.autodeploy = true;
    let world = world.reply(Phase::Apply, Reply::Grant);
    assert_eq!(world.run().end(), &WorkerEnd::Succeeded);

    let again = || {
        std::fs::remove_dir_all(world.at("spool")).unwrap();
        std::fs::create_dir(world.at("spool")).unwrap();
        world.run()
    };
    let ended = again();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded);
    assert_eq!(ended.phases(), [Phase::Init, Phase::Plan]);
    assert!(!ended.plan().has_changes);

    std::fs::write(world.source("more.tf"), "output \"more\" { value = 1 }").unwrap();
    let ended = again();
    let plan = ended.plan();
    assert_eq!(
        (plan.has_changes, plan.add, plan.change, plan.delete),
        (true, 0, 0, 0)
    );
    assert_eq!(ended.phases(), [Phase::Init, Phase::Plan, Phase::Apply]);
}

#[test]
fn a_replacement_counts_twice() {
    let code = "variable \"v\" {}\nresource \"terraform_data\" \"it\" { triggers_replace = var.v }";
    let mut world = World::new(RunType::Tracked)
        .code(code)
        .variable("TF_VAR_v", "1");
    world.order.autodeploy = true;
    let world = world.reply(Phase::Apply, Reply::Grant);
    assert_eq!(world.run().end(), &WorkerEnd::Succeeded);
    std::fs::remove_dir_all(world.at("spool")).unwrap();
    std::fs::create_dir(world.at("spool")).unwrap();
    let world = world.variable("TF_VAR_v", "2");
    let ended = world.run();
    let plan = ended.plan();
    assert_eq!(
        (plan.add, plan.change, plan.delete),
        (1, 0, 1),
        "{}",
        ended.logs
    );
}

#[test]
fn autodeploy_obeys_the_answer() {
    let mut world = World::new(RunType::Tracked).code(CODE);
    world.order.autodeploy = true;
    let world = world.reply(Phase::Apply, Reply::Park);
    assert_eq!(world.run().end(), &WorkerEnd::Parked);

    let mut world = World::new(RunType::Tracked).code(CODE);
    world.order.autodeploy = true;
    let world = world.reply(Phase::Apply, Reply::Deny("the policy says no"));
    let ended = world.run();
    assert_eq!(failure(ended.end()), FailureKind::Denied);
    assert_eq!(ended.message(), "apply was denied: the policy says no");
    assert!(
        ended
            .logs
            .ends_with("[gantry] apply was denied: the policy says no\n\u{c}\u{c}\u{c}\u{c}\u{c}")
    );
    assert!(!world.source("terraform.tfstate").exists());
}

#[test]
fn a_plan_that_was_exchanged_is_not_applied() {
    let world = World::new(RunType::Tracked).code(CODE);
    let mut world = world.hooks(|hooks| {
        hooks.after_plan = vec!["echo more >> ../.gantry/plan.tfplan".into()];
    });
    world.order.autodeploy = true;
    let world = world.reply(Phase::Apply, Reply::Grant);
    let ended = world.run();
    assert_eq!(failure(ended.end()), FailureKind::Workspace);
    assert!(
        ended.message().contains("was changed after the plan"),
        "{}",
        ended.message()
    );
    assert!(!world.source("terraform.tfstate").exists());
}

#[test]
fn a_task_runs_with_its_grant_only() {
    let mut world = World::new(RunType::Task).variable("NAME", "world");
    world.order.skip_init = true;
    world.order.command = Some("echo hello $NAME in $(basename \"$PWD\"); exit 4".into());
    let world = world.reply(Phase::Perform, Reply::Grant);
    let ended = world.run();
    assert_eq!(failure(ended.end()), FailureKind::Tool);
    assert_eq!(ended.message(), "`task` ended with exit code 4");
    assert_eq!(ended.phases(), [Phase::Perform]);
    assert!(
        ended.logs.starts_with("hello world in source\n\u{c}"),
        "{}",
        ended.logs
    );

    let mut world = World::new(RunType::Task).code(CODE);
    world.order.command = Some("touch ran".into());
    let world = world.reply(Phase::Perform, Reply::Deny("no tasks"));
    let ended = world.run();
    assert_eq!(failure(ended.end()), FailureKind::Denied);
    assert_eq!(ended.phases(), [Phase::Init]);
    assert!(!world.source("ran").exists());
}

#[test]
fn a_test_applies_and_destroys() {
    let world = World::new(RunType::Testing).code(CODE);
    let world = world
        .reply(Phase::Apply, Reply::Grant)
        .reply(Phase::Destroy, Reply::Grant);
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    assert_eq!(
        ended.phases(),
        [Phase::Init, Phase::Plan, Phase::Apply, Phase::Destroy]
    );
    assert!(
        ended
            .logs
            .contains("Apply complete! Resources: 0 added, 0 changed, 1 destroyed.")
    );
}

#[test]
fn a_destroy_plans_first_and_changes_the_world_only_with_a_grant() {
    let mut made = World::new(RunType::Tracked)
        .code(CODE)
        .reply(Phase::Apply, Reply::Grant);
    made.order.autodeploy = true;
    assert_eq!(made.run().end(), &WorkerEnd::Succeeded);
    let state = std::fs::read(made.source("terraform.tfstate")).unwrap();

    let nothing = World::new(RunType::Destroy).code(CODE);
    let ended = nothing.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    assert_eq!(ended.phases(), [Phase::Init, Phase::Plan]);

    for (autodeploy, end) in [(false, WorkerEnd::Parked), (true, WorkerEnd::Succeeded)] {
        let mut world = World::new(RunType::Destroy)
            .code(CODE)
            .reply(Phase::Destroy, Reply::Grant);
        world.order.autodeploy = autodeploy;
        std::fs::write(world.source("terraform.tfstate"), &state).unwrap();
        let ended = world.run();
        assert_eq!(ended.end(), &end, "{}", ended.logs);
        assert_eq!(ended.plan().delete, 1);
        let left = std::fs::read_to_string(world.source("terraform.tfstate")).unwrap();
        assert_eq!(left.contains(r#""resources": []"#), autodeploy, "{left}");
    }
}

#[test]
fn a_test_destroys_what_a_failed_apply_left() {
    let code = "resource \"terraform_data\" \"a\" {}\nresource \"terraform_data\" \"b\" {
        depends_on = [terraform_data.a]\n provisioner \"local-exec\" { command = \"exit 9\" }\n}";
    let world = World::new(RunType::Testing).code(code);
    let world = world
        .reply(Phase::Apply, Reply::Grant)
        .reply(Phase::Destroy, Reply::Grant);
    let ended = world.run();
    assert_eq!(ended.message(), "`terraform apply` ended with exit code 1");
    assert_eq!(
        ended.phases(),
        [Phase::Init, Phase::Plan, Phase::Apply, Phase::Destroy]
    );
    let state = std::fs::read_to_string(world.source("terraform.tfstate")).unwrap();
    assert!(state.contains(r#""resources": []"#), "{state}");
}

#[test]
fn a_failing_plan_speaks_for_itself() {
    let world = World::new(RunType::Tracked).code("output \"x\" { value = file(\"missing\") }");
    let ended = world.run();
    assert_eq!(failure(ended.end()), FailureKind::Tool);
    assert_eq!(ended.message(), "`terraform plan` ended with exit code 1");
    let exit = PhaseExit::Code {
        what: "terraform plan".into(),
        code: 1,
    };
    assert_eq!(ended.exits(), [&PhaseExit::Ok, &exit]);
    let own = ended.logs.lines().filter(|line| line.contains("[gantry]"));
    let own: Vec<_> = own.collect();
    assert!(
        own.len() == 1 && own[0].contains(" from the image ("),
        "{own:?}"
    );
}

#[test]
fn a_missing_tool_is_one_clear_error() {
    let world = World::new(RunType::Tracked).code(CODE).path("/nowhere");
    let ended = world.run();
    assert_eq!(failure(ended.end()), FailureKind::ToolMissing);
    for part in [
        "no Terraform",
        "`terraform` is not in its PATH (`/nowhere`)",
    ] {
        assert!(ended.message().contains(part), "{}", ended.message());
    }
    assert!(
        ended
            .logs
            .starts_with("[gantry] `terraform init` did not start: the image has no")
    );
    let mut world = World::new(RunType::Tracked).code(CODE);
    world.order.tool = ToolKind::OpenTofu;
    let ended = world.path("/nowhere").run();
    assert!(
        ended.message().contains("no OpenTofu"),
        "{}",
        ended.message()
    );
}

#[test]
fn another_tool_under_the_name_is_refused() {
    let script = "[ $1 = version ] && echo OpenTofu v1.9.0 || echo \"ran $1\"";
    let ended = World::with_tool(RunType::Tracked, script).code(CODE).run();
    assert_eq!(failure(ended.end()), FailureKind::ToolMissing);
    assert!(
        ended
            .message()
            .contains("is not Terraform: asked for its version it says `OpenTofu v1.9.0`")
    );
    assert!(!ended.logs.contains("ran init"));
}

#[test]
fn a_missing_project_root_is_named() {
    let mut world = World::new(RunType::Tracked).code(CODE);
    world.order.project_root = "modules/net".into();
    let ended = world.run();
    assert_eq!(failure(ended.end()), FailureKind::Workspace);
    assert!(
        ended.message().contains("source/modules/net"),
        "{}",
        ended.message()
    );
    world.order.project_root = "../..".into();
    std::fs::remove_file(world.at("spool/events")).unwrap();
    assert!(world.run().message().contains("leaves the checkout"));
}
