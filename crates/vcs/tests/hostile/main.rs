//! What an agent lets through and what it does not, vendor by vendor.
//!
//! Every row of the tables is asked for as gateways do, then in all the ways in which somebody who owns a gateway
//! would try to get more out of it.

mod cases;
mod families;
mod property;

use std::collections::BTreeSet;

use gantry_vcs_agent::blocklist::Blocklist;
use gantry_vcs_agent::project::AllowedProjects;
use gantry_vcs_agent::route::{self, Pace, Place};
use gantry_vcs_agent::rules::{Admitted, Asked, Refusal, Rules};
use gantry_vcs_agent::vendor::Vendor;

/// A body that the GraphQL row lets through.
const GRAPHQL: &str = r#"{"query":"{ repository(owner: \"team\", name: \"app\") { id } }"}"#;

/// A body that the rows for notes let through.
const NOTE: &str = r#"{"body":"Plan: 1 to add"}"#;

fn rules(vendor: Vendor, allowed: &str) -> Rules {
    let allowed = AllowedProjects::parse(allowed).expect("an expression");
    Rules::new(vendor, allowed, Blocklist::default())
}

fn ask(rules: &Rules, method: &str, target: &str) -> Result<Admitted, Refusal> {
    let body = if target.ends_with("/graphql") {
        GRAPHQL
    } else {
        NOTE
    };
    with_body(rules, method, target, body)
}

fn with_body(rules: &Rules, method: &str, target: &str, body: &str) -> Result<Admitted, Refusal> {
    rules.admit(&Asked {
        method,
        target,
        body: body.as_bytes(),
    })
}

#[test]
fn notes_at_gitlab_give_no_orders() {
    let gitlab = rules(Vendor::Gitlab, ".*");
    let notes = cases::of(Vendor::Gitlab)
        .iter()
        .filter(|case| case.target.contains("/notes") || case.target.ends_with("/comments"));
    let notes: Vec<_> = notes.collect();
    assert_eq!(notes.len(), 3);
    for case in notes {
        for body in [
            r#"{"body":"fine\n/merge"}"#,
            r#"{"note":"/tag v1"}"#,
            "body=%2Fmerge",
            "",
        ] {
            let refusal = with_body(&gitlab, case.method, case.target, body).unwrap_err();
            assert_eq!(refusal.purpose(), Some(case.purpose));
        }
        let by_query = format!("{}?body=%2Fmerge", case.target);
        assert!(ask(&gitlab, case.method, &by_query).is_err());
    }
}

#[test]
fn every_row_is_let_through_with_its_purpose_and_project() {
    for vendor in Vendor::ALL {
        let rules = rules(vendor, ".*");
        let mut rows = BTreeSet::new();
        for case in cases::of(vendor) {
            let admitted = ask(&rules, case.method, case.target)
                .unwrap_or_else(|refusal| panic!("{vendor} {case:?}: {refusal}"));
            assert_eq!(admitted.purpose(), case.purpose, "{vendor} {case:?}");
            assert_eq!(
                admitted.project().unwrap_or_default(),
                case.project,
                "{case:?}"
            );
            assert_eq!(admitted.method().as_str(), case.method);
            assert!(admitted.filter().is_none(), "nothing is kept out");
            rows.insert(format!("`{}`", admitted.row()));
        }
        if vendor == Vendor::GithubEnterprise {
            for path in ["/graphql", "/api/graphql"] {
                let admitted = ask(&rules, "POST", path).unwrap();
                assert_eq!(admitted.purpose(), "GraphQL Endpoint");
                assert_eq!(admitted.project(), Some("team/app"));
                rows.insert(format!("`{}`", admitted.row()));
            }
        }
        let page = route::page(vendor);
        let all = page
            .lines()
            .skip(2)
            .filter_map(|line| line.split(" | ").nth(1));
        let never: Vec<_> = all.filter(|row| !rows.contains(*row)).collect();
        assert!(never.is_empty(), "{vendor}: rows without a case: {never:?}");
    }
}

