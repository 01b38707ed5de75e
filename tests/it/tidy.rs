//! The repository's own rules, checked on its source and on `docs/ARCHITECTURE.md`.
//!
//! Takes texts and tables, gives a list of what breaks a rule, each line naming the file and the rule. Every check is
//! a pure function that is also run on a bad sample: one that can't fail would prove nothing. Never: a rule that is
//! only here and in no document.

mod code;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

use code::{door_violations, file_violations, imports};
use tables::{Imports, Table, cycle, module_violations};

/// A source file: path from the repository's root, and its text.
struct Source {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn architecture() -> String {
    read("docs/ARCHITECTURE.md")
}

/// Files below `directory` whose names end in `.extension`, sorted.
fn files(directory: &str, extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = vec![root().join(directory)];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let short = path.strip_prefix(root()).unwrap().to_str().unwrap();
                found.push(Source {
                    path: short.to_owned(),
                    text: read(short),
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn all_rust() -> Vec<Source> {
    ["src", "crates", "tests"]
        .iter()
        .flat_map(|directory| files(directory, "rs"))
        .collect()
}

fn none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn every_file_keeps_the_rules_of_files() {
    let sources = all_rust();
    assert!(sources.len() > 100, "only {} files found", sources.len());
    let mut violations = Vec::new();
    for source in &sources {
        violations.extend(file_violations(&source.path, &source.text));
    }
    none(&violations);
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a list for people, shown with --nocapture"
)]
fn files_over_the_goal_of_400_lines_are_few() {
    let sources = all_rust();
    let long = sources
        .iter()
        .map(|source| (source.text.lines().count(), &source.path));
    let long: Vec<_> = long.filter(|(lines, _)| *lines > 400).collect();
    for (lines, path) in &long {
        eprintln!("{path}: {lines} lines, the goal is 400");
    }
    let share = long.len() * 100 / sources.len();
    assert!(
        share < 5,
        "{} of {} files are over 400 lines",
        long.len(),
        sources.len()
    );
}

#[test]
fn things_with_one_place_are_only_there() {
    let doors = Table::read(&architecture(), "doors").unwrap();
    assert!(doors.rows.len() >= 2, "the table of doors is gone");
    let mut violations = Vec::new();
    for row in &doors.rows {
        let (code, places) = (&row.words(1)[0], row.words(2));
        let hits: Vec<_> = places
            .iter()
            .filter(|place| !root().join(place).exists())
            .collect();
        assert!(hits.is_empty(), "places that do not exist: {hits:?}");
        for source in all_rust() {
            violations.extend(door_violations(&source.path, &source.text, code, &places));
        }
    }
    none(&violations);
}

/// Which module below `directory` imports which others, from its `crate::` paths.
fn imported(directory: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in files(directory, "rs") {
        let inside = source.path.strip_prefix(&format!("{directory}/")).unwrap();
        let module = inside
            .split('/')
            .next()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if !["lib", "main"].contains(&module.as_str()) {
            let others = imports(&source.text)
                .into_iter()
                .filter(|other| *other != module);
            found.entry(module.clone()).or_default().extend(others);
        }
    }
    found
}

fn module_table(mark: &str) -> Vec<(String, Imports)> {
    let table = Table::read(&architecture(), mark).unwrap();
    table
        .rows
        .iter()
        .map(|row| (row.words(0)[0].clone(), Imports::read(row.cell(2))))
        .collect()
}

#[test]
fn the_launchers_modules_import_what_the_map_says() {
    let table = module_table("launcher-modules");
    none(&module_violations(&table, &imported("src")));
    assert_eq!(cycle(&table), None, "the map itself has a cycle");
    let order: Vec<_> = read("src/lib.rs")
        .lines()
        .filter_map(|line| {
            line.strip_prefix("pub mod ")?
                .strip_suffix(';')
                .map(str::to_owned)
        })
        .collect();
    let rows: Vec<_> = table.into_iter().map(|(name, _)| name).collect();
    assert_eq!(order, rows, "src/lib.rs and the map are in another order");
}

#[test]
fn the_servers_modules_import_what_the_map_says() {
    none(&module_violations(
        &module_table("server-modules"),
        &imported("crates/server/src"),
    ));
}

#[test]
fn the_vcs_agents_modules_import_what_the_map_says() {
    let table = module_table("vcs-modules");
    none(&module_violations(&table, &imported("crates/vcs/src")));
    assert_eq!(cycle(&table), None, "the map itself has a cycle");
}

#[test]
fn the_crates_depend_on_each_other_as_the_map_says() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    let names: BTreeSet<String> = metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let edges = |package: &cargo_metadata::Package, dev: bool| -> BTreeSet<String> {
        let kind = |kind| (kind == DependencyKind::Development) == dev;
        let ours = package
            .dependencies
            .iter()
            .filter(|edge| kind(edge.kind) && names.contains(&edge.name));
        ours.map(|edge| edge.name.clone()).collect()
    };
    let found: Vec<_> = metadata
        .packages
        .iter()
        .map(|package| {
            (
                package.name.to_string(),
                edges(package, false),
                edges(package, true),
            )
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let table = Table::read(&architecture(), "crates").unwrap();
    let set = |words: Vec<String>| words.into_iter().collect::<BTreeSet<_>>();
    let written: Vec<_> = table
        .rows
        .iter()
        .map(|row| {
            (
                row.words(0)[0].clone(),
                set(row.words(3)),
                set(row.words(4)),
            )
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(
        found, written,
        "Cargo.toml files (left) and docs/ARCHITECTURE.md (right) differ"
    );
}

#[test]
fn documents_name_files_that_exist() {
    let mut pages = files("docs", "md");
    for page in ["README.md", "CONTRIBUTING.md"] {
        pages.push(Source {
            path: page.to_owned(),
            text: read(page),
        });
    }
    let mut violations = Vec::new();
    for page in &pages {
        let folder = Path::new(&page.path).parent().unwrap();
        let links = tables::links(&page.text)
            .into_iter()
            .map(|link| folder.join(link));
        let paths = tables::paths(&page.text).into_iter().map(PathBuf::from);
        for path in links.chain(paths) {
            if !root().join(&path).exists() {
                violations.push(format!(
                    "{}: `{}` does not exist",
                    page.path,
                    path.display()
                ));
            }
        }
    }
    none(&violations);
}
