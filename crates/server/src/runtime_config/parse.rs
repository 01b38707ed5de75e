//! Reading the YAML.
//!
//! Takes a text of anybody's, gives checked settings or one sentence with the place of the mistake. Never: a
//! text longer than its bound, or aliases that unfold beyond theirs.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use gantry_protocol::payload::ToolKind;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The longest text, in bytes.
pub const FILE_LIMIT: usize = 64 * 1024;

/// What one stack's settings may hold after aliases are unfolded, in bytes.
const UNFOLDED_LIMIT: usize = 512 * 1024;

/// What a whole text may take after aliases are unfolded, by the worst estimate, in bytes.
const WORST_LIMIT: usize = 64 << 20;

/// The longest command, name or path.
const TEXT_LIMIT: usize = 64 * 1024;

/// Why settings can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeConfigError {
    /// It is too long.
    #[error("{place} is longer than 64 KiB")]
    TooLong {
        /// The text.
        place: &'static str,
    },
    /// Its aliases repeat each other.
    #[error("{place}: its aliases (`*name`) unfold to too much")]
    Unfolds {
        /// The text.
        place: &'static str,
    },
    /// It is no such document.
    #[error("{place}: {reason}")]
    Malformed {
        /// The text.
        place: &'static str,
        /// What the reader of YAML says, with the place.
        reason: String,
    },
    /// A value is none that may be used.
    #[error("{place}: `{key}`: {rule}")]
    Value {
        /// The text.
        place: &'static str,
        /// The key.
        key: String,
        /// What is expected.
        rule: &'static str,
    },
}

/// Names of the two texts, as errors have them.
const FILE: &str = super::PATH;
const GIVEN: &str = "the given runtime configuration";

/// What a text changes of a run's settings; nothing where a key is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub(super) before_init: Option<Vec<String>>,
    pub(super) after_init: Option<Vec<String>>,
    pub(super) before_plan: Option<Vec<String>>,
    pub(super) after_plan: Option<Vec<String>>,
    pub(super) before_apply: Option<Vec<String>>,
    pub(super) after_apply: Option<Vec<String>>,
    pub(super) before_perform: Option<Vec<String>>,
    pub(super) after_perform: Option<Vec<String>>,
    pub(super) before_destroy: Option<Vec<String>>,
    pub(super) after_destroy: Option<Vec<String>>,
    pub(super) after_run: Option<Vec<String>>,
    pub(super) environment: Option<Unique<String>>,
    pub(super) project_root: Option<String>,
    pub(super) runner_image: Option<String>,
    pub(super) terraform_version: Option<String>,
    pub(super) opentofu_version: Option<String>,
    pub(super) terraform_workflow_tool: Option<Workflow>,
    /// Known and without effect here.
    pub(super) git_sparse_checkout_paths: Option<Vec<String>>,
    /// Known and without effect here.
    #[serde(default, deserialize_with = "present")]
    pub(super) terragrunt: bool,
}

/// Which executable a Terraform stack uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Workflow {
    TerraformFoss,
    OpenTofu,
}

impl Workflow {
    pub(super) fn tool(self) -> ToolKind {
        match self {
            Self::TerraformFoss => ToolKind::Terraform,
            Self::OpenTofu => ToolKind::OpenTofu,
        }
    }
}

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Option<String>,
    stack_defaults: Option<Settings>,
    stacks: Option<Unique<Option<Settings>>>,
    #[serde(rename = "module_version")]
    _module_version: Option<IgnoredAny>,
    #[serde(rename = "test_defaults")]
    _test_defaults: Option<IgnoredAny>,
    #[serde(rename = "tests")]
    _tests: Option<IgnoredAny>,
}

/// A map that refuses a key given twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unique<T>(pub(super) BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Unique<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if pairs.contains_key(&key) {
                        let key: String = key.chars().take(64).collect();
                        return Err(A::Error::custom(format!("`{key}` stands there twice")));
                    }
                    pairs.insert(key, map.next_value()?);
                }
                Ok(Unique(pairs))
            }
        }
        from.deserialize_map(Pairs(PhantomData))
    }
}

/// Whether there is anything: what it is does not matter.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(from)?.is_some())
}

/// What the file of a repository says about one stack: its entry, and for keys that it leaves out the
/// defaults.
///
/// # Errors
/// When anything in the file is wrong, also about another stack.
pub fn parse_file(text: &str, stack: &str) -> Result<Settings, RuntimeConfigError> {
    of_file(text, stack, FILE)
}