#[test]
fn pace_and_place_follow_from_the_row() {
    let github = rules(Vendor::GithubEnterprise, ".*");
    for (target, pace, place) in [
        ("/team/app/legacy.tar.gz/main", Pace::Bulk, Place::Codeload),
        (
            "/codeload-org/app/legacy.tar.gz/main",
            Pace::Bulk,
            Place::Codeload,
        ),
        (
            "/_codeload-org/app/legacy.tar.gz/main",
            Pace::Bulk,
            Place::Codeload,
        ),
        (
            "/codeload/team/app/legacy.tar.gz/main",
            Pace::Bulk,
            Place::Base,
        ),
        (
            "/_codeload/team/app/legacy.tar.gz/main",
            Pace::Bulk,
            Place::Base,
        ),
        (
            "/team/app.git/info/refs?service=git-upload-pack",
            Pace::Bulk,
            Place::Base,
        ),
        ("/repos/team/app", Pace::Short, Place::Base),
    ] {
        let admitted = ask(&github, "GET", target).unwrap();
        assert_eq!(
            (admitted.pace(), admitted.place()),
            (pace, place),
            "{target}"
        );
    }
    let azure = rules(Vendor::AzureDevops, ".*");
    let items = "/org/team/_apis/git/repositories/app/items?path=%2F";
    assert_eq!(ask(&azure, "GET", items).unwrap().pace(), Pace::Short);
    let zip = format!("{items}&$format=zip");
    assert_eq!(ask(&azure, "GET", &zip).unwrap().pace(), Pace::Bulk);
}

#[test]
fn hostile_requests_of_each_vendor_are_refused() {
    for vendor in Vendor::ALL {
        let rules = rules(vendor, ".*");
        let hostile = families::of(vendor);
        let mut passed = Vec::new();
        for asked in &hostile {
            if let Ok(admitted) = ask(&rules, &asked.method, &asked.target) {
                passed.push(format!(
                    "{} {}: {}",
                    asked.method,
                    asked.target,
                    admitted.row()
                ));
            }
        }
        assert!(passed.is_empty(), "{vendor}:\n{}", passed.join("\n"));
        let different: BTreeSet<_> = hostile.iter().map(|h| (&h.method, &h.target)).collect();
        // The families make more than 12,000 of each vendor; fewer means that one of them is gone.
        assert!(
            different.len() >= 10_000,
            "{vendor}: only {}",
            different.len()
        );
    }
}

#[test]
fn projects_are_held_to_whole_names_on_every_vendor() {
    for vendor in Vendor::ALL {
        let ours = if vendor == Vendor::AzureDevops {
            "org/team/app"
        } else {
            "team/app"
        };
        let rules = rules(vendor, ours);
        for case in cases::of(vendor).iter().filter(|case| case.project == ours) {
            ask(&rules, case.method, case.target)
                .unwrap_or_else(|refusal| panic!("{vendor} {case:?}: {refusal}"));
            for (name, other) in families::look_alikes() {
                let Some(target) = families::with_project(case.target, name, other) else {
                    continue;
                };
                let refusal = ask(&rules, case.method, &target).expect_err(&target);
                let texts = ["allowed projects regexp", "no match for request"];
                let told = refusal.for_gateway();
                assert!(texts.iter().any(|text| told.contains(text)), "{told}");
            }
        }
        for case in cases::of(vendor) {
            let kept_out = case.project != ours && !case.project.is_empty();
            let verdict = ask(&rules, case.method, case.target);
            assert_eq!(verdict.is_err(), kept_out, "{vendor} {case:?}");
            if case.project.is_empty() && case.purpose.starts_with("List Repo") {
                assert!(verdict.unwrap().filter().is_some(), "{vendor} {case:?}");
            }
        }
    }
}

