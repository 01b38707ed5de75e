//! Which Rego a text is written in.
//!
//! Takes text, gives [`Dialect`]. Never: a reading tried out to see if it fails: the engine complains of the wrong one on
//! standard error, with lines of the policy.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};

use regorus::Source;
use regorus::unstable::{Lexer, TokenKind};
use serde::{Deserialize, Serialize};

/// Which Rego a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `deny[msg] { … }`.
    V0,
    /// `deny contains msg if { … }`.
    V1,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V0 => "v0",
            Self::V1 => "v1",
        })
    }
}

/// Words that are keywords in v1, and in v0 only where they are imported.
const KEYWORDS: [&str; 4] = ["contains", "every", "if", "in"];

/// v1 when a keyword of v1 is used that v0 would need an import for, else v0: where neither is the case, a text means
/// the same in both.
pub(crate) fn dialect_of(text: &str) -> Dialect {
    let words = words(text);
    let imported = |keyword: &str| {
        words.windows(2).any(|pair| match pair {
            [first, path] if first == "import" => {
                path == "rego.v1"
                    || path == "future.keywords"
                    || path.strip_prefix("future.keywords.") == Some(keyword)
            }
            _ => false,
        })
    };
    let used = |keyword: &&&str| words.iter().any(|word| word == **keyword);
    match KEYWORDS
        .iter()
        .filter(used)
        .all(|keyword| imported(keyword))
    {
        true => Dialect::V0,
        false => Dialect::V1,
    }
}

/// Identifiers, each with what is joined to it by dots; a call of the function `contains` is none.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let most = NonZeroUsize::MAX;
    let source = Source::from_contents_with_limits(String::new(), text.to_owned(), most, most);
    let Ok(source) = source else {
        return words;
    };
    let mut lexer = Lexer::new(&source);
    lexer.set_max_col(NonZeroU32::MAX);
    let mut dotted = false;
    while let Ok(token) = lexer.next_token() {
        let text = token.1.text();
        match token.0 {
            TokenKind::Eof => break,
            TokenKind::Ident => match (dotted, words.last_mut()) {
                (true, Some(word)) => *word = format!("{word}.{text}"),
                _ => words.push(text.to_owned()),
            },
            _ if text == "(" => {
                words.pop_if(|word| word == "contains");
            }
            _ if text != "." => words.extend([String::new()]),
            _ => {}
        }
        dotted = text == ".";
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_tell() {
        for (text, dialect) in [
            ("package spacelift\nsample { true }", Dialect::V0),
            ("package spacelift\nsample = true", Dialect::V0),
            ("package spacelift\nsample if true", Dialect::V1),
            ("package spacelift\ndeny contains \"x\"", Dialect::V1),
            (
                "package spacelift\nimport rego.v1\nsample if true",
                Dialect::V0,
            ),
            (
                "package spacelift\nimport future.keywords\nsample if true",
                Dialect::V0,
            ),
            (
                "package spacelift\nimport future.keywords.if\nsample if true",
                Dialect::V0,
            ),
            (
                "package spacelift\nimport future.keywords.in\nsample if true",
                Dialect::V1,
            ),
            (
                "package spacelift\ndeny[\"x\"] { contains(\"if in\", input.in) } # every",
                Dialect::V0,
            ),
            (
                "package spacelift\ndeny[\"x\"] { input.a[_].if.x }",
                Dialect::V0,
            ),
            ("package spacelift\ndeny[\"x\"] { 1 in [1] }", Dialect::V1),
            ("\"", Dialect::V0),
        ] {
            assert_eq!(dialect_of(text), dialect, "{text}");
        }
    }
}
