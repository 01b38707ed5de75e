//! The one place that reads the environment.
//!
//! Takes names, gives values. Never: a value in an error or a log line.

use std::collections::BTreeMap;

/// Where values come from: the environment, or a map in tests.
pub trait Source {
    /// The value of `name`; `None` when unset. An empty value counts as unset.
    fn get(&self, name: &str) -> Option<String>;

    /// Every set name that begins with `prefix`.
    fn names_with(&self, prefix: &str) -> Vec<String>;
}

/// The process's environment.
#[derive(Debug, Clone, Copy)]
pub struct Environment;

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one reader of the environment"
)]
impl Source for Environment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn names_with(&self, prefix: &str) -> Vec<String> {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        names.filter(|name| name.starts_with(prefix)).collect()
    }
}

impl Source for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name)
            .filter(|value| !value.is_empty())
            .cloned()
    }

    fn names_with(&self, prefix: &str) -> Vec<String> {
        let names = self.keys().filter(|name| name.starts_with(prefix));
        names.cloned().collect()
    }
}
