//! Terraform and OpenTofu: one family with one command line.
//!
//! Takes actions, gives their arguments; takes a plan's JSON, gives counts without holding the plan in
//! memory. Must never happen here: an action that asks on a terminal.

use std::ffi::OsString;
use std::fmt;
use std::io::{BufReader, Read};
use std::path::Path;

use gantry_protocol::plan::{self, MAX_DOCUMENT, PlanError, Redacted};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Action, Aim, Counts, Planned, Tool, Verdict, View};

/// HashiCorp Terraform.
pub const TERRAFORM: Terraform = Terraform {
    title: "Terraform",
    program: "terraform",
    fallback: "/bin/terraform",
};

/// OpenTofu.
pub const OPEN_TOFU: Terraform = Terraform {
    title: "OpenTofu",
    program: "tofu",
    fallback: "/bin/tofu",
};

/// A tool with Terraform's command line.
#[derive(Debug)]
pub struct Terraform {
    title: &'static str,
    program: &'static str,
    fallback: &'static str,
}

const DEFAULTS: [(&str, &str); 5] = [
    // A preview holds the state's lock while it plans, beside the deployments of its stack: they wait for each other.
    ("TF_CLI_ARGS_plan", "-lock-timeout=5m"),
    ("TF_CLI_ARGS_apply", "-lock-timeout=5m"),
    ("TF_IN_AUTOMATION", "1"),
    ("TF_INPUT", "0"),
    ("CHECKPOINT_DISABLE", "1"),
];

impl Tool for Terraform {
    fn title(&self) -> &'static str {
        self.title
    }

    fn program(&self) -> &'static str {
        self.program
    }

    fn fallback(&self) -> &'static Path {
        Path::new(self.fallback)
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &DEFAULTS
    }

    fn verb(&self, action: Action<'_>) -> &'static str {
        match action {
            Action::Init => "init",
            Action::Plan(_) => "plan",
            Action::Apply(_) => "apply",
            Action::Destroy => "apply -destroy",
        }
    }

    fn arguments(&self, action: Action<'_>) -> Vec<OsString> {
        let (verb, flags): (&str, &[&str]) = match action {
            Action::Init => ("init", &[]),
            Action::Plan(_) => ("plan", &["-detailed-exitcode"]),
            Action::Apply(_) => ("apply", &[]),
            Action::Destroy => ("apply", &["-destroy", "-auto-approve"]),
        };
        let common = [verb, "-input=false", "-no-color"];
        let mut arguments: Vec<OsString> = common.iter().chain(flags).map(Into::into).collect();
        match action {
            Action::Plan(Planned { file, aim, targets }) => {
                let mut out = OsString::from("-out=");
                out.push(file);
                arguments.push(out);
                if aim == Aim::Destroy {
                    arguments.push("-destroy".into());
                }
                // One argument each: an address can't become an option of its own.
                let target = |address: &String| OsString::from(format!("-target={address}"));
                arguments.extend(targets.iter().map(target));
            }
            Action::Apply(file) => arguments.push(file.into()),
            Action::Init | Action::Destroy => {}
        }
        arguments
    }

    fn verdict(&self, action: Action<'_>, code: i32) -> Verdict {
        match (action, code) {
            (_, 0) => Verdict::Done,
            (Action::Plan(_), 2) => Verdict::Changes,
            _ => Verdict::Failed,
        }
    }

    fn identify(&self) -> Vec<OsString> {
        vec!["version".into()]
    }

    fn version_in<'a>(&self, answer: &'a str) -> Option<&'a str> {
        let own = |line: &'a str| line.strip_prefix(self.title)?.strip_prefix(" v");
        let version = answer.lines().find_map(own)?;
        version.split_ascii_whitespace().next()
    }

    fn show(&self, plan: &Path, view: View) -> Vec<OsString> {
        // Its complaint ends up in the run's result, so it has no colours in either view.
        let view: &[&str] = match view {
            View::Data => &["-json"],
            View::Text => &[],
        };
        let words = ["show", "-no-color"].iter().chain(view);
        let words = words.map(OsString::from);
        words.chain([plan.into()]).collect()
    }

    fn count(&self, shown: &mut dyn Read) -> Result<Counts, serde_json::Error> {
        let plan: PlanJson = serde_json::from_reader(BufReader::with_capacity(64 << 10, shown))?;
        let resources = plan.resource_changes;
        Ok(Counts {
            outputs: plan.output_changes.0,
            ..resources.0
        })
    }

    fn redact(&self, shown: &[u8]) -> Result<Redacted, PlanError> {
        plan::redact(shown, MAX_DOCUMENT)
    }

    fn distractions(&self) -> Vec<String> {
        [
            "TF_CLI_ARGS",
            "TF_CLI_ARGS_version",
            "TF_CLI_ARGS_show",
            "TF_LOG",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn rescued_state(&self) -> &'static str {
        "errored.tfstate"
    }
}

/// The two members of a plan's JSON that count; everything else is skipped as it streams by.
#[derive(Deserialize)]
struct PlanJson {
    /// Present in every plan: its absence means that this is none.
    #[serde(rename = "format_version")]
    _format_version: IgnoredAny,
    #[serde(default)]
    resource_changes: ResourceCounts,
    #[serde(default)]
    output_changes: OutputsChange,
}

