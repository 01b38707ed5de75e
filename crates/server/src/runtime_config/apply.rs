//! Changing a run's settings by what its repository and its trigger say.
//!
//! Takes the stack's settings and both texts' settings, gives the run's, and words about what was left out.
//! Never: an image, a command, a variable or a tool from a branch that the stack does not trust.

use std::fmt;

use gantry_protocol::payload::ToolKind;

use super::BRANCHES_LABEL;
use super::settings::{Settings, root};
use crate::domain::stack::Vendor;
use crate::store::runs::RunSettings;

/// How far a repository's file is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The commit is on the stack's branch, or the stack takes settings from every branch.
    Whole,
    /// The commit may be anybody's: the file says where the code is, and nothing else.
    PlaceOnly,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The run's settings.
    pub settings: RunSettings,
    /// For people: what was left out, and why.
    pub note: Option<String>,
}

/// Keys that have no effect, and why.
struct LeftOut(Vec<&'static str>, &'static str);

/// The settings of a run of a stack (of this vendor, with these settings), changed by the file at its commit,
/// then by what was given with its trigger.
pub fn apply(
    mut settings: RunSettings,
    vendor: &Vendor,
    (mut file, trust): (Settings, Trust),
    given: Settings,
) -> Applied {
    let mut notes = Vec::new();
    if trust == Trust::PlaceOnly {
        let keys = withhold(&mut file);
        notes.push(LeftOut(
            keys,
            "the commit is not on the stack's branch (the label `feature:branch_runtime_config` allows it)",
        ));
    }
    let mut all = given.or(file);
    notes.push(LeftOut(
        without_effect(&all),
        "this server does not do that yet",
    ));
    notes.retain(|LeftOut(keys, _)| !keys.is_empty());
    set_hooks(&mut settings, &mut all);
    if let Some(path) = &all.project_root {
        root(path).clone_into(&mut settings.project_root);
    }
    if let Some(image) = all.runner_image {
        settings.runner_image = Some(image).filter(|image| !image.is_empty());
    }
    if let Vendor::Terraform { .. } = vendor
        && let Some(workflow) = all.terraform_workflow_tool
    {
        settings.tool.kind = workflow.tool();
    }
    let version = match (vendor, settings.tool.kind) {
        (Vendor::OpenTofu { .. }, _) => all.opentofu_version,
        (Vendor::Terraform { .. }, ToolKind::OpenTofu) => {
            all.opentofu_version.or(all.terraform_version)
        }
        (Vendor::Terraform { .. }, ToolKind::Terraform) => all.terraform_version,
    };
    if version.is_some() {
        settings.tool.version = version;
    }
    settings.environment = all.environment.map(|all| all.0).unwrap_or_default();
    let words: Vec<String> = notes.iter().map(ToString::to_string).collect();
    Applied {
        settings,
        note: Some(words.join("\n")).filter(|note| !note.is_empty()),
    }
}

fn set_hooks(settings: &mut RunSettings, all: &mut Settings) {
    let hooks = &mut settings.hooks;
    for (mine, theirs) in [
        (&mut hooks.before_init, &mut all.before_init),
        (&mut hooks.after_init, &mut all.after_init),
        (&mut hooks.before_plan, &mut all.before_plan),
        (&mut hooks.after_plan, &mut all.after_plan),
        (&mut hooks.before_apply, &mut all.before_apply),
        (&mut hooks.after_apply, &mut all.after_apply),
        (&mut hooks.before_perform, &mut all.before_perform),
        (&mut hooks.after_perform, &mut all.after_perform),
        (&mut hooks.before_destroy, &mut all.before_destroy),
        (&mut hooks.after_destroy, &mut all.after_destroy),
        (&mut hooks.after_run, &mut all.after_run),
    ] {
        if let Some(list) = theirs.take() {
            *mine = list;
        }
    }
}

/// Takes everything out that decides what is executed; the keys of what was there.
fn withhold(file: &mut Settings) -> Vec<&'static str> {
    let mut keys = Vec::new();
    for (key, list) in file.hooks() {
        if list.take().is_some() {
            keys.push(key);
        }
    }
    let mut gone = |key, was| {
        if was {
            keys.push(key);
        }
    };
    gone("environment", file.environment.take().is_some());
    gone("runner_image", file.runner_image.take().is_some());
    gone("terraform_version", file.terraform_version.take().is_some());
    gone("opentofu_version", file.opentofu_version.take().is_some());
    let workflow = file.terraform_workflow_tool.take();
    gone("terraform_workflow_tool", workflow.is_some());
    keys
}

