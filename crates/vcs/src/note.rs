//! Notes that are text and nothing more.
//!
//! Takes the body of a request that leaves a note at GitLab, says whether it is one. GitLab acts upon lines such as
//! `/merge` or `/tag v1` in a note: a row that lets notes through must not let those through. Never: a body of another
//! form than JSON, in which the same text could stand differently.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

/// Longest body, in bytes: GitLab takes a million characters.
const LIMIT: usize = 4 << 20;
/// Members that hold the text, by kind of note.
const TEXTS: [&str; 2] = ["body", "note"];

/// Why a body is no plain note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Too long.
    #[error("the note is longer than {LIMIT} bytes")]
    TooLong,
    /// Not a JSON object in which the text is a text.
    #[error("the note is not a JSON object with one text in `body` or `note`")]
    NotANote,
    /// A line that GitLab takes for a command.
    #[error("the note has a line that GitLab acts upon, such as `/merge`")]
    Command,
}

/// Whether a body is a plain note.
pub(crate) fn check(body: &[u8]) -> Result<(), NoteError> {
    if body.len() > LIMIT {
        return Err(NoteError::TooLong);
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let texts = reader
        .deserialize_map(Texts)
        .and_then(|texts| reader.end().map(|()| texts))
        .map_err(|_| NoteError::NotANote)?;
    let [text] = texts.as_slice() else {
        return Err(NoteError::NotANote);
    };
    if text.split(['\n', '\r']).any(is_command) {
        return Err(NoteError::Command);
    }
    Ok(())
}

/// `/word`, by itself or with something behind it. A path such as `/usr/bin` is none.
fn is_command(line: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix('/') else {
        return false;
    };
    let word = rest.split(char::is_whitespace).next().unwrap_or_default();
    !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || "_-:".contains(c))
}

/// All texts of a note, those of a member that stands there twice as well.
struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            if TEXTS.contains(&name.as_str()) {
                texts.push(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &str) -> Result<(), NoteError> {
        check(serde_json::json!({ "body": text }).to_string().as_bytes())
    }

    #[test]
    fn texts_are_let_through_and_commands_are_not() {
        for text in [
            "",
            "Plan: 1 to add\n\n/usr/bin/terraform said so",
            "a /merge in a line",
            "// a comment\n/ a slash",
            "https://gantry.example.com/stack/x",
        ] {
            assert_eq!(note(text), Ok(()), "{text}");
        }
        for text in [
            "/merge",
            "fine\n/merge",
            "fine\r\n  /approve  ",
            "/tag v1.0 now",
            "\t/close\nfine",
            "```\n/merge\n```",
            "/label ~x",
        ] {
            assert_eq!(note(text), Err(NoteError::Command), "{text}");
        }
    }

    #[test]
    fn a_note_has_one_text() {
        for body in [
            "",
            "body=fine",
            "[]",
            r#"{"text":"x"}"#,
            r#"{"body":"fine","body":"/merge"}"#,
            r#"{"body":"fine","note":"/merge"}"#,
            r#"{"body":["/merge"]}"#,
            r#"{"body":"fine"} {"body":"/merge"}"#,
        ] {
            assert_eq!(check(body.as_bytes()), Err(NoteError::NotANote), "{body}");
        }
        assert_eq!(check(br#"{"note":"fine","line":3}"#), Ok(()));
        assert_eq!(check(&vec![b' '; LIMIT + 1]), Err(NoteError::TooLong));
        assert_eq!(check(br#"{"body":"\u002fmerge"}"#), Err(NoteError::Command));
        assert_eq!(check(br#"{"b\u006fdy":"/merge"}"#), Err(NoteError::Command));
    }
}
