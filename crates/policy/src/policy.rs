//! A policy's text, read and checked.
//!
//! Takes text, gives a [`Policy`] or the first thing that is wrong, by line. Never: an evaluation, I/O, a line of the
//! text in an error.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use regorus::{Engine, PolicyLengthConfig};
use serde::{Deserialize, Serialize};

use crate::check::{Finding, Findings, look};
use crate::depth::too_deep;
use crate::dialect::{Dialect, dialect_of};
use crate::engine;
use crate::kind::{PACKAGE, PolicyKind};
use crate::limits::MAX_POLICY;
use crate::said::Said;

/// Constants shorter than this stay in errors: they would take ordinary words with them, and make poor secrets.
const MIN_CONSTANT: usize = 8;

/// A policy that compiles. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Policy {
    kind: PolicyKind,
    name: Arc<str>,
    text: Arc<str>,
    dialect: Dialect,
    findings: Arc<Findings>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a policy's text. No text here holds a line of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompileError {
    /// Too much text.
    #[error("policy `{policy}` has {bytes} bytes or more; at most {MAX_POLICY} are taken")]
    TooLong {
        /// The policy's name.
        policy: String,
        /// Its size, as far as it was read.
        bytes: usize,
    },
    /// It can't be read.
    #[error("line {line} of policy `{policy}`, read as Rego {dialect}: {what}")]
    Syntax {
        /// The policy's name.
        policy: String,
        /// What its keywords say that it is.
        dialect: Dialect,
        /// Line, from 1.
        line: u32,
        /// What is wrong.
        what: String,
    },
    /// Another package.
    #[error("policy `{policy}` is in package `{found}`; write `package {PACKAGE}`")]
    Package {
        /// The policy's name.
        policy: String,
        /// The package that it is in.
        found: String,
    },
    /// None of the rules that are read.
    #[error("policy `{policy}` decides nothing: it has none of the rules {expected}")]
    NoRule {
        /// The policy's name.
        policy: String,
        /// Their names.
        expected: String,
    },
    /// It can be read and is wrong.
    #[error("line {line} of policy `{policy}`: {what}")]
    Invalid {
        /// The policy's name.
        policy: String,
        /// Line, from 1.
        line: u32,
        /// What, and what to do.
        what: String,
    },
    /// The same where no line is known.
    #[error("policy `{policy}`: {what}")]
    InvalidSomewhere {
        /// The policy's name.
        policy: String,
        /// What, and what to do.
        what: String,
    },
}

impl Policy {
    /// Reads and checks `text`, in this very process. `name` is for people, such as the file's name.
    ///
    /// For texts of whoever owns the process: one that means harm can take the engine much time
    /// ([`crate::Sandbox::compile`] bounds it).
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn compile(kind: PolicyKind, name: &str, text: &str) -> Result<Self, CompileError> {
        // Some editors begin a file of UTF-8 with this mark, which is no part of its text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > MAX_POLICY {
            return Err(CompileError::TooLong {
                policy: name.to_owned(),
                bytes: text.len(),
            });
        }
        if let Some(line) = too_deep(text) {
            return Err(CompileError::Invalid {
                policy: name.to_owned(),
                line,
                what: "this goes too deep; give its parts names".to_owned(),
            });
        }
        let (mut engine, dialect) = read(name, text)?;
        in_package(&engine, name)?;
        let rules = declared(&engine, kind, name)?;
        let findings = look(&mut engine, kind).map_err(|Finding { line, what }| {
            let policy = name.to_owned();
            CompileError::Invalid { policy, line, what }
        })?;
        let policy = Self {
            kind,
            name: name.into(),
            text: text.into(),
            dialect,
            findings: Arc::new(Findings { rules, ..findings }),
        };
        let prepared = engine::prepare(&policy, None).map(drop);
        prepared.map_err(|said| policy.invalid(said))?;
        Ok(policy)
    }

    fn invalid(&self, said: Said) -> CompileError {
        let Said { line, what } = said.without_constants(self);
        let policy = self.name.to_string();
        match line {
            0 => CompileError::InvalidSomewhere { policy, what },
            line => CompileError::Invalid { policy, line, what },
        }
    }

    /// What it decides.
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// Its name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text. It may hold secrets.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Which Rego it is written in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether it has this rule.
    pub fn has_rule(&self, name: &str) -> bool {
        self.findings.rules.contains(&name)
    }

    /// Whether it calls `exec`.
    pub fn calls_exec(&self) -> bool {
        self.findings
            .calls
            .iter()
            .any(|call| call.function == "exec")
    }

    pub(crate) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// String constants that no message may show, longest first.
    pub(crate) fn constants(&self) -> impl Iterator<Item = &str> {
        let constants = self.findings.constants.iter().map(String::as_str);
        constants.filter(|constant| constant.len() >= MIN_CONSTANT)
    }
}

/// The text is bounded as a whole; the engine's own limit on the length of lines refuses ordinary certificates.
const LENGTHS: PolicyLengthConfig = PolicyLengthConfig {
    max_col: NonZeroU32::MAX,
    max_file_bytes: NonZeroUsize::MAX,
    max_lines: NonZeroUsize::MAX,
};

/// An engine without limits on the shape of a text.
pub(crate) fn plain_engine(dialect: Dialect) -> Engine {
    let mut engine = Engine::new();
    engine.set_policy_length_config(LENGTHS);
    engine.set_rego_v0(dialect == Dialect::V0);
    engine
}

fn read(name: &str, text: &str) -> Result<(Engine, Dialect), CompileError> {
    let dialect = dialect_of(text);
    let mut engine = plain_engine(dialect);
    match engine.add_policy(engine::FILE.to_owned(), text.to_owned()) {
        Ok(_) => Ok((engine, dialect)),
        Err(error) => {
            let Said { line, mut what } = Said::read(&error, engine::FILE);
            if what.contains("Missing package declaration") {
                what = format!("it has to begin with `package {PACKAGE}`");
            }
            Err(CompileError::Syntax {
                policy: name.to_owned(),
                dialect,
                line,
                what,
            })
        }
    }
}

fn in_package(engine: &Engine, name: &str) -> Result<(), CompileError> {
    let packages = engine.get_policy_package_components().unwrap_or_default();
    let found = packages.first().map(|package| package.components.join("."));
    match found {
        Some(found) if found == PACKAGE => Ok(()),
        found => Err(CompileError::Package {
            policy: name.to_owned(),
            found: found.unwrap_or_default(),
        }),
    }
}

fn declared(
    engine: &Engine,
    kind: PolicyKind,
    name: &str,
) -> Result<Vec<&'static str>, CompileError> {
    let names = kind.rules().iter().map(|rule| rule.name);
    let declared = |rule: &&str| {
        let found = engine.has_declared_rule_rooted_at(engine::FILE, rule);
        found.unwrap_or(false)
    };
    let rules: Vec<_> = names.clone().filter(declared).collect();
    if !rules.is_empty() {
        return Ok(rules);
    }
    let names = names.map(|name| format!("`{name}`"));
    Err(CompileError::NoRule {
        policy: name.to_owned(),
        expected: names.collect::<Vec<_>>().join(", "),
    })
}