fn without_effect(all: &Settings) -> Vec<&'static str> {
    let mut keys = Vec::new();
    if all.git_sparse_checkout_paths.is_some() {
        keys.push("git_sparse_checkout_paths");
    }
    if all.terragrunt {
        keys.push("terragrunt");
    }
    keys
}

impl Trust {
    /// How far a stack with these labels follows a commit that is on its branch, or is not.
    pub fn of(labels: &[String], on_branch: bool) -> Self {
        match on_branch || labels.iter().any(|label| label == BRANCHES_LABEL) {
            true => Self::Whole,
            false => Self::PlaceOnly,
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.0.iter().map(|key| format!("`{key}`")).collect();
        write!(
            f,
            "runtime configuration: {} left out: {}",
            keys.join(", "),
            self.1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::{parse_file, parse_given};
    use super::*;
    use gantry_protocol::payload::{Hooks, Tool};

    fn settings() -> RunSettings {
        RunSettings {
            space: "root".to_owned(),
            labels: Vec::new(),
            url: "https://git.example/acme/net.git".to_owned(),
            repository: "acme/net".to_owned(),
            stack_branch: "main".to_owned(),
            project_root: "old".to_owned(),
            runner_image: Some("registry.example/old:1".to_owned()),
            tool: Tool {
                kind: ToolKind::Terraform,
                version: Some("1.8.0".to_owned()),
            },
            hooks: Hooks {
                before_init: vec!["stack".to_owned()],
                after_plan: vec!["kept".to_owned()],
                ..Hooks::default()
            },
            managed_state: true,
            archive: None,
            environment: Default::default(),
        }
    }

    fn vendor() -> Vendor {
        Vendor::Terraform {
            version: None,
            workflow: ToolKind::Terraform,
        }
    }

    const ALL: &str = "stack_defaults:
  before_init: [file]
  environment: {A: file, B: file}
  project_root: new
  runner_image: registry.example/new:2
  terraform_version: 1.9.0
  terraform_workflow_tool: OPEN_TOFU
";

    #[test]
    fn the_file_beats_the_stack_and_what_is_given_beats_the_file() {
        let file = parse_file(ALL, "net").unwrap();
        let given = parse_given("before_init: [given]\nenvironment: {A: given}\n", "net").unwrap();
        let applied = apply(settings(), &vendor(), (file, Trust::Whole), given);
        let run = applied.settings;
        assert_eq!(applied.note, None);
        assert_eq!(run.hooks.before_init, ["given"]);
        assert_eq!(run.hooks.after_plan, ["kept"]);
        assert_eq!(run.project_root, "new");
        assert_eq!(run.runner_image.as_deref(), Some("registry.example/new:2"));
        assert_eq!(
            run.tool,
            Tool {
                kind: ToolKind::OpenTofu,
                version: Some("1.9.0".to_owned())
            }
        );
        assert_eq!(run.environment["A"], "given");
        assert_eq!(run.environment.get("B"), None);
    }

    #[test]
    fn another_branch_says_where_its_code_is_and_nothing_else() {
        let file = parse_file(ALL, "net").unwrap();
        let applied = apply(
            settings(),
            &vendor(),
            (file, Trust::PlaceOnly),
            Settings::default(),
        );
        let expected = RunSettings {
            project_root: "new".to_owned(),
            ..settings()
        };
        assert_eq!(applied.settings, expected);
        let note = applied.note.unwrap();
        for key in [
            "before_init",
            "environment",
            "runner_image",
            "terraform_version",
            "terraform_workflow_tool",
        ] {
            assert!(note.contains(&format!("`{key}`")), "{note}");
        }
        assert!(!note.contains("project_root"), "{note}");
    }

    #[test]
    fn trust_is_for_the_branch_or_by_label() {
        let label = vec![BRANCHES_LABEL.to_owned()];
        for (labels, on_branch, expected) in [
            (&[][..], true, Trust::Whole),
            (&[], false, Trust::PlaceOnly),
            (&label, false, Trust::Whole),
        ] {
            assert_eq!(Trust::of(labels, on_branch), expected);
        }
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let file = parse_file(
            "stack_defaults: {git_sparse_checkout_paths: [a], terragrunt: {use_run_all: true}, opentofu_version: 1.8.1}",
            "net",
        );
        let applied = apply(
            settings(),
            &vendor(),
            (file.unwrap(), Trust::Whole),
            Settings::default(),
        );
        assert_eq!(applied.settings, settings());
        let note = applied.note.unwrap();
        assert!(
            note.contains("`git_sparse_checkout_paths`, `terragrunt`"),
            "{note}"
        );
    }
}
