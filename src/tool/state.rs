//! Which providers a state names: programs that the tools download and start because of the state alone.
//!
//! Takes a state's bytes as a server gave them, gives the providers' addresses. Never: a member passed over that a
//! tool would read. The tools read JSON as Go does: names of members in any case, the same name twice.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The only version of the format that is looked into; older ones name providers elsewhere.
const VERSION: u64 = 4;

/// Longest address that is shown.
const SHOWN: usize = 200;

/// Why it can't be said which providers a state names.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not a state, or not of version 4.
    #[error("the state can't be read as one of version {VERSION}")]
    Unknown(#[source] serde_json::Error),
    /// A provider that is not written as the tools write it.
    #[error("the state names a provider in a way that no tool writes it: `{0}`")]
    Odd(String),
}

/// Sources of the providers that a state names, such as `registry.terraform.io/hashicorp/aws`. An empty state has none,
/// and neither has one that OpenTofu encrypted, which nobody without its key can write.
///
/// # Errors
/// [`StateError`]: it must not be given to a tool.
pub fn providers_of_state(state: &[u8]) -> Result<BTreeSet<String>, StateError> {
    if state.is_empty() {
        return Ok(BTreeSet::new());
    }
    let State(names) = serde_json::from_slice(state).map_err(StateError::Unknown)?;
    let odd = |name: &str| StateError::Odd(name.chars().take(SHOWN).collect());
    let sources = names
        .iter()
        .map(|name| source(name).map(str::to_owned).ok_or_else(|| odd(name)));
    sources.collect()
}

/// The source in `module.a.provider["source"].alias`.
fn source(name: &str) -> Option<&str> {
    let (module, rest) = name.split_once("provider[\"")?;
    let (source, alias) = rest.split_once("\"]")?;
    let plain = |text: &str| !text.contains(['"', '\\', '[']);
    let whole = (module.is_empty() || module.ends_with('.')) && plain(module) && plain(source);
    // OpenTofu writes the key of a provider that stands for several in brackets.
    let ends = alias.is_empty() || alias.starts_with('.') && !alias.contains("provider");
    (whole && ends).then_some(source)
}

/// As Go compares names of members: without case, also of the two letters beyond ASCII that fold to ASCII.
fn folded(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

/// An object whose members are looked at one by one, whatever their order.
trait Object: Default {
    /// Takes a member; `name` is folded.
    fn member<'de, M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error>;
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<T, M::Error> {
        let mut object = T::default();
        while let Some(name) = map.next_key::<String>()? {
            object.member(&folded(&name), &mut map)?;
        }
        Ok(object)
    }
}

/// Names of providers of a whole state.
#[derive(Default)]
struct State(Vec<String>);

/// Those of one resource.
#[derive(Default)]
struct Resource(Vec<String>);

/// Those of one instance: OpenTofu lets each have its own.
#[derive(Default)]
struct Instance(Vec<String>);

/// A text, or something that is not looked at.
#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Text(String),
    Other(IgnoredAny),
}