#[test]
fn ids_are_held_to_the_expression_too() {
    let id = "6ce954b1-ce1f-45d1-b94d-e6bf2464ba2c";
    let azure = |repository: &str| format!("/org/team/_apis/git/repositories/{repository}");
    let gitlab = |id: u32| format!("/api/v4/projects/{id}");
    for (vendor, allowed, target, admitted) in [
        (Vendor::Gitlab, "team/.*", gitlab(17), false),
        (Vendor::Gitlab, "team/.*|17", gitlab(17), true),
        (Vendor::Gitlab, "team/.*|17", gitlab(170), false),
        (Vendor::AzureDevops, "org/team/.*", azure("app"), true),
        (Vendor::AzureDevops, "org/team/.*", azure(id), false),
        (
            Vendor::AzureDevops,
            "org/team/.*",
            azure(&id.replace('-', "")),
            false,
        ),
        (
            Vendor::AzureDevops,
            "org/.*",
            format!("/org/{id}/_apis/git/repositories/app"),
            false,
        ),
        (
            Vendor::AzureDevops,
            "org/team/(app|6ce954b1-ce1f-45d1-b94d-e6bf2464ba2c)",
            azure(&id.to_uppercase()),
            true,
        ),
    ] {
        let verdict = ask(&rules(vendor, allowed), "GET", &target);
        assert_eq!(
            verdict.is_ok(),
            admitted,
            "{vendor} {allowed} {target}: {verdict:?}"
        );
    }
}

#[test]
fn second_projects_and_what_is_above_projects_are_held_to_it() {
    let compare = "/api/v4/projects/team%2Fapp/repository/compare?from=a&to=b&from_project_id=9";
    let changes = "/rest/api/1.0/projects/team/repos/app/compare/changes?fromRepo=other%2Fapp";
    let evaluations = "/org/team/_apis/policy/evaluations";
    for (vendor, allowed, target, admitted) in [
        (Vendor::Gitlab, "team/.*", compare, false),
        (Vendor::Gitlab, "team/.*|9", compare, true),
        (Vendor::BitbucketDatacenter, "team/.*", changes, false),
        (
            Vendor::BitbucketDatacenter,
            "(team|other)/.*",
            changes,
            true,
        ),
        (Vendor::AzureDevops, "org/team/.*", evaluations, false),
        (Vendor::AzureDevops, "org/team(/.*)?", evaluations, true),
        (
            Vendor::GithubEnterprise,
            "TEAM/APP",
            "/repos/Team/App",
            true,
        ),
    ] {
        let verdict = ask(&rules(vendor, allowed), "GET", target);
        assert_eq!(
            verdict.is_ok(),
            admitted,
            "{vendor} {allowed} {target}: {verdict:?}"
        );
    }
    let github = rules(Vendor::GithubEnterprise, "other/.*");
    let refusal = ask(&github, "POST", "/api/graphql").unwrap_err();
    assert_eq!(refusal.project(), Some("team/app"));
}

#[test]
fn a_blocklist_wins_over_the_table_and_sees_through_ways_of_writing() {
    let list =
        "version: '1.0'\nrules: [{name: no secret, path: '^/(api/v4/projects/)?team/secret'}]";
    let list = Blocklist::parse(list, "block.yaml").unwrap();
    let rules = Rules::new(Vendor::Gitlab, AllowedProjects::every(), list);
    for target in [
        "/team/secret.git/info/refs?service=git-upload-pack",
        "/TEAM/Secret.git/info/refs?service=git-upload-pack",
        "/%74eam/secret/info/refs?service=git-upload-pack",
        "/api/v4/projects/team%2Fsecret",
        "/api/v4/projects/team%2fse%63ret/repository/archive",
    ] {
        let refusal = ask(&rules, "GET", target).expect_err(target);
        assert_eq!(
            refusal.for_gateway(),
            "request blocked by rule \"no secret\""
        );
        assert!(refusal.purpose().is_some() && refusal.project().is_some());
    }
    for around in ["/x/../team/secret", "//team/secret", "/./team/secret"] {
        let refusal = ask(&rules, "GET", around).expect_err(around);
        assert_eq!(
            refusal.for_gateway(),
            "invalid request: vcs-agent: no match for request"
        );
    }
    assert!(ask(&rules, "GET", "/api/v4/projects/team%2Fapp").is_ok());
}
