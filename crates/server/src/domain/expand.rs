//! `${NAME}` in the values of variables. Pure.
//!
//! Takes variables as they are set, in order; gives them with each `${NAME}` of a known variable replaced.
//! Never: a value that grows without a bound, or one that takes in a secret without becoming one.

use std::collections::HashMap;

use gantry_protocol::Secret;
use gantry_protocol::payload::Variable;

/// The longest value that an expansion may give, in bytes. A longer one stays as it was written.
const LIMIT: usize = 1 << 20;

/// References deeper than this stay as they were written.
const DEPTH: usize = 32;

/// Where a variable stands in the expansion.
enum Known {
    /// It is being expanded: a reference to it is a loop.
    Open,
    /// Its value, and whether it holds a secret.
    Done(Secret, bool),
}

/// Replaces `${NAME}` by the value that the variable `NAME` has in the end (a later one of a name wins). An
/// unknown name, and a reference that leads back to where it stands, are left as written.
pub fn expand(variables: Vec<Variable>) -> Vec<Variable> {
    let last: HashMap<String, usize> = variables
        .iter()
        .enumerate()
        .map(|(at, variable)| (variable.name.clone(), at))
        .collect();
    let mut known = HashMap::new();
    for at in 0..variables.len() {
        resolve(&variables, &last, &mut known, at, 0);
    }
    let expanded = |(at, variable): (usize, Variable)| match known.remove(&at) {
        Some(Known::Done(value, secret)) => Variable {
            value,
            secret,
            ..variable
        },
        Some(Known::Open) | None => variable,
    };
    variables.into_iter().enumerate().map(expanded).collect()
}

/// Whether the value of a variable is known afterwards. It is not where it would be a loop, or too deep.
fn resolve(
    variables: &[Variable],
    last: &HashMap<String, usize>,
    known: &mut HashMap<usize, Known>,
    at: usize,
    depth: usize,
) -> bool {
    match known.get(&at) {
        Some(Known::Done(..)) => return true,
        Some(Known::Open) => return false,
        None if depth > DEPTH => return false,
        None => {}
    }
    known.insert(at, Known::Open);
    let variable = &variables[at];
    let written = variable.value.expose();
    let (mut text, mut secret) = (String::new(), variable.secret);
    let mut rest = written;
    while let Some((before, name, after)) = reference(rest) {
        text.push_str(before);
        let target = last.get(name).copied();
        match target.filter(|target| resolve(variables, last, known, *target, depth + 1)) {
            Some(target) => {
                if let Some(Known::Done(value, hidden)) = known.get(&target) {
                    text.push_str(value.expose());
                    secret |= hidden;
                }
            }
            None => text.push_str(&rest[before.len()..rest.len() - after.len()]),
        }
        rest = after;
        if text.len() > LIMIT {
            break;
        }
    }
    text.push_str(rest);
    let done = match text.len() > LIMIT && text.len() > written.len() {
        true => Known::Done(Secret::new(written), variable.secret),
        false => Known::Done(Secret::new(text), secret),
    };
    known.insert(at, done);
    true
}

/// The first `${NAME}` of a text: what stands before it, the name, what stands after it.
fn reference(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("${") {
        let start = from + found;
        let inside = &text[start + 2..];
        let name_end = inside
            .bytes()
            .position(|b| !(b.is_ascii_alphanumeric() || b == b'_'))?;
        let starts_well = inside.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if name_end > 0 && starts_well && inside.as_bytes()[name_end] == b'}' {
            return Some((&text[..start], &inside[..name_end], &inside[name_end + 1..]));
        }
        from = start + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variable(name: &str, value: &str, secret: bool) -> Variable {
        Variable {
            name: name.to_owned(),
            value: Secret::new(value),
            secret,
        }
    }

    fn expanded(given: &[(&str, &str)]) -> Vec<String> {
        let given = given
            .iter()
            .map(|(name, value)| variable(name, value, false));
        let expanded = expand(given.collect()).into_iter();
        expanded.map(|v| v.value.expose().to_owned()).collect()
    }

    #[test]
    fn references_are_replaced_and_all_else_stays() {
        for (given, expected) in [
            (&[("A", "1"), ("B", "x${A}y${A}")][..], &["1", "x1y1"][..]),
            (
                &[("B", "${A}"), ("A", "${C}"), ("C", "3")],
                &["3", "3", "3"],
            ),
            (
                &[("A", "${NOPE}$A ${ ${A"), ("B", "$${}")],
                &["${NOPE}$A ${ ${A", "$${}"],
            ),
            (&[("A", "${A}:/x")], &["${A}:/x"]),
            (&[("A", "1"), ("B", "${A}"), ("A", "2")], &["1", "2", "2"]),
            (&[("A", "${1}${a b}${é}")], &["${1}${a b}${é}"]),
            (&[("A", "$${B}"), ("B", "2")], &["$2", "2"]),
        ] {
            assert_eq!(expanded(given), expected, "{given:?}");
        }
    }

    #[test]
    fn a_loop_is_left_as_written_where_it_closes() {
        let both = expanded(&[("A", "a${B}"), ("B", "b${A}"), ("C", "${A}")]);
        assert_eq!(both[1], "b${A}");
        assert_eq!(both[0], "ab${A}");
        assert_eq!(both[2], "ab${A}");
    }

    #[test]
    fn what_takes_in_a_secret_is_one() {
        let given = vec![
            variable("TOKEN", "hunter2", true),
            variable("URL", "https://x:${TOKEN}@h", false),
            variable("MORE", "${URL}", false),
            variable("PLAIN", "${MISSING}", false),
        ];
        let secret: Vec<bool> = expand(given).iter().map(|v| v.secret).collect();
        assert_eq!(secret, [true, true, true, false]);
    }

    #[test]
    fn values_do_not_grow_without_a_bound() {
        let mut given = vec![variable("V0", &"x".repeat(1024), false)];
        for n in 1..40 {
            let value = format!("${{V{0}}}${{V{0}}}", n - 1);
            given.push(variable(&format!("V{n}"), &value, false));
        }
        let expanded = expand(given);
        assert_eq!(expanded[5].value.expose().len(), 1024 << 5);
        let most = expanded.iter().map(|v| v.value.expose().len()).max();
        assert!(most.unwrap() <= LIMIT);
    }

    proptest! {
        #[test]
        fn nothing_is_too_strange(
            values in prop::collection::vec("[$\\{\\}AB1_é ]{0,20}", 1..6),
        ) {
            let names = ["A", "B", "AB", "A1", "_", "B_"];
            let given: Vec<_> = values
                .iter()
                .zip(names)
                .map(|(value, name)| variable(name, value, false))
                .collect();
            let count = given.len();
            prop_assert_eq!(expand(given).len(), count);
        }
    }
}