/// What is given with a trigger: one stack's settings, or a text like the file.
///
/// # Errors
/// See [`parse_file`].
pub fn parse_given(text: &str, stack: &str) -> Result<Settings, RuntimeConfigError> {
    let is_top = |line: &str| {
        ["version:", "stack_defaults:", "stacks:"]
            .iter()
            .any(|key| line.starts_with(key))
    };
    if text.lines().any(is_top) {
        return of_file(text, stack, GIVEN);
    }
    let settings: Settings = read(text, GIVEN)?;
    settings.check(GIVEN)?;
    Ok(settings)
}

fn of_file(text: &str, stack: &str, place: &'static str) -> Result<Settings, RuntimeConfigError> {
    let file: File = read(text, place)?;
    if !matches!(
        file.version.as_deref(),
        None | Some("1" | "1.0" | "2" | "2.0")
    ) {
        return Err(RuntimeConfigError::Value {
            place,
            key: "version".to_owned(),
            rule: "expected 1 or 2",
        });
    }
    let defaults = file.stack_defaults.unwrap_or_default();
    defaults.check(place)?;
    let mut own = Settings::default();
    for (slug, settings) in file.stacks.into_iter().flat_map(|stacks| stacks.0) {
        let settings = settings.unwrap_or_default();
        settings.check(place)?;
        if slug == stack {
            own = settings;
        }
    }
    Ok(own.or(defaults))
}

fn read<T: Default + for<'de> Deserialize<'de>>(
    text: &str,
    place: &'static str,
) -> Result<T, RuntimeConfigError> {
    if text.len() > FILE_LIMIT {
        return Err(RuntimeConfigError::TooLong { place });
    }
    if worst(text) > WORST_LIMIT {
        return Err(RuntimeConfigError::Unfolds { place });
    }
    let said = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    if !text.lines().any(said) {
        return Ok(T::default());
    }
    let read: Result<Option<T>, _> = yaml_serde::from_str(text);
    let malformed = |error: yaml_serde::Error| {
        let reason = error.to_string();
        let plain = reason.chars().filter(|c| !c.is_control());
        RuntimeConfigError::Malformed {
            place,
            reason: plain.take(700).collect(),
        }
    };
    Ok(read.map_err(malformed)?.unwrap_or_default())
}

/// What a text could unfold to. What is read has three levels that aliases can repeat (stacks, lists,
/// commands), and most is made of a number of aliases when each level has a third of them.
fn worst(text: &str) -> usize {
    let bytes = text.as_bytes();
    let alias = |at: &usize| {
        let before = at.checked_sub(1).map_or(b' ', |at| bytes[at]);
        bytes[*at] == b'*' && (before.is_ascii_whitespace() || b",[{:".contains(&before))
    };
    let aliases = (0..bytes.len()).filter(alias).count();
    let times = aliases / 3 + 1;
    text.len().saturating_mul(times.saturating_pow(3))
}

