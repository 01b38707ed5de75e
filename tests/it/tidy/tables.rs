//! The tables in `docs/ARCHITECTURE.md`, and what they say about modules.
//!
//! Takes Markdown, gives rows; takes rows and what the code imports, gives what differs. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// A table between `<!-- mark -->` and `<!-- /mark -->`, without its head.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
}

/// One row's cells.
#[derive(Debug)]
pub(super) struct Row(Vec<String>);

impl Table {
    /// Reads the marked table; an error when it is not there or empty.
    pub(super) fn read(page: &str, mark: &str) -> Result<Self, String> {
        let missing =
            || format!("the page has no table between `<!-- {mark} -->` and `<!-- /{mark} -->`");
        let (_, after) = page
            .split_once(&format!("<!-- {mark} -->"))
            .ok_or_else(missing)?;
        let (inside, _) = after
            .split_once(&format!("<!-- /{mark} -->"))
            .ok_or_else(missing)?;
        let lines = inside.lines().filter(|line| line.starts_with('|'));
        let rows: Vec<_> = lines.skip(2).map(Row::read).collect();
        if rows.is_empty() {
            Err(missing())
        } else {
            Ok(Self { rows })
        }
    }
}

impl Row {
    fn read(line: &str) -> Self {
        let cells = line.trim().trim_matches('|').split('|');
        Self(cells.map(|cell| cell.trim().to_owned()).collect())
    }

    /// A cell's text; empty when the row is shorter.
    pub(super) fn cell(&self, column: usize) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }

    /// The words in backticks of a cell.
    pub(super) fn words(&self, column: usize) -> Vec<String> {
        quoted(self.cell(column)).map(str::to_owned).collect()
    }
}

/// What a module may import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Imports {
    /// Everything: the row is there for its meaning.
    Any,
    /// Nothing, but anyone may import it.
    Leaf,
    /// These, and leaves.
    Only(BTreeSet<String>),
}

impl Imports {
    /// Reads a cell: `any`, `leaf`, or names in backticks (none for a dash).
    pub(super) fn read(cell: &str) -> Self {
        match cell {
            "any" => Self::Any,
            "leaf" => Self::Leaf,
            names => Self::Only(quoted(names).map(str::to_owned).collect()),
        }
    }
}

/// Where the code and the map differ.
pub(super) fn module_violations(
    table: &[(String, Imports)],
    imported: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let rows: BTreeMap<_, _> = table
        .iter()
        .map(|(name, may)| (name.as_str(), may))
        .collect();
    let mut found = Vec::new();
    for name in rows.keys().filter(|name| !imported.contains_key(**name)) {
        found.push(format!("the map has a module `{name}`, the code has none"));
    }
    for (module, others) in imported {
        let Some(may) = rows.get(module.as_str()) else {
            found.push(format!(
                "module `{module}` is not in the map (docs/ARCHITECTURE.md)"
            ));
            continue;
        };
        let fine = |other: &String| match may {
            Imports::Any => true,
            Imports::Leaf => false,
            Imports::Only(names) => {
                names.contains(other) || rows.get(other.as_str()) == Some(&&Imports::Leaf)
            }
        };
        let wrong = others.iter().filter(|other| !fine(other));
        found
            .extend(wrong.map(|other| {
                format!("`{module}` imports `{other}`, which the map does not allow")
            }));
    }
    found
}

/// A way along allowed imports that ends where it began.
pub(super) fn cycle(table: &[(String, Imports)]) -> Option<Vec<String>> {
    table
        .iter()
        .find_map(|(start, _)| way(table, start, start, &mut Vec::new()))
}

fn way(
    table: &[(String, Imports)],
    from: &str,
    to: &str,
    seen: &mut Vec<String>,
) -> Option<Vec<String>> {
    let (_, Imports::Only(names)) = table.iter().find(|(name, _)| name == from)? else {
        return None;
    };
    for next in names {
        if next == to {
            return Some(vec![from.to_owned(), to.to_owned()]);
        }
        if !seen.contains(next) {
            seen.push(next.clone());
            if let Some(mut rest) = way(table, next, to, seen) {
                rest.insert(0, from.to_owned());
                return Some(rest);
            }
        }
    }
    None
}

