//! Rules on the text of one source file.
//!
//! Takes a path and its text, gives what breaks a rule. Pure. Comments are not code: what they name is not
//! used.

use std::collections::BTreeSet;

/// Hard limit on lines of a file, tests included.
const MAX_LINES: usize = 600;

/// What each file has to keep: an opening `//!`, its length, lints that are expected instead of allowed.
pub(super) fn file_violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push(format!(
            "{path}: does not begin with `//!` (takes, gives, never)"
        ));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("{path}: {lines} lines, the limit is {MAX_LINES}"));
    }
    for (number, line) in code(text) {
        // Put together here, so that this file does not break its own rule.
        if ["[", "!["]
            .iter()
            .any(|open| line.contains(&format!("#{open}{}(", "allow")))
        {
            found.push(format!(
                "{path}:{number}: allows a lint; use #[expect(lint, reason = \"…\")]"
            ));
        }
        if line.starts_with("use super::") && is_module_root(path) {
            found.push(format!(
                "{path}:{number}: imports a neighbour by `super::`; write `crate::`"
            ));
        }
    }
    found
}

/// `src/x.rs` and `src/x/mod.rs`: there `super::` is the crate's root, which the map speaks of.
fn is_module_root(path: &str) -> bool {
    let inside = path
        .strip_prefix("src/")
        .or_else(|| path.split_once("/src/").map(|(_, rest)| rest));
    let Some(inside) = inside else { return false };
    let parts: Vec<_> = inside.split('/').collect();
    matches!(parts[..], [_] | [_, "mod.rs"])
}

/// Uses of `word` in a file that is not in one of `places`.
pub(super) fn door_violations(
    path: &str,
    text: &str,
    word: &str,
    places: &[String],
) -> Vec<String> {
    let within = |place: &String| path == place || path.starts_with(&format!("{place}/"));
    if path.starts_with("tests/it/tidy") || places.iter().any(within) {
        return Vec::new();
    }
    let hits = code(text).filter(|(_, line)| line.contains(word));
    hits.map(|(number, _)| format!("{path}:{number}: `{word}` belongs into {places:?} only"))
        .collect()
}

/// First segments of all `crate::` paths in the code of a file.
pub(super) fn imports(text: &str) -> BTreeSet<String> {
    let code: String = code(text).map(|(_, line)| line.to_owned() + "\n").collect();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` and `my_crate::` are other things.
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || "_$".contains(before)) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.extend(head(rest)),
        }
    }
    found
}

fn head(path: &str) -> Option<String> {
    let end = path.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    let name = &path[..end.unwrap_or(path.len())];
    (!name.is_empty()).then(|| name.to_owned())
}

/// First segments of `a::b, c::{d, e}}` up to the group's own closing brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.extend(head(group[start..at].trim_start()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.extend(head(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// Lines that are not comments, numbered from 1.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn a_file_without_its_opening_words_is_found() {
    assert_eq!(
        file_violations("src/a.rs", "//! Fine.\n"),
        Vec::<String>::new()
    );
    assert_eq!(file_violations("src/a.rs", "use x;\n").len(), 1);
    assert_eq!(file_violations("src/a.rs", "").len(), 1);
}

#[test]
fn a_file_that_is_too_long_is_found() {
    let text = |lines: usize| "//! Fine.\n".to_owned() + &"x\n".repeat(lines - 1);
    assert!(file_violations("src/a.rs", &text(600)).is_empty());
    assert_eq!(file_violations("src/a.rs", &text(601)).len(), 1);
}

#[test]
fn an_allowed_lint_is_found() {
    for line in ["#[X(dead_code)]", "    #![X(clippy::all, reason = \"r\")]"] {
        let text = format!("//! Fine.\n{}\n", line.replace('X', "allow"));
        assert_eq!(file_violations("src/a.rs", &text).len(), 1, "{line}");
    }
    let comment = "//! Fine.\n// #[X(x)]\n".replace('X', "allow");
    assert!(file_violations("src/a.rs", &comment).is_empty());
}

#[test]
fn a_neighbour_by_super_is_found() {
    let text = "//! Fine.\nuse super::job;\n";
    assert_eq!(file_violations("src/a.rs", text).len(), 1);
    assert_eq!(file_violations("crates/server/src/a/mod.rs", text).len(), 1);
    assert!(file_violations("src/a/b.rs", text).is_empty());
    assert!(file_violations("src/a.rs", "//! Fine.\n    use super::*;\n").is_empty());
}

#[test]
fn a_thing_out_of_its_place_is_found() {
    let places = ["src/engine/docker".to_owned()];
    let check = |path: &str, text: &str| door_violations(path, text, "bollard", &places).len();
    assert_eq!(check("src/job/mod.rs", "//! x\nuse bollard::Docker;\n"), 1);
    assert_eq!(check("src/engine/docker_two.rs", "bollard::x();\n"), 1);
    assert_eq!(
        check("src/engine/docker/mod.rs", "use bollard::Docker;\n"),
        0
    );
    assert_eq!(check("src/job/mod.rs", "/// Not bollard.\n"), 0);
}

#[test]
fn imports_are_found_however_they_are_written() {
    let text = "//! crate::no\nuse crate::a::B;\npub use crate::{c, d::{e, f}, g::H};\n    crate::i::j();\n\
        $crate::k; my_crate::l; pub(crate) fn x() {} use crate::Thing;\n";
    let expected: BTreeSet<_> = ["a", "c", "d", "g", "i"].map(str::to_owned).into();
    assert_eq!(imports(text), expected);
}
