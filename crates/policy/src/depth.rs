//! How deep the engine would have to go for a text.
//!
//! Takes text, gives the first line that goes too deep. Never: recursion. The engine walks chains (`a.b.c…`, `1 + 1 + …`)
//! by recursion, and a stack that is full ends the whole process; it tries each bracket in several readings, so that every
//! one within another doubles its time.

use std::num::{NonZeroU32, NonZeroUsize};

use regorus::Source;
use regorus::unstable::{Lexer, TokenKind};

/// Steps of chains and brackets that may be open at once.
const MAX_DEPTH: usize = 256;

/// Brackets of arrays, sets, objects and bodies within each other.
const MAX_NESTED: usize = 10;

/// The line, from 1, where `text` goes too deep.
pub(crate) fn too_deep(text: &str) -> Option<u32> {
    let most = NonZeroUsize::MAX;
    let source = Source::from_contents_with_limits(String::new(), text.to_owned(), most, most);
    let source = source.ok()?;
    let mut lexer = Lexer::new(&source);
    lexer.set_max_col(NonZeroU32::MAX);
    let mut depth = Depth::default();
    while let Ok(token) = lexer.next_token() {
        if token.0 == TokenKind::Eof {
            return None;
        }
        let operand = !matches!(token.0, TokenKind::Symbol);
        if depth.step(token.1.text(), operand, token.1.line) > MAX_DEPTH {
            return Some(token.1.line);
        }
    }
    // What can't be cut into words is refused by the reader.
    None
}

/// Chains that are open, one for each open bracket.
#[derive(Default)]
struct Depth {
    outer: Vec<(usize, bool)>,
    chain: usize,
    open: usize,
    nested: usize,
    /// Whether the last word asks for one more, on whatever line that is.
    unfinished: bool,
    line: u32,
}

impl Depth {
    fn step(&mut self, word: &str, operand: bool, line: u32) -> usize {
        let opens = matches!(word, "(" | "[" | "{");
        let closes = matches!(word, ")" | "]" | "}");
        let separates = matches!(word, "," | ";" | ":=" | ":");
        let joins = (!operand && !opens && !closes && !separates) || word == "in";
        // A new line begins something new, unless either side of its break says otherwise.
        if line != self.line && !self.unfinished && !joins && !closes {
            self.chain = 0;
        }
        if separates {
            self.chain = 0;
        } else if opens {
            self.chain += 1;
            self.open += self.chain;
            let doubles = word != "(";
            self.nested += usize::from(doubles);
            self.outer.push((std::mem::take(&mut self.chain), doubles));
        } else if closes {
            let (chain, doubled) = self.outer.pop().unwrap_or_default();
            self.chain = chain;
            self.open -= chain;
            self.nested -= usize::from(doubled);
        } else if joins {
            self.chain += 1;
        }
        self.unfinished = joins || opens || separates;
        self.line = line;
        match self.nested > MAX_NESTED {
            true => usize::MAX,
            false => self.open + self.chain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(expression: &str) -> String {
        format!("package spacelift\ndeny[x] {{ x := {expression} }}\n")
    }

    #[test]
    fn chains_are_bounded_wherever_they_are() {
        for part in [
            ".a", "[0]", "[_]", " + 1", "\n+ 1", " +\n1", " == 1", " in x", "(1)", " - (1)",
        ] {
            let deep = policy(&format!("input{}", part.repeat(2000)));
            assert!(too_deep(&deep).is_some(), "{part:?}");
            let flat = policy(&format!("input{}", part.repeat(20)));
            assert_eq!(too_deep(&flat), None, "{part:?}");
        }
        let nested = |inner: String| format!("[input{}{inner}]", ".a".repeat(30));
        let deep = (0..30).fold(String::new(), |inner, _| format!("[{}]", nested(inner)));
        assert!(
            too_deep(&policy(&deep)).is_some(),
            "chains in brackets add up"
        );
    }

    #[test]
    fn long_is_not_deep() {
        for text in [
            "deny[\"x\"] { input.a == 1 }\n".repeat(3000),
            format!("deny[x] {{\n{}}}\n", "  input.a.b[_] == 1\n".repeat(3000)),
            format!("deny[x] {{ {} true }}\n", "input.a == 1; ".repeat(3000)),
            format!("allowed := [{}]\n", "\"a.b\", ".repeat(3000)),
            format!("allowed := {{{}}}\n", "\"a\": {1: 2},\n".repeat(3000)),
        ] {
            assert_eq!(too_deep(&text), None, "{}", &text[..40]);
        }
    }
}