#[derive(Default)]
struct ResourceCounts(Counts);

#[derive(Default)]
struct OutputsChange(bool);

#[derive(Deserialize)]
struct ResourceChange {
    change: Change,
}

#[derive(Deserialize)]
struct Change {
    actions: Vec<String>,
}

impl<'de> Deserialize<'de> for ResourceCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        impl<'de> Visitor<'de> for Count {
            type Value = ResourceCounts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of resource changes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut counts = Counts::default();
                while let Some(resource) = list.next_element::<ResourceChange>()? {
                    for action in resource.change.actions {
                        match action.as_str() {
                            "create" => counts.add += 1,
                            "update" => counts.change += 1,
                            "delete" => counts.delete += 1,
                            // `no-op`, `read`, `forget`: nothing is created, changed or destroyed.
                            _ => {}
                        }
                    }
                }
                Ok(ResourceCounts(counts))
            }
        }
        deserializer.deserialize_seq(Count)
    }
}

impl<'de> Deserialize<'de> for OutputsChange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = OutputsChange;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("output changes by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut any = false;
                while let Some((_, change)) = map.next_entry::<IgnoredAny, Change>()? {
                    any |= change.actions.iter().any(|action| action != "no-op");
                }
                Ok(OutputsChange(any))
            }
        }
        deserializer.deserialize_map(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(action: Action<'_>) -> String {
        let arguments = TERRAFORM.arguments(action);
        let words: Vec<_> = arguments.iter().map(|a| a.to_str().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn no_action_asks() {
        let file = Path::new("/w/plan");
        let targets = ["aws_x.a".to_owned(), "module.b[\"-c d\"]".to_owned()];
        let plan = |aim, targets| Action::Plan(Planned { file, aim, targets });
        let table = [
            (Action::Init, "init -input=false -no-color"),
            (
                plan(Aim::Make, &[]),
                "plan -input=false -no-color -detailed-exitcode -out=/w/plan",
            ),
            (
                plan(Aim::Destroy, &targets),
                "plan -input=false -no-color -detailed-exitcode -out=/w/plan -destroy -target=aws_x.a -target=module.b[\"-c d\"]",
            ),
            (Action::Apply(file), "apply -input=false -no-color /w/plan"),
            (
                Action::Destroy,
                "apply -input=false -no-color -destroy -auto-approve",
            ),
        ];
        for (action, expected) in table {
            assert_eq!(args(action), expected);
        }
    }

    #[test]
    fn exit_codes_are_read_by_action() {
        let file = Path::new("p");
        let plan = Action::Plan(Planned {
            file,
            aim: Aim::Make,
            targets: &[],
        });
        let table = [
            (plan, 0, Verdict::Done),
            (plan, 2, Verdict::Changes),
            (plan, 1, Verdict::Failed),
            (Action::Apply(file), 2, Verdict::Failed),
            (Action::Init, 0, Verdict::Done),
        ];
        for (action, code, expected) in table {
            assert_eq!(
                OPEN_TOFU.verdict(action, code),
                expected,
                "{action:?} {code}"
            );
        }
    }

    #[test]
    fn neither_tool_passes_for_the_other() {
        let (hashicorp, tofu) = (
            "Terraform v1.11.4\non linux_amd64\n",
            "OpenTofu v1.9.0\non linux_amd64\n",
        );
        let table = [
            (hashicorp, Some("1.11.4"), None),
            (tofu, None, Some("1.9.0")),
            ("Terraform v1.12.0-dev\n", Some("1.12.0-dev"), None),
            ("Terraform v\n", None, None),
            ("Terraforming v1.0.0\n", None, None),
            ("", None, None),
        ];
        for (answer, terraform, open_tofu) in table {
            assert_eq!(TERRAFORM.version_in(answer), terraform, "{answer}");
            assert_eq!(OPEN_TOFU.version_in(answer), open_tofu, "{answer}");
        }
    }

    #[test]
    fn plans_are_counted() {
        let count = |json: &str| TERRAFORM.count(&mut json.as_bytes());
        let resource = |actions: &str| {
            format!(
                r#"{{"address":"a","change":{{"actions":[{actions}],"before":{{"x":[1,{{}}]}}}}}}"#
            )
        };
        let list = [
            r#""create""#,
            r#""delete","create""#,
            r#""update""#,
            r#""no-op""#,
            r#""read""#,
            r#""delete""#,
        ]
        .map(resource)
        .join(",");
        let json = format!(
            r#"{{"format_version":"1.2","resource_changes":[{list}],"output_changes":{{"o":{{"actions":["no-op"]}}}}}}"#
        );
        let expected = Counts {
            add: 2,
            change: 1,
            delete: 2,
            outputs: false,
        };
        assert_eq!(count(&json).unwrap(), expected);
        let outputs = r#"{"output_changes":{"a":{"actions":["no-op"]},"o":{"actions":["create"]}},"format_version":"1.2"}"#;
        assert!(count(outputs).unwrap().any());
        assert!(!count(r#"{"format_version":"1.2"}"#).unwrap().any());
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"format_version":"1.2","resource_changes":[{}]}"#,
        ] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }
}
