//! Requests that the agent's owner blocks on top of the table of routes.
//!
//! Takes the documented YAML file, says which rule matches a request in its normal form. Never: a rule that is read in
//! part, or a file that is not understood to the last key.

use std::collections::BTreeSet;
use std::path::Path;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

/// Longest file, in bytes.
const LIMIT: u64 = 1 << 20;
/// Most rules.
const RULES: usize = 1000;
/// Versions of the file that are understood.
const VERSIONS: [&str; 2] = ["1", "1.0"];

/// Rules that block, in their order.
#[derive(Clone, Debug, Default)]
pub struct Blocklist {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    method: Regex,
    path: Regex,
}

/// Why a file is no blocklist.
#[derive(Debug, thiserror::Error)]
pub enum BlocklistError {
    /// It can't be read.
    #[error("could not read the blocklist `{file}`")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is too long.
    #[error("the blocklist `{0}` is longer than {LIMIT} bytes")]
    TooLong(String),
    /// Not the documented YAML.
    #[error("the blocklist `{file}` is not the YAML that is expected")]
    Yaml {
        /// The file.
        file: String,
        /// Where and why.
        source: yaml_serde::Error,
    },
    /// A version that is not understood.
    #[error("the blocklist `{file}` has the version `{version}`; write `version: \"1.0\"`")]
    Version {
        /// The file.
        file: String,
        /// What it says.
        version: String,
    },
    /// More than [`RULES`] rules.
    #[error("the blocklist `{0}` has more than {RULES} rules")]
    ManyRules(String),
    /// A rule without a name.
    #[error("rule {number} of the blocklist `{file}` has no name")]
    NoName {
        /// The file.
        file: String,
        /// Counted from 1.
        number: usize,
    },
    /// Two rules of one name.
    #[error("the blocklist `{file}` has two rules with the name `{name}`")]
    Twice {
        /// The file.
        file: String,
        /// The name.
        name: String,
    },
    /// An expression that is none.
    #[error(
        "the `{member}` of rule `{name}` of the blocklist `{file}` is not a regular expression"
    )]
    Expression {
        /// The file.
        file: String,
        /// The rule.
        name: String,
        /// `method` or `path`.
        member: &'static str,
        /// Why.
        source: regex::Error,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: Version,
    #[serde(default)]
    rules: Vec<WrittenRule>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Version {
    Text(String),
    Number(f64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    #[serde(default)]
    name: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
}

impl Blocklist {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`BlocklistError`].
    pub fn load(path: &Path) -> Result<Self, BlocklistError> {
        let file = path.display().to_string();
        let read = |source| BlocklistError::Read {
            file: file.clone(),
            source,
        };
        if std::fs::metadata(path).map_err(read)?.len() > LIMIT {
            return Err(BlocklistError::TooLong(file));
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::parse(&text, &file)
    }

    /// Reads the text of `file`.
    ///
    /// # Errors
    /// See [`BlocklistError`].
    pub fn parse(text: &str, file: &str) -> Result<Self, BlocklistError> {
        let file = file.to_owned();
        let written: Written =
            yaml_serde::from_str(text).map_err(|source| BlocklistError::Yaml {
                file: file.clone(),
                source,
            })?;
        let version = match written.version {
            Version::Text(text) => text,
            Version::Number(number) => number.to_string(),
        };
        if !VERSIONS.contains(&version.as_str()) {
            return Err(BlocklistError::Version { file, version });
        }
        if written.rules.len() > RULES {
            return Err(BlocklistError::ManyRules(file));
        }
        let mut names = BTreeSet::new();
        let mut rules = Vec::new();
        for (index, rule) in written.rules.into_iter().enumerate() {
            if rule.name.trim().is_empty() {
                let number = index + 1;
                return Err(BlocklistError::NoName { file, number });
            }
            if !names.insert(rule.name.clone()) {
                let name = rule.name;
                return Err(BlocklistError::Twice { file, name });
            }
            rules.push(rule.compile(&file)?);
        }
        Ok(Self { rules })
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether nothing is blocked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The name of the first rule that matches method and decoded path.
    #[must_use]
    pub fn blocks(&self, method: &str, decoded_path: &str) -> Option<&str> {
        let matches =
            |rule: &&Rule| rule.method.is_match(method) && rule.path.is_match(decoded_path);
        self.rules
            .iter()
            .find(matches)
            .map(|rule| rule.name.as_str())
    }
}

impl WrittenRule {
    fn compile(self, file: &str) -> Result<Rule, BlocklistError> {
        let compiled = |member: &'static str, text: &str| {
            // Hosts take names in any case: a rule must not be passed by writing one differently.
            RegexBuilder::new(text)
                .case_insensitive(true)
                .size_limit(1 << 20)
                .build()
                .map_err(|source| BlocklistError::Expression {
                    file: file.to_owned(),
                    name: self.name.clone(),
                    member,
                    source,
                })
        };
        Ok(Rule {
            method: compiled("method", &self.method)?,
            path: compiled("path", &self.path)?,
            name: self.name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Blocklist, BlocklistError> {
        Blocklist::parse(text, "block.yaml")
    }

    #[test]
    fn the_first_rule_that_matches_blocks() {
        let list = parse(
            "version: \"1.0\"\nrules:\n- name: no deletes\n  method: DELETE\n- name: no secrets\n  path: ^/team/secret(/|\\.git)\n",
        )
        .unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list.blocks("DELETE", "/x"), Some("no deletes"));
        assert_eq!(
            list.blocks("GET", "/Team/SECRET.git/info/refs"),
            Some("no secrets")
        );
        assert_eq!(list.blocks("GET", "/team/secrets"), None);
        let all = parse("version: 1\nrules: [{name: all}]").unwrap();
        assert_eq!(all.blocks("GET", "/"), Some("all"));
        assert!(parse("version: 1.0").unwrap().is_empty());
    }

    #[test]
    fn each_mistake_is_told_by_file_and_rule() {
        for (text, told) in [
            ("rules: []", "is not the YAML that is expected"),
            ("version: 1\nrule: []", "is not the YAML that is expected"),
            (
                "version: 1\nrules: [{name: a, paths: b}]",
                "is not the YAML that is expected",
            ),
            ("version: 2\nrules: []", "has the version `2`"),
            ("version: '3.0'", "has the version `3.0`"),
            (
                "version: 1\nrules: [{path: b}]",
                "rule 1 of the blocklist `block.yaml` has no name",
            ),
            (
                "version: 1\nrules: [{name: a}, {name: a}]",
                "two rules with the name `a`",
            ),
            (
                "version: 1\nrules: [{name: a, path: '('}]",
                "the `path` of rule `a` of the blocklist `block.yaml`",
            ),
            (
                "version: 1\nrules: [{name: a, method: '['}]",
                "the `method` of rule `a`",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.contains(told) && error.contains("block.yaml"),
                "{text}: {error}"
            );
        }
        let missing = Blocklist::load(Path::new("/no/such/file")).unwrap_err();
        assert!(missing.to_string().contains("/no/such/file"));
    }
}