impl Settings {
    /// These, and `weaker` where they say nothing: lists and maps replace each other as wholes.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            before_init: self.before_init.or(weaker.before_init),
            after_init: self.after_init.or(weaker.after_init),
            before_plan: self.before_plan.or(weaker.before_plan),
            after_plan: self.after_plan.or(weaker.after_plan),
            before_apply: self.before_apply.or(weaker.before_apply),
            after_apply: self.after_apply.or(weaker.after_apply),
            before_perform: self.before_perform.or(weaker.before_perform),
            after_perform: self.after_perform.or(weaker.after_perform),
            before_destroy: self.before_destroy.or(weaker.before_destroy),
            after_destroy: self.after_destroy.or(weaker.after_destroy),
            after_run: self.after_run.or(weaker.after_run),
            environment: self.environment.or(weaker.environment),
            project_root: self.project_root.or(weaker.project_root),
            runner_image: self.runner_image.or(weaker.runner_image),
            terraform_version: self.terraform_version.or(weaker.terraform_version),
            opentofu_version: self.opentofu_version.or(weaker.opentofu_version),
            terraform_workflow_tool: self
                .terraform_workflow_tool
                .or(weaker.terraform_workflow_tool),
            git_sparse_checkout_paths: self
                .git_sparse_checkout_paths
                .or(weaker.git_sparse_checkout_paths),
            terragrunt: self.terragrunt || weaker.terragrunt,
        }
    }

    /// The lists of commands with their keys.
    pub(super) fn hooks(&mut self) -> [(&'static str, &mut Option<Vec<String>>); 11] {
        [
            ("before_init", &mut self.before_init),
            ("after_init", &mut self.after_init),
            ("before_plan", &mut self.before_plan),
            ("after_plan", &mut self.after_plan),
            ("before_apply", &mut self.before_apply),
            ("after_apply", &mut self.after_apply),
            ("before_perform", &mut self.before_perform),
            ("after_perform", &mut self.after_perform),
            ("before_destroy", &mut self.before_destroy),
            ("after_destroy", &mut self.after_destroy),
            ("after_run", &mut self.after_run),
        ]
    }

    /// Whether it says more than where the code is.
    pub fn decides_what_runs(&self) -> bool {
        let place = Self {
            project_root: self.project_root.clone(),
            git_sparse_checkout_paths: self.git_sparse_checkout_paths.clone(),
            terragrunt: self.terragrunt,
            ..Self::default()
        };
        *self != place
    }

    fn check(&self, place: &'static str) -> Result<(), RuntimeConfigError> {
        let refuse = |key: &str, rule| RuntimeConfigError::Value {
            place,
            key: key.chars().take(64).collect(),
            rule,
        };
        let mut unfolded = 0;
        for (key, list) in self.clone().hooks() {
            for command in list.iter().flatten() {
                unfolded += command.len();
                if command.contains('\0') || command.len() > TEXT_LIMIT {
                    return Err(refuse(key, "expected commands of at most 64 KiB"));
                }
            }
        }
        for (name, value) in self.environment.iter().flat_map(|all| &all.0) {
            unfolded += name.len() + value.len();
            if !is_variable_name(name) {
                return Err(refuse(
                    name,
                    "a variable's name has letters, digits and `_`, and begins with no digit",
                ));
            }
            if value.contains(['\n', '\r', '\0']) {
                return Err(refuse(name, "the value of a variable is one line"));
            }
        }
        if unfolded > UNFOLDED_LIMIT {
            return Err(refuse(
                "stacks",
                "one stack's settings are larger than 512 KiB",
            ));
        }
        self.check_texts().map_err(|(key, rule)| refuse(key, rule))
    }

    fn check_texts(&self) -> Result<(), (&'static str, &'static str)> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let odd = |path: &String| {
            let inner = root(path);
            let inside = inner.is_empty() || inner.split('/').all(plain);
            !inside || path.len() > 1024 || path.contains(['\0', '\n', '\\'])
        };
        if self.project_root.as_ref().is_some_and(odd) {
            return Err(("project_root", "expected a path inside the repository"));
        }
        let image =
            |image: &String| image.len() > 512 || !image.bytes().all(|b| b.is_ascii_graphic());
        if self.runner_image.as_ref().is_some_and(image) {
            return Err(("runner_image", "expected the reference of an image"));
        }
        let odd = |version: &String| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b".-+~><=, ".contains(&b);
            version.is_empty() || version.len() > 64 || !version.bytes().all(plain)
        };
        for (key, version) in [
            ("terraform_version", &self.terraform_version),
            ("opentofu_version", &self.opentofu_version),
        ] {
            if version.as_ref().is_some_and(odd) {
                return Err((key, "expected a version such as `1.9.5`"));
            }
        }
        Ok(())
    }
}

/// A project root as settings have it: no slashes around it, empty for the repository's own.
pub(super) fn root(path: &str) -> &str {
    match path.trim_matches('/') {
        "." => "",
        path => path,
    }
}

