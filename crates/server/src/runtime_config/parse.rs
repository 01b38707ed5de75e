//! Reading the YAML.
//!
//! Takes a text of anybody's, gives checked settings or one sentence with the place of the mistake. Never: a
//! text longer than its bound, or aliases that unfold beyond theirs.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::settings::{Settings, Unique};

/// The longest text, in bytes.
pub const FILE_LIMIT: usize = 64 * 1024;

/// What a whole text may take after aliases are unfolded, by the worst estimate, in bytes.
const WORST_LIMIT: usize = 64 << 20;

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