/// Targets of relative links.
pub(super) fn links(page: &str) -> Vec<String> {
    let targets = page
        .match_indices("](")
        .filter_map(|(at, _)| page[at + 2..].split(')').next());
    let targets = targets.map(|target| target.split('#').next().unwrap_or_default());
    let relative = targets.filter(|target| !target.is_empty() && !target.contains("://"));
    relative.map(str::to_owned).collect()
}

/// Words in backticks that are paths of this repository.
pub(super) fn paths(page: &str) -> Vec<String> {
    let folders = [
        "src/",
        "crates/",
        "docs/",
        "scripts/",
        "tests/",
        "runner-image/",
    ];
    let path = |word: &&str| {
        let plain = !word.contains(|c: char| c.is_whitespace() || "*{<…$".contains(c));
        plain && folders.iter().any(|folder| word.starts_with(folder))
    };
    page.lines()
        .flat_map(quoted)
        .filter(path)
        .map(str::to_owned)
        .collect()
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "x\n<!-- t -->\n\n| module | meaning | may import |\n|---|---|---|\n\
        | `a` | first | – |\n| `b` | second | `a` |\n| `l` | small | leaf |\n\n<!-- /t -->\n";

    fn table() -> Vec<(String, Imports)> {
        let table = Table::read(PAGE, "t").unwrap();
        table
            .rows
            .iter()
            .map(|row| (row.words(0)[0].clone(), Imports::read(row.cell(2))))
            .collect()
    }

    fn imported(edges: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        edges
            .iter()
            .map(|(name, others)| ((*name).to_owned(), set(others)))
            .collect()
    }

    #[test]
    fn a_table_is_read_or_missed() {
        assert_eq!(
            table()[1],
            ("b".to_owned(), Imports::Only(["a".to_owned()].into()))
        );
        assert_eq!(table()[2].1, Imports::Leaf);
        assert!(Table::read(PAGE, "other").is_err());
        assert!(Table::read("<!-- t -->\n<!-- /t -->", "t").is_err());
    }

    #[test]
    fn a_wrong_import_is_found() {
        let fine: [(&str, &[&str]); 3] = [("a", &["l"]), ("b", &["a", "l"]), ("l", &[])];
        assert!(module_violations(&table(), &imported(&fine)).is_empty());
        for (module, other) in [("a", "b"), ("b", "c"), ("l", "a")] {
            let mut code = imported(&fine);
            code.get_mut(module).unwrap().insert(other.to_owned());
            assert_eq!(
                module_violations(&table(), &code).len(),
                1,
                "{module} {other}"
            );
        }
    }

    #[test]
    fn a_module_that_only_one_side_knows_is_found() {
        let more = imported(&[("a", &[]), ("b", &[]), ("l", &[]), ("new", &[])]);
        assert_eq!(module_violations(&table(), &more).len(), 1);
        let fewer = imported(&[("a", &[]), ("l", &[])]);
        assert_eq!(module_violations(&table(), &fewer).len(), 1);
    }

    #[test]
    fn a_cycle_in_the_map_is_found() {
        assert_eq!(cycle(&table()), None);
        let only = |name: &str| Imports::Only([name.to_owned()].into());
        let round = [
            ("a".to_owned(), only("b")),
            ("b".to_owned(), only("c")),
            ("c".to_owned(), only("a")),
        ];
        assert_eq!(cycle(&round).unwrap(), ["a", "b", "c", "a"]);
    }

    #[test]
    fn links_and_paths_are_found() {
        let page =
            "[a](b.md#c) [d](https://e.org/f) [g](#h) `src/x.rs` `src/*.rs` `cargo test` `src/{a}`";
        assert_eq!(links(page), ["b.md"]);
        assert_eq!(paths(page), ["src/x.rs"]);
    }
}
