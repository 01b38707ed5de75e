//! `.terraform.lock.hcl`: which providers a run pinned, and by which content.
//!
//! Takes the file's text, gives providers with their `h1:` hashes. Never: a name or version that could leave a
//! directory; a guess at a file that is not written as the tools write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Digest;

/// Most providers of one file that are looked at.
const MAX_PROVIDERS: usize = 64;

/// A provider as a run pinned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pinned {
    /// Host, namespace, type.
    pub(super) source: [String; 3],
    /// Version.
    pub(super) version: String,
    /// Contents that count: the `h1:` hashes, for whichever platforms.
    pub(super) contents: Vec<Digest>,
}

/// Providers with contents to go by; a file that is not as the tools write it gives nothing.
pub(super) fn read(text: &str) -> Vec<Pinned> {
    // One of no use is no reason to distrust the others.
    let pinned = blocks(text).into_iter().filter_map(|(_, pinned)| pinned);
    pinned.take(MAX_PROVIDERS).collect()
}

/// Sources of all providers that the file names, whatever it pins of them.
pub(super) fn sources(text: &str) -> Vec<String> {
    let blocks = blocks(text).into_iter();
    blocks.map(|(source, _)| source.to_owned()).collect()
}

/// All providers, with what is pinned where that is of use.
fn blocks(text: &str) -> Vec<(&str, Option<Pinned>)> {
    let mut words = Words { rest: text };
    let mut found = Vec::new();
    loop {
        match words.next() {
            Some(Word::Name("provider")) => match block(&mut words) {
                Some(block) => found.push(block),
                None => return Vec::new(),
            },
            Some(_) => return Vec::new(),
            None if words.rest.is_empty() => return found,
            None => return Vec::new(),
        }
    }
}

/// `"source" { … }`; nothing where the file can't be read.
fn block<'a>(words: &mut Words<'a>) -> Option<(&'a str, Option<Pinned>)> {
    let Word::Text(source) = words.next()? else {
        return None;
    };
    words.expect('{')?;
    let (mut version, mut contents) = (None, Vec::new());
    loop {
        let name = match words.next()? {
            Word::Mark('}') => break,
            Word::Name(name) => name,
            _ => return None,
        };
        words.expect('=')?;
        match (name, words.next()?) {
            ("version", Word::Text(text)) => version = Some(text),
            (_, Word::Text(_)) => {}
            ("hashes", Word::Mark('[')) => contents = list(words)?,
            (_, Word::Mark('[')) => drop(list(words)?),
            _ => return None,
        }
    }
    Some((source, pinned(source, version?, &contents)))
}

fn list<'a>(words: &mut Words<'a>) -> Option<Vec<&'a str>> {
    let mut texts = Vec::new();
    loop {
        match words.next()? {
            Word::Mark(']') => return Some(texts),
            Word::Mark(',') => {}
            Word::Text(text) => texts.push(text),
            _ => return None,
        }
    }
}

fn pinned(source: &str, version: &str, hashes: &[&str]) -> Option<Pinned> {
    let mut steps = source.split('/').map(str::to_owned);
    let source = [steps.next()?, steps.next()?, steps.next()?];
    let version = semver::Version::parse(version).ok()?.to_string();
    let contents: Vec<Digest> = hashes.iter().filter_map(|hash| content(hash)).collect();
    let plain = source.iter().all(|step| is_plain(step)) && steps.next().is_none();
    (plain && !contents.is_empty()).then_some(Pinned {
        source,
        version,
        contents,
    })
}

fn is_plain(step: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !step.is_empty() && step.len() <= 255 && !step.starts_with('.') && step.bytes().all(plain)
}

/// `h1:` and the base64 of a SHA-256.
fn content(hash: &str) -> Option<Digest> {
    let bytes = STANDARD.decode(hash.strip_prefix("h1:")?).ok()?;
    Some(Digest::from_bytes(bytes.try_into().ok()?))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word<'a> {
    Name(&'a str),
    Text(&'a str),
    Mark(char),
}

struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn expect(&mut self, mark: char) -> Option<()> {
        (self.next()? == Word::Mark(mark)).then_some(())
    }

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => break,
            }
        }
        let first = self.rest.chars().next()?;
        match first {
            '{' | '}' | '[' | ']' | '=' | ',' => {
                self.rest = &self.rest[1..];
                Some(Word::Mark(first))
            }
            '"' => {
                let (text, rest) = self.rest[1..].split_once('"')?;
                self.rest = rest;
                // Escapes and templates: the tools write none here.
                (!text.contains(['\\', '\n', '$', '%'])).then_some(Word::Text(text))
            }
            _ => {
                let end = self
                    .rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                (!name.is_empty()).then_some(Word::Name(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WRITTEN: &str = r#"# This file is maintained automatically by "terraform init".
# Manual edits may be lost in future updates.

provider "registry.terraform.io/hashicorp/time" {
  version     = "0.14.2"
  constraints = "~> 0.14"
  hashes = [
    "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "zh:0000000000000000000000000000000000000000000000000000000000000000",
  ]
}

provider "registry.terraform.io/hashicorp/null" {
  version = "3.2.4"
  hashes = [
    "zh:0000000000000000000000000000000000000000000000000000000000000000",
  ]
}
"#;

    #[test]
    fn what_the_tools_write_is_read() {
        let found = read(WRITTEN);
        // Without an `h1:` hash there is nothing to go by.
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].source.join("/"),
            "registry.terraform.io/hashicorp/time"
        );
        assert_eq!(found[0].version, "0.14.2");
        assert_eq!(found[0].contents, [Digest::of(b"")]);
        let sources = sources(WRITTEN);
        assert_eq!(
            sources,
            [
                "registry.terraform.io/hashicorp/time",
                "registry.terraform.io/hashicorp/null"
            ]
        );
    }

    #[test]
    fn what_they_do_not_write_gives_nothing() {
        let of = |from: &str, to: &str| read(&WRITTEN.replace(from, to)).len();
        assert_eq!(of("hashicorp/time", "hashicorp/time"), 1);
        for (from, to) in [
            (
                "registry.terraform.io/hashicorp/time",
                "registry.terraform.io/hashicorp/..",
            ),
            (
                "registry.terraform.io/hashicorp/time",
                "registry.terraform.io/hashicorp",
            ),
            (
                "registry.terraform.io/hashicorp/time",
                "registry.terraform.io/a/b/c",
            ),
            ("0.14.2", "../0.14.2"),
            ("h1:47DEQ", "h1:47DEQ="),
            ("h1:47", "h2:47"),
            ("version     =", "version     "),
            ("~> 0.14", "${x}"),
            ("# Manual", "Manual"),
            ("hashes = [", "hashes = {"),
        ] {
            assert_eq!(of(from, to), 0, "{to}");
        }
        assert_eq!(read("").len(), 0);
        assert_eq!(read(&WRITTEN[..WRITTEN.len() - 5]).len(), 0);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_no_step_leaves(text in "[a-z\"{}\\[\\]=,# \n/.:0-9]{0,200}") {
            for pinned in read(&format!("{WRITTEN}{text}")) {
                for step in pinned.source.iter().chain([&pinned.version]) {
                    prop_assert!(!step.contains('/') && step != ".." && step != ".");
                }
            }
        }
    }
}