impl Object for State {
    fn member<'de, M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error> {
        match name {
            "version" if map.next_value::<u64>()? != VERSION => {
                return Err(M::Error::custom("another version"));
            }
            "version" => {}
            "resources" => {
                let resources = map.next_value::<Option<Vec<Resource>>>()?;
                let names = resources.into_iter().flatten().flat_map(|one| one.0);
                self.0.extend(names);
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Object for Resource {
    fn member<'de, M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error> {
        match name {
            "provider" => self.0.push(map.next_value()?),
            "instances" => {
                let instances = map.next_value::<Option<Vec<Instance>>>()?;
                let names = instances.into_iter().flatten().flat_map(|one| one.0);
                self.0.extend(names);
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Object for Instance {
    fn member<'de, M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error> {
        match name.contains("provider") {
            true => match map.next_value()? {
                // The key of a provider that stands for several is no address.
                Loose::Text(text) if text.contains("provider") => self.0.push(text),
                Loose::Text(_) | Loose::Other(IgnoredAny) => {}
            },
            false => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

macro_rules! deserialize_by_members {
    ($($name:ident),*) => {
        $(impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(Members(PhantomData))
            }
        })*
    };
}

deserialize_by_members!(State, Resource, Instance);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AWS: &str = "registry.terraform.io/hashicorp/aws";

    /// A state as the tools write it, with one resource of this provider.
    fn state(provider: &str) -> String {
        let provider = serde_json::to_string(provider).unwrap();
        format!(
            r#"{{"version":4,"terraform_version":"1.11.4","serial":3,"lineage":"l","outputs":{{"o":{{"value":"provider[\"x\"]"}}}},
            "resources":[{{"module":"module.a","mode":"managed","type":"t","name":"n","provider":{provider},
            "instances":[{{"schema_version":0,"attributes":{{"provider":"aws"}},"dependencies":[]}}]}}],"check_results":null}}"#
        )
    }

    fn found(state: &str) -> Vec<String> {
        let found = providers_of_state(state.as_bytes());
        found
            .unwrap_or_else(|error| panic!("{state}: {error}"))
            .into_iter()
            .collect()
    }

    #[test]
    fn what_the_tools_write_is_read() {
        for name in [
            format!("provider[\"{AWS}\"]"),
            format!("provider[\"{AWS}\"].west"),
            format!("module.a.module.b.provider[\"{AWS}\"]"),
            format!("module.a.provider[\"{AWS}\"].west"),
        ] {
            assert_eq!(found(&state(&name)), [AWS], "{name}");
        }
        for none in [
            "",
            r#"{"version":4,"serial":1,"resources":[]}"#,
            r#"{"version":4,"serial":1,"resources":null}"#,
            r#"{"serial":1,"lineage":"l","meta":{"key_provider.pbkdf2.k":"eyJ"},"encrypted_data":"c2Vj","encryption_version":"v0"}"#,
        ] {
            assert_eq!(found(none), Vec::<String>::new(), "{none}");
        }
    }

    #[test]
    fn no_spelling_that_a_tool_takes_hides_one() {
        let good = state(&format!("provider[\"{AWS}\"]"));
        let other = r#"[{"provider":"provider[\"e/v/il\"]"}]"#;
        let all = [AWS, "e/v/il"];
        for (from, to) in [
            ("{\"version", format!("{{\"resources\":{other},\"version")),
            (
                "\"check_results",
                format!("\"resources\":{other},\"check_results"),
            ),
            (
                "\"check_results",
                format!("\"Resources\":{other},\"check_results"),
            ),
            (
                "\"check_results",
                format!("\"RE\u{17f}ourCES\":{other},\"check_results"),
            ),
            (
                "\"check_results",
                format!("\"\\u0072esources\":{other},\"check_results"),
            ),
            (
                "\"mode\"",
                "\"Provider\":\"provider[\\\"e/v/il\\\"]\",\"mode\"".to_owned(),
            ),
            (
                "\"mode\"",
                "\"provider\":\"provider[\\\"e/v/il\\\"]\",\"mode\"".to_owned(),
            ),
            (
                "\"schema_version\"",
                "\"provider\":\"provider[\\\"e/v/il\\\"]\",\"schema_version\"".to_owned(),
            ),
        ] {
            let text = good.replacen(from, &to, 1);
            assert_ne!(text, good);
            let mut found = found(&text);
            found.sort_by_key(|name| name != AWS);
            assert_eq!(found, all, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_no_state_without_providers() {
        for name in [
            "",
            "provider.aws",
            "aws",
            "provider[\"a\"",
            "xprovider[\"a/b/c\"]",
            "provider[\"a/b/c\"]x",
            "provider[\"a/b/c\"].provider[\"d/e/f\"]",
            "module.provider[\"a/b/c\"].provider[\"d/e/f\"]",
            "module[\"x\"].provider[\"d/e/f\"]",
            "provider[\"\\u0061/b/c\"]",
        ] {
            let refused = providers_of_state(state(name).as_bytes());
            assert!(
                matches!(refused, Err(StateError::Odd(_))),
                "{name}: {refused:?}"
            );
        }
        for text in [
            "[]",
            "x",
            r#"{"version":3,"modules":[{"resources":{"a.b":{"provider":"provider.evil"}}}]}"#,
            r#"{"version":4,"Version":3}"#,
            r#"{"version":"4"}"#,
            r#"{"version":4,"resources":{}}"#,
            r#"{"version":4,"resources":["x"]}"#,
            r#"{"version":4,"resources":[{"provider":["x"]}]}"#,
            r#"{"version":4,"resources":[]} {"resources":[]}"#,
        ] {
            let refused = providers_of_state(text.as_bytes());
            assert!(
                matches!(refused, Err(StateError::Unknown(_))),
                "{text}: {refused:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-z\"{}\\[\\]:,4 .]{0,120}") {
            let _ = providers_of_state(text.as_bytes());
            let _ = providers_of_state(state(&text).as_bytes());
        }
    }
}
