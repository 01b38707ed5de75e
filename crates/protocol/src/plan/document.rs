//! Reads a plan's JSON member by member and writes what may be seen of it.
//!
//! Takes a reader, gives bytes of JSON. Lists of changes are read one change at a time, so that at no time more than
//! one member and what is given out are in memory. Never: a member twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::marks::hidden;
use super::shape::{self, Shape, fit};
use super::{MAX_SHOWN, PlanError};

/// A redacted plan: one JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted(Vec<u8>);

impl Redacted {
    /// The document.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The document.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// What of a plan's JSON may leave its host, in at most `limit` bytes. `shown` is best buffered.
///
/// # Errors
/// [`PlanError`]; then nothing may.
pub fn redact(shown: impl Read, limit: usize) -> Result<Redacted, PlanError> {
    let mut bounded = shown.take(MAX_SHOWN + 1);
    let mut parts = Parts::new(limit);
    let mut reader = serde_json::Deserializer::from_reader(&mut bounded);
    let read = (&mut parts)
        .deserialize(&mut reader)
        .and_then(|()| reader.end());
    if let Err(error) = read {
        return Err(match (&parts.over, bounded.limit()) {
            (true, _) => PlanError::TooLong(limit),
            (false, 0) => PlanError::TooMuchShown(MAX_SHOWN),
            (false, _) => not_plan(&error),
        });
    }
    match bounded.limit() {
        0 => Err(PlanError::TooMuchShown(MAX_SHOWN)),
        _ => parts.together(),
    }
}

fn not_plan(error: &serde_json::Error) -> PlanError {
    PlanError::NotPlan {
        line: error.line(),
        column: error.column(),
    }
}

/// What was read so far.
struct Parts {
    /// Members as they are given out.
    members: BTreeMap<String, Vec<u8>>,
    /// Kept back until it is known which of them may be seen.
    variables: Option<Value>,
    /// Variables that the code declares as open.
    open: BTreeSet<String>,
    format: Option<String>,
    left: usize,
    limit: usize,
    over: bool,
}

impl Parts {
    fn new(limit: usize) -> Self {
        Self {
            members: BTreeMap::new(),
            variables: None,
            open: BTreeSet::new(),
            format: None,
            left: limit,
            limit,
            over: false,
        }
    }

    /// Pays for bytes that are given out.
    fn pay(&mut self, bytes: usize) -> Result<(), &'static str> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.over = true;
                Err("too long")
            }
        }
    }

    fn put(&mut self, name: &str, value: &Value) -> Result<(), &'static str> {
        let bytes = value.to_string().into_bytes();
        self.pay(bytes.len() + name.len() + 8)?;
        self.members.insert(name.to_owned(), bytes);
        Ok(())
    }

    /// A member that is read as a whole.
    fn member(&mut self, name: &str, value: Value) -> Result<(), &'static str> {
        let shown = match name {
            "variables" => {
                self.variables = Some(value);
                return Ok(());
            }
            "format_version" => {
                self.format = value.as_str().map(str::to_owned);
                value
            }
            "configuration" => {
                self.open = open_variables(&value);
                fit(value, &shape::CONFIGURATION)
            }
            _ => match shape_of(name) {
                Some(shape) => fit(value, shape),
                None => hidden(),
            },
        };
        self.put(name, &shown)
    }

    fn together(mut self) -> Result<Redacted, PlanError> {
        let major = self
            .format
            .as_deref()
            .and_then(|text| text.split('.').next());
        match (major, &self.format) {
            (Some("0" | "1"), _) => {}
            (_, Some(format)) => {
                let shown = format.chars().take(20).collect();
                return Err(PlanError::Format(shown));
            }
            (_, None) => return Err(PlanError::NotPlan { line: 0, column: 0 }),
        }
        if let Some(variables) = self.variables.take() {
            let shown = self.seen(variables);
            let limit = self.limit;
            let put = self.put("variables", &shown);
            put.map_err(|_| PlanError::TooLong(limit))?;
        }
        let mut bytes = vec![b'{'];
        for (name, value) in &self.members {
            if bytes.len() > 1 {
                bytes.push(b',');
            }
            bytes.extend(Value::from(name.as_str()).to_string().into_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(value);
        }
        bytes.push(b'}');
        Ok(Redacted(bytes))
    }

    /// Variables whose declaration is open; without a declaration none is.
    fn seen(&self, variables: Value) -> Value {
        let Value::Object(variables) = variables else {
            return hidden();
        };
        let shown = variables.into_iter().map(|(name, set)| {
            let shown = match set {
                Value::Object(members) => {
                    let open = self.open.contains(&name);
                    let shown = members.into_iter().map(|(member, value)| {
                        let may = open && member == "value";
                        (member, if may { value } else { hidden() })
                    });
                    Value::Object(shown.collect())
                }
                _ => hidden(),
            };
            (name, shown)
        });
        Value::Object(shown.collect())
    }
}

/// Members that are lists of changes: what one of them is.
fn change_of(name: &str) -> Option<&'static Shape> {
    match name {
        "resource_changes" | "resource_drift" => Some(&shape::RESOURCE_CHANGE),
        "deferred_changes" => Some(&shape::DEFERRED),
        _ => None,
    }
}

fn shape_of(name: &str) -> Option<&'static Shape> {
    Some(match name {
        "terraform_version" | "timestamp" => &Shape::Text,
        "applyable" | "complete" | "errored" => &Shape::Flag,
        "planned_values" => &shape::VALUES,
        "prior_state" => &shape::STATE,
        "output_changes" => &shape::OUTPUT_CHANGES,
        "relevant_attributes" => &shape::RELEVANT,
        "checks" => &shape::CHECKS,
        _ => return None,
    })
}

fn open_variables(configuration: &Value) -> BTreeSet<String> {
    let declared = &configuration["root_module"]["variables"];
    let all = declared.as_object().into_iter().flatten();
    let open = all.filter(|(_, declaration)| shape::is_open(declaration));
    open.map(|(name, _)| name.clone()).collect()
}

impl<'de> DeserializeSeed<'de> for &mut Parts {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Parts {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plan's JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom("a member stands there twice"));
            }
            if let Some(shape) = change_of(&name) {
                let parts = &mut *self;
                let list = map.next_value_seed(Changes { parts, shape })?;
                self.members.insert(name, list);
                continue;
            }
            let value: Value = map.next_value()?;
            self.member(&name, value).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// A list of changes on its way.
struct Changes<'a> {
    parts: &'a mut Parts,
    shape: &'static Shape,
}

impl<'de> DeserializeSeed<'de> for Changes<'_> {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Changes<'_> {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of changes")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Vec<u8>, E> {
        Ok(b"null".to_vec())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = vec![b'['];
        while let Some(value) = list.next_element::<Value>()? {
            let shown = fit(value, self.shape).to_string();
            self.parts.pay(shown.len() + 1).map_err(A::Error::custom)?;
            if bytes.len() > 1 {
                bytes.push(b',');
            }
            bytes.extend(shown.into_bytes());
        }
        bytes.push(b']');
        self.parts.pay(64).map_err(A::Error::custom)?;
        Ok(bytes)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
