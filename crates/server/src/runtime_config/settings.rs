//! What a text may say about a stack, and what of it can't be used.
//!
//! Takes what a YAML text holds, gives checked settings. Never: a value that is used without having been looked at, or a
//! control character in an error.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use gantry_protocol::payload::ToolKind;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::parse::RuntimeConfigError;

/// What one stack's settings may hold after aliases are unfolded, in bytes.
const UNFOLDED_LIMIT: usize = 512 * 1024;

/// The longest command, name or path.
const TEXT_LIMIT: usize = 64 * 1024;

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

    pub(super) fn check(&self, place: &'static str) -> Result<(), RuntimeConfigError> {
        let refuse = |key: &str, rule| RuntimeConfigError::Value {
            place,
            key: key.chars().filter(|c| !c.is_control()).take(64).collect(),
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
