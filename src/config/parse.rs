//! Parsers of single variables; each collects its mistake instead of stopping.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use gantry_protocol::Secret;
use gantry_protocol::crypto::EdPublic;
use gantry_service::Source;

use super::{Config, duration, variables as var};
use crate::container::{Network, NetworkChoice};
use crate::image::{Allowlist, Reference};
use crate::machine::Machine;

/// One variable's mistake.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {what}")]
pub struct Mistake {
    name: String,
    what: String,
}

impl Mistake {
    /// A mistake found after reading, by the module that owns the variable's meaning.
    pub fn new(name: &str, what: impl Display) -> Self {
        Self {
            name: name.to_owned(),
            what: what.to_string(),
        }
    }
}

/// Reads variables and collects what is wrong with them.
pub(super) struct Reader<'a> {
    source: &'a dyn Source,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            mistakes: Vec::new(),
        }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<Mistake>> {
        if self.mistakes.is_empty() {
            Ok(value)
        } else {
            Err(self.mistakes)
        }
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.source.get(name)
    }

    pub(super) fn names_with(&self, prefix: &str) -> Vec<String> {
        self.source.names_with(prefix)
    }

    pub(super) fn wrong(&mut self, name: &str, what: impl Display) {
        self.mistakes.push(Mistake::new(name, what));
    }

    pub(super) fn required_secret(&mut self, name: &str) -> Secret {
        let value = self.source.get(name);
        if value.is_none() {
            self.wrong(name, "is not set, and there is no default");
        }
        Secret::new(value.unwrap_or_default())
    }

    pub(super) fn tags(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let names = self.source.names_with(prefix).into_iter();
        let pair = |name: String| {
            let tag = name[prefix.len()..].to_owned();
            let value = self.source.get(&name)?;
            (!tag.is_empty()).then_some((tag, value))
        };
        names.filter_map(pair).collect()
    }

    pub(super) fn absolute_path(&mut self, name: &str, default: &str) -> PathBuf {
        let path = PathBuf::from(self.source.get(name).unwrap_or_else(|| default.to_owned()));
        if !path.is_absolute() {
            self.wrong(
                name,
                format_args!("`{}` is not an absolute path", path.display()),
            );
        }
        path
    }

    pub(super) fn absolute_paths(&mut self, name: &str) -> Vec<PathBuf> {
        let value = self.source.get(name).unwrap_or_default();
        let paths: Vec<_> = value
            .split(',')
            .map(str::trim)
            .filter(|p| !p.is_empty())
            .map(PathBuf::from)
            .collect();
        for path in paths.iter().filter(|path| !path.is_absolute()) {
            self.wrong(
                name,
                format_args!("`{}` is not an absolute path", path.display()),
            );
        }
        paths
    }

    pub(super) fn keys(&mut self, name: &str) -> Vec<EdPublic> {
        let Some(value) = self.source.get(name) else {
            self.wrong(
                name,
                "is not set; give the release key's public half (`gantry release keygen` prints it for an own build)",
            );
            return Vec::new();
        };
        let mut keys = Vec::new();
        for text in value.split(',').map(str::trim) {
            match text.parse() {
                Ok(key) => keys.push(key),
                Err(error) => self.wrong(name, error),
            }
        }
        keys
    }

    /// A whole or decimal number within `range`.
    pub(super) fn number<T>(&mut self, name: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.source.get(name) else {
            return default;
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = (range.start(), range.end());
                self.wrong(
                    name,
                    format_args!("`{text}` is not a number from {low} to {high}"),
                );
                default
            }
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.source.get(name).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(text) => {
                self.wrong(name, format_args!("`{text}` is neither `true` nor `false`"));
                false
            }
        }
    }

    /// A time-out, written as in Go.
    pub(super) fn duration(&mut self, name: &str, default: Duration) -> Duration {
        let Some(text) = self.source.get(name) else {
            return default;
        };
        duration::parse(text.trim()).unwrap_or_else(|rule| {
            self.wrong(name, format_args!("`{text}` {rule}"));
            default
        })
    }

    pub(super) fn optional_path(&mut self, name: &str) -> Option<PathBuf> {
        self.source.get(name)?;
        Some(self.absolute_path(name, ""))
    }

    /// A value whose type knows its own words.
    pub(super) fn parsed<T>(&mut self, name: &str) -> T
    where
        T: FromStr<Err: Display> + Default,
    {
        let Some(text) = self.source.get(name) else {
            return T::default();
        };
        text.parse().unwrap_or_else(|error| {
            self.wrong(name, format_args!("`{text}` {error}"));
            T::default()
        })
    }

    /// What runs are made for.
    pub(super) fn machine(&mut self) -> Option<Machine> {
        let text = self.source.get(var::PLATFORM)?;
        let machine = text.parse::<Machine>();
        machine
            .map_err(|error| self.wrong(var::PLATFORM, format_args!("`{text}` {error}")))
            .ok()
    }

    /// An image reference, as written.
    pub(super) fn reference(&mut self, name: &str) -> Option<String> {
        let text = self.source.get(name)?;
        if let Err(error) = Reference::parse(&text) {
            self.wrong(name, error);
        }
        Some(text)
    }

    /// Repositories in full, without tag or digest.
    pub(super) fn repositories(&mut self, name: &str) -> Vec<String> {
        let text = self.source.get(name).unwrap_or_default();
        let mut repositories = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            match Reference::parse(entry) {
                Ok(reference) if reference.name() == entry => repositories.push(reference.name()),
                Ok(reference) => self.wrong(
                    name,
                    format_args!(
                        "`{entry}` is not a repository in full; write `{}`",
                        reference.name()
                    ),
                ),
                Err(error) => self.wrong(name, error),
            }
        }
        repositories
    }

    /// A network that the host's owner names, or one of our own for each run.
    pub(super) fn network(&mut self) -> NetworkChoice {
        let pool = self.parsed(var::NETWORK_POOL);
        let Some(text) = self.source.get(var::NETWORK) else {
            return NetworkChoice::PerRun { pool };
        };
        match Network::parse(&text) {
            Ok(network) => NetworkChoice::Named(network),
            Err(error) => {
                self.wrong(var::NETWORK, error);
                NetworkChoice::PerRun { pool }
            }
        }
    }

    /// Mistakes that only two variables together can make.
    pub(super) fn check_together(&mut self, config: &Config) {
        let named = matches!(config.containers.network, NetworkChoice::Named(_));
        if config.containers.block_metadata && named {
            self.wrong(
                var::BLOCK_METADATA,
                format_args!("works with runs' own networks only; unset {}", var::NETWORK),
            );
        }
        if let NetworkChoice::PerRun { pool } = &config.containers.network
            && pool.slots() < config.capacity
        {
            let slots = pool.slots();
            self.wrong(
                var::NETWORK_POOL,
                format_args!(
                    "holds {slots} networks, and {} is {}",
                    var::CAPACITY,
                    config.capacity
                ),
            );
        }
        if config.standby > config.capacity {
            self.wrong(var::STANDBY, format_args!("is more than {}", var::CAPACITY));
        }
        if config.standby > 0 && config.images.default.is_none() {
            self.wrong(var::STANDBY, format_args!("needs {}", var::DEFAULT_IMAGE));
        }
    }

    /// The built-in list, another one, or (with `+` first) both.
    pub(super) fn registries(&mut self, name: &str) -> Allowlist {
        let Some(text) = self.source.get(name) else {
            return Allowlist::well_known();
        };
        let more = text
            .trim()
            .strip_prefix('+')
            .map(|rest| rest.trim_start_matches(','));
        let list = match more {
            Some(more) => Allowlist::well_known().with(more.split(',')),
            None => Allowlist::new(text.split(',')),
        };
        list.unwrap_or_else(|error| {
            self.wrong(name, error);
            Allowlist::well_known()
        })
    }
}
