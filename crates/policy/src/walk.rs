//! `walk(x)` where a value stands, as in `[path, value] := walk(x)`.
//!
//! Takes a text and where it says so, gives the text that the engine understands. Never: another line number for
//! anything.
//!
//! In OPA such a call is each pair of a path and a value, one after the other. The engine knows only `walk(x, [path, value])`, and
//! takes what is walked through for that second argument: nothing is ever equal to it, so a rule said nothing.

use std::ops::Range;

use regorus::unstable::Expr;

use crate::kind::PACKAGE;

/// What the engine calls the function behind it.
pub(crate) const FILE: &str = "walk.rego";

/// No text can have a function of this name: it would be one that does not exist.
const PAIRS: &str = "__walk";

/// A call of `walk` with one argument, in bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    name: Range<usize>,
    end: usize,
}

impl Walk {
    /// The call that begins at `expr` with the function `fcn`.
    pub(crate) fn at(expr: &Expr, fcn: &Expr) -> Self {
        let (name, call) = (fcn.span(), expr.span());
        Self {
            name: name.start as usize..name.end as usize,
            end: call.end as usize,
        }
    }
}

/// The function behind it, in Rego v0.
pub(crate) fn pairs() -> String {
    format!("package {PACKAGE}\n{PAIRS}(x) = all {{ all := [[p, v] | walk(x, [p, v])] }}\n")
}

/// `text` with every `walk(x)` as any member of the list of pairs.
pub(crate) fn spelled_out(text: &str, walks: &[Walk]) -> String {
    let mut edits = Vec::with_capacity(walks.len() * 2);
    for Walk { name, end } in walks {
        edits.push((name.clone(), PAIRS));
        edits.push((*end..*end, "[_]"));
    }
    // From the back, so that what stands before keeps its place.
    edits.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
    let mut text = text.to_owned();
    for (at, new) in edits {
        text.replace_range(at, new);
    }
    text
}
