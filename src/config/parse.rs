//! Parsers of single variables; each collects its mistake instead of stopping.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use gantry_protocol::Secret;
use gantry_protocol::crypto::EdPublic;

use super::env::Source;
use crate::container::Network;
use crate::image::Allowlist;

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

    fn wrong(&mut self, name: &str, what: impl Display) {
        self.mistakes.push(Mistake::new(name, what));
    }

    pub(super) fn refuse(&mut self, names: &[&str]) {
        for name in names {
            if self.source.get(name).is_some() {
                self.wrong(
                    name,
                    "is set, but this version can't honour it; unset it or use a newer launcher",
                );
            }
        }
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

    pub(super) fn network(&mut self, name: &str) -> Network {
        let Some(text) = self.source.get(name) else {
            return Network::default();
        };
        Network::parse(&text).unwrap_or_else(|error| {
            self.wrong(name, error);
            Network::default()
        })
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
