//! Licences, sources and banned crates of everything that is linked, by the rules of `deny.toml`.
//!
//! Runs everywhere; `cargo deny` reads the same file where it is installed and adds the advisories.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test"
)]

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{Metadata, MetadataCommand, Package, PackageId};
use serde::Deserialize;
use spdx::{Expression, LicenseReq, ParseMode};

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    clarify: Vec<Clarified>,
}

/// A package whose manifest names a licence file instead of a licence.
#[derive(Deserialize)]
struct Clarified {
    #[serde(rename = "crate")]
    name: String,
    expression: String,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn rules() -> Deny {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

/// The graph for the two targets that are released: what a lock file also lists for other systems is not used.
fn graphs() -> Vec<Metadata> {
    let targets = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];
    let graph = |target: &str| {
        let options = ["--locked", "--filter-platform", target];
        let mut command = MetadataCommand::new();
        command.manifest_path(root().join("Cargo.toml"));
        command
            .other_options(options.map(str::to_owned))
            .exec()
            .unwrap()
    };
    targets.into_iter().map(graph).collect()
}

/// Packages that the graph really reaches.
fn used(graph: &Metadata) -> impl Iterator<Item = &Package> {
    let nodes = &graph.resolve.as_ref().unwrap().nodes;
    let reached: BTreeSet<&PackageId> = nodes.iter().map(|node| &node.id).collect();
    graph
        .packages
        .iter()
        .filter(move |package| reached.contains(&package.id))
}

fn licence<'a>(package: &'a Package, clarify: &'a [Clarified]) -> &'a str {
    let by_file = || {
        let clarified = clarify
            .iter()
            .find(|entry| entry.name == package.name.as_str());
        clarified.map(|entry| entry.expression.as_str())
    };
    package
        .license
        .as_deref()
        .or_else(by_file)
        .unwrap_or_default()
}

fn allowed(allow: &[String], requirement: &LicenseReq) -> bool {
    allow.iter().any(|text| {
        let licensee = spdx::Licensee::parse(text);
        licensee.is_ok_and(|licensee| licensee.satisfies(requirement))
    })
}

#[test]
fn every_licence_is_an_allowed_one() {
    let Licenses { allow, clarify } = rules().licenses;
    let mut refused = BTreeSet::new();
    for graph in graphs() {
        for package in used(&graph) {
            let licence = licence(package, &clarify);
            let expression = Expression::parse_mode(licence, ParseMode::LAX);
            let fine = expression
                .is_ok_and(|expression| expression.evaluate(|found| allowed(&allow, found)));
            if !fine {
                refused.insert(format!("{} {}: `{licence}`", package.name, package.version));
            }
        }
    }
    assert!(refused.is_empty(), "not allowed by deny.toml: {refused:#?}");
}

#[test]
fn no_banned_crate_is_linked() {
    let bans = rules().bans.deny;
    for graph in graphs() {
        for package in used(&graph) {
            let ban = bans.iter().find(|ban| ban.name == package.name.as_str());
            assert!(
                ban.is_none(),
                "{}: {}",
                package.name,
                ban.map_or("", |ban| &ban.reason)
            );
        }
    }
}

#[test]
fn there_is_one_version_of_the_tls_stack() {
    for name in [
        "rustls",
        "ring",
        "rustls-webpki",
        "hickory-resolver",
        "reqwest",
    ] {
        for graph in graphs() {
            let versions: BTreeSet<_> = used(&graph)
                .filter(|package| package.name.as_str() == name)
                .map(|package| package.version.to_string())
                .collect();
            assert_eq!(versions.len(), 1, "{name}: {versions:?}");
        }
    }
}

#[test]
fn everything_comes_from_an_allowed_registry() {
    let allow = rules().sources.allow_registry;
    for graph in graphs() {
        for package in used(&graph) {
            let Some(source) = &package.source else {
                continue;
            };
            let known = allow
                .iter()
                .any(|url| source.repr == format!("registry+{url}"));
            assert!(known, "{} comes from {source}", package.name);
        }
    }
}

/// The rules must be able to fail: the graph holds no such crate, so each is shown on a made-up one.
#[test]
fn the_licence_rule_refuses_what_is_not_listed() {
    let allow = rules().licenses.allow;
    let rows = [
        ("MIT OR GPL-3.0-only", true),
        ("MIT AND GPL-3.0-only", false),
        ("GPL-3.0-only", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("AGPL-3.0-or-later", false),
    ];
    for (licence, fine) in rows {
        let expression = Expression::parse(licence).unwrap();
        assert_eq!(
            expression.evaluate(|found| allowed(&allow, found)),
            fine,
            "{licence}"
        );
    }
}
