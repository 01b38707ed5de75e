//! What of the host is handed to runs: variables and mounts.
//!
//! Takes the launcher's lists, gives values with the phases that get them. Never: a variable that no list
//! names.

use gantry_protocol::Secret;
use gantry_protocol::socket::HandedTo;

use super::parse::Reader;
use super::variables as var;
use crate::container::{MountRule, split};

/// A variable that runs get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedVariable {
    /// Name that runs see.
    pub name: String,
    /// Value.
    pub value: Secret,
    /// Phases that get it.
    pub to: HandedTo,
    /// Whether logs hide the value.
    pub masked: bool,
}

/// Variables that runs get, and those named in a list but unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandedVariables {
    /// In the order of the list.
    pub set: Vec<HandedVariable>,
    /// What logs of runs hide besides the masked ones: passwords within values.
    pub secrets: Vec<Secret>,
    /// Names without a value: worth a warning, because a run will miss them.
    pub unset: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn handed_variables(&mut self) -> HandedVariables {
        let listed = self.names(var::WHITELIST);
        let masked = self.names(var::MASK);
        let mut found = HandedVariables::default();
        for entry in &listed {
            let (to, name) = addressee(entry);
            if name.starts_with("SPACELIFT_TOKEN") || name.starts_with(var::POOL_KEY) {
                self.wrong(
                    var::WHITELIST,
                    format_args!("`{name}` is the pool's credential and never leaves the launcher"),
                );
                continue;
            }
            let Some(value) = self.value(entry).or_else(|| self.value(name)) else {
                found.unset.push(entry.clone());
                continue;
            };
            found.set.push(HandedVariable {
                name: name.to_owned(),
                value: Secret::new(value),
                to,
                masked: masked.iter().any(|mask| mask == entry || mask == name),
            });
        }
        for mask in &masked {
            if !listed
                .iter()
                .any(|entry| entry == mask || addressee(entry).1 == mask)
            {
                let what = format_args!(
                    "`{mask}` is not in {}: nothing of it reaches a run",
                    var::WHITELIST
                );
                self.wrong(var::MASK, what);
            }
        }
        found
    }

    /// A comma list of variable names.
    fn names(&mut self, list: &str) -> Vec<String> {
        let text = self.value(list).unwrap_or_default();
        let names: Vec<String> = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        for name in names.iter().filter(|name| name.contains(['=', '\0', ' '])) {
            self.wrong(list, format_args!("`{name}` is not a variable name"));
        }
        names
    }

    pub(super) fn mounts(&mut self) -> Vec<MountRule> {
        let lists = [
            (var::MOUNTS, HandedTo::Every),
            (var::RO_MOUNTS, HandedTo::Reading),
            (var::WO_MOUNTS, HandedTo::Writing),
        ];
        let mut rules: Vec<MountRule> = Vec::new();
        for (list, to) in lists {
            let text = self.value(list).unwrap_or_default();
            let entries = match split(&text, ',') {
                Ok(entries) => entries,
                Err(rule) => {
                    self.wrong(list, rule);
                    continue;
                }
            };
            for entry in entries.iter().map(|e| e.trim()).filter(|e| !e.is_empty()) {
                match MountRule::parse(entry, to) {
                    Ok(rule) => match rules.iter().find(|other| clash(other, &rule)) {
                        Some(_) => self.wrong(
                            list,
                            format_args!("`{entry}`: another mount has that target"),
                        ),
                        None => rules.push(rule),
                    },
                    Err(rule) => self.wrong(list, format_args!("`{entry}`: {rule}")),
                }
            }
        }
        rules
    }
}

/// `ro_X` and `wo_X` name `X` and who gets it.
fn addressee(entry: &str) -> (HandedTo, &str) {
    for (prefix, to) in [("ro_", HandedTo::Reading), ("wo_", HandedTo::Writing)] {
        if let Some(name) = entry.strip_prefix(prefix).filter(|name| !name.is_empty()) {
            return (to, name);
        }
    }
    (HandedTo::Every, entry)
}

/// Two mounts of one target that one container could get.
fn clash(one: &MountRule, other: &MountRule) -> bool {
    one.target == other.target
        && (one.to == other.to || one.to == HandedTo::Every || other.to == HandedTo::Every)
}