fn is_variable_name(name: &str) -> bool {
    let starts = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    starts && name.len() <= 256 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHOLE: &str = r"
version: 2
stack_defaults:
  before_init: &hooks [one, two]
  after_run: *hooks
  environment:
    A: default
    N: 010
  terraform_version: 1.9.5
  project_root: /infra/
stacks:
  net:
    environment:
      B: '2'
    runner_image: registry.example/runner:1
    before_init: []
  other:
module_version: 1.2.3
tests: [{name: x}]
";

    #[test]
    fn a_stacks_entry_replaces_the_defaults_key_by_key() {
        let net = parse_file(WHOLE, "net").unwrap();
        assert_eq!(net.before_init.as_deref(), Some(&[][..]));
        assert_eq!(net.after_run.unwrap(), ["one", "two"]);
        let environment: Vec<_> = net.environment.unwrap().0.into_iter().collect();
        assert_eq!(environment, [("B".to_owned(), "2".to_owned())]);
        assert_eq!(
            net.runner_image.as_deref(),
            Some("registry.example/runner:1")
        );
        for slug in ["other", "unknown"] {
            let other = parse_file(WHOLE, slug).unwrap();
            assert_eq!(other.terraform_version.as_deref(), Some("1.9.5"));
            // As it is written, not as a number.
            assert_eq!(other.environment.unwrap().0["N"], "010");
        }
    }

    #[test]
    fn nothing_is_said_by_an_empty_text() {
        for text in [
            "",
            "\n",
            "# only words\n",
            "---\n",
            "stacks:\n",
            "version: '1'\n",
        ] {
            assert_eq!(
                parse_file(text, "net").unwrap(),
                Settings::default(),
                "{text}"
            );
        }
        assert_eq!(parse_given("{}", "net").unwrap(), Settings::default());
    }

    #[test]
    fn what_is_given_may_have_either_shape() {
        let flat = parse_given("project_root: a\n", "net").unwrap();
        let file = parse_given("stacks:\n  net:\n    project_root: a\n", "net").unwrap();
        assert_eq!(flat, file);
        assert_eq!(flat.project_root.as_deref(), Some("a"));
    }

    #[test]
    fn mistakes_are_named() {
        let long = format!("# {}", "x".repeat(FILE_LIMIT));
        for (text, words) in [
            ("stack_default: {}", "unknown field `stack_default`"),
            (
                "stacks: {net: {befor_init: []}}",
                "unknown field `befor_init`",
            ),
            (
                "stacks: {other: {befor_init: []}}",
                "unknown field `befor_init`",
            ),
            ("stacks: {net: {}, net: {}}", "`net` stands there twice"),
            (
                "stack_defaults: {environment: {A: 1, A: 2}}",
                "`A` stands there twice",
            ),
            (
                "stack_defaults: {project_root: a, project_root: b}",
                "duplicate",
            ),
            ("stack_defaults: {environment: {'A B': 1}}", "`A B`"),
            ("stack_defaults: {environment: {A: \"x\\ny\"}}", "one line"),
            ("stack_defaults: {environment: {A: [1]}}", "invalid type"),
            ("stack_defaults: {before_init: one}", "invalid type"),
            (
                "stack_defaults: {project_root: ../x}",
                "inside the repository",
            ),
            (
                "stack_defaults: {runner_image: 'a b'}",
                "reference of an image",
            ),
            (
                "stack_defaults: {terraform_version: '$(id)'}",
                "such as `1.9.5`",
            ),
            (
                "stack_defaults: {terraform_workflow_tool: CUSTOM}",
                "unknown variant `CUSTOM`",
            ),
            ("version: 3", "expected 1 or 2"),
            ("stacks: {", "did not find expected node content"),
            (
                "--- \nversion: 1\n---\nversion: 1\n",
                "more than one document",
            ),
            ("stack_defaults: *nobody", "unknown anchor"),
            (&long, "longer than 64 KiB"),
        ] {
            let refused = parse_file(text, "net").unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
            assert!(refused.starts_with(".spacelift/config.yml"), "{refused}");
        }
    }

    #[test]
    fn aliases_do_not_unfold_without_a_bound() {
        let command = "x".repeat(30_000);
        let list = format!("stack_defaults:\n  before_init: &l\n    - &c {command}\n");
        let wide = format!("{list}{}", "    - *c\n".repeat(20));
        let refused = parse_file(&wide, "net").unwrap_err().to_string();
        assert!(refused.contains("larger than 512 KiB"), "{refused}");
        let wider = format!("{list}{}", "    - *c\n".repeat(2000));
        let refused = parse_file(&wider, "net").unwrap_err().to_string();
        assert!(refused.contains("unfold to too much"), "{refused}");
        let few = format!("{list}  after_init: *l\n  before_plan: *l\n");
        assert!(parse_file(&few, "net").is_ok());
        let deep = format!("tests: {}", "[".repeat(30_000));
        assert!(parse_file(&deep, "net").is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(
            text in "(version|stacks|stack_defaults|net|environment|a|b|: |\n|  |- |\\[|\\]|\\{|\\}|&x |\\*x|\"|'|!!str |#|,|\\PC){0,60}",
        ) {
            let _ = parse_file(&text, "net");
            let _ = parse_given(&text, "net");
        }
    }
}
