//! One variable after the other, with every mistake told at once.
//!
//! Takes names, gives checked values. Never: a mistake that ends the reading, or one that is passed over.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use gantry_net::{Mistake, Outside};
use gantry_protocol::Secret;

use crate::{Source, duration};

/// Reads variables and collects what is wrong with them.
#[expect(missing_debug_implementations, reason = "holds a way to secrets")]
pub struct Reader<'a> {
    source: &'a dyn Source,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    /// Nothing is read yet.
    pub fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            mistakes: Vec::new(),
        }
    }

    /// What was made of the values.
    ///
    /// # Errors
    /// Every mistake that was found on the way.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Mistake>> {
        match self.mistakes.is_empty() {
            true => Ok(value),
            false => Err(self.mistakes),
        }
    }

    /// As [`Reader::finish`]; without a value there is a mistake that says why.
    ///
    /// # Errors
    /// Every mistake that was found on the way.
    pub fn finish_some<T>(self, value: Option<T>) -> Result<T, Vec<Mistake>> {
        match value {
            Some(value) => self.finish(value),
            None => Err(self.mistakes),
        }
    }

    /// As written; `None` when unset.
    pub fn value(&self, name: &str) -> Option<String> {
        self.source.get(name)
    }

    /// Every set name that begins with `prefix`.
    pub fn names_with(&self, prefix: &str) -> Vec<String> {
        self.source.names_with(prefix)
    }

    /// Notes a mistake.
    pub fn wrong(&mut self, name: &str, what: impl Display) {
        self.mistakes.push(Mistake::new(name, what));
    }

    /// Whether a mistake of this variable is noted already.
    pub fn is_wrong(&self, name: &str) -> bool {
        self.mistakes.iter().any(|one| one.variable == name)
    }

    /// Proxies and added CAs, of the variables that every component reads.
    pub fn outside(&mut self, listed: impl Fn(&str) -> bool) -> Outside {
        let read = Outside::read(&|name| self.source.get(name).filter(|_| listed(name)));
        read.unwrap_or_else(|mistakes| {
            self.mistakes.extend(mistakes);
            Outside::default()
        })
    }

    /// A secret that there has to be.
    pub fn required_secret(&mut self, name: &str) -> Secret {
        let value = self.source.get(name);
        if value.is_none() {
            self.wrong(name, "is not set, and there is no default");
        }
        Secret::new(value.unwrap_or_default())
    }

    /// Values by what follows `prefix` in their variables' names.
    pub fn tags(&self, prefix: &str) -> BTreeMap<String, String> {
        let pair = |name: String| {
            let tag = name.strip_prefix(prefix)?.to_owned();
            let value = self.source.get(&name)?;
            (!tag.is_empty()).then_some((tag, value))
        };
        let names = self.source.names_with(prefix).into_iter();
        names.filter_map(pair).collect()
    }

    /// An absolute path.
    pub fn absolute_path(&mut self, name: &str, default: &str) -> PathBuf {
        let path = PathBuf::from(self.source.get(name).unwrap_or_else(|| default.to_owned()));
        self.want_absolute(name, &path);
        path
    }

    /// An absolute path, if any.
    pub fn optional_path(&mut self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.source.get(name)?);
        self.want_absolute(name, &path);
        Some(path)
    }

    /// A comma list of absolute paths.
    pub fn absolute_paths(&mut self, name: &str) -> Vec<PathBuf> {
        let value = self.source.get(name).unwrap_or_default();
        let paths: Vec<_> = value
            .split(',')
            .map(str::trim)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .collect();
        for path in &paths {
            self.want_absolute(name, path);
        }
        paths
    }

    fn want_absolute(&mut self, name: &str, path: &std::path::Path) {
        if !path.is_absolute() {
            let what = format_args!("`{}` is not an absolute path", path.display());
            self.wrong(name, what);
        }
    }

    /// A whole or decimal number within `range`.
    pub fn number<T>(&mut self, name: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.source.get(name) else {
            return default;
        };
        match text.trim().parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = (range.start(), range.end());
                let what = format_args!("`{text}` is not a number from {low} to {high}");
                self.wrong(name, what);
                default
            }
        }
    }

    /// On or off, off when unset. Takes the words that Go takes.
    pub fn flag(&mut self, name: &str) -> bool {
        let text = self.source.get(name).unwrap_or_default();
        match text.trim() {
            "" | "false" | "False" | "FALSE" | "0" | "f" | "F" => false,
            "true" | "True" | "TRUE" | "1" | "t" | "T" => true,
            _ => {
                self.wrong(name, format_args!("`{text}` is neither `true` nor `false`"));
                false
            }
        }
    }

    /// A duration, written as in Go.
    pub fn duration(&mut self, name: &str, default: Duration) -> Duration {
        let Some(text) = self.source.get(name) else {
            return default;
        };
        duration::parse(text.trim()).unwrap_or_else(|rule| {
            self.wrong(name, format_args!("`{text}` {rule}"));
            default
        })
    }

    /// A value whose type knows its own words, and says what is wrong with others.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.source.get(name)?;
        let read = text.trim().parse::<T>();
        read.map_err(|error| self.wrong(name, format_args!("`{text}` {error}")))
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("NAME".to_owned(), text.to_owned())])
    }

    #[test]
    fn each_mistake_names_its_variable_and_none_ends_the_reading() {
        let hour = Duration::from_secs(3600);
        for text in ["nonsense", "-1", "relative/path"] {
            let source = source(text);
            let mut read = Reader::new(&source);
            assert_eq!(read.number("NAME", 7, 1..=9), 7);
            assert!(!read.flag("NAME"));
            assert_eq!(read.duration("NAME", hour), hour);
            read.absolute_path("NAME", "/");
            read.absolute_paths("NAME");
            assert_eq!(read.parsed::<std::net::IpAddr>("NAME"), None);
            let mistakes = read.finish(()).unwrap_err();
            assert_eq!(mistakes.len(), 6, "{mistakes:?}");
            for mistake in mistakes {
                assert!(mistake.to_string().starts_with("NAME: "), "{mistake}");
            }
        }
    }

    #[test]
    fn what_is_unset_has_its_default_and_is_no_mistake() {
        let (none, hour) = (BTreeMap::new(), Duration::from_secs(3600));
        let mut read = Reader::new(&none);
        assert_eq!(read.number("NAME", 7, 1..=9), 7);
        assert!(!read.flag("NAME"));
        assert_eq!(read.duration("NAME", hour), hour);
        assert_eq!(read.absolute_path("NAME", "/x"), PathBuf::from("/x"));
        assert_eq!(read.optional_path("NAME"), None);
        read.finish(()).unwrap();
    }
}
