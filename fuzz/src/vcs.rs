//! Requests that a gateway asks an agent for.

use gantry_vcs_agent::blocklist::Blocklist;
use gantry_vcs_agent::forward::Base;
use gantry_vcs_agent::project::AllowedProjects;
use gantry_vcs_agent::route::Place;
use gantry_vcs_agent::rules::{Admitted, Asked, Rules};
use gantry_vcs_agent::vendor::Vendor;

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A line with vendor and method by number, a line with the target, the body: what is let through is the same when it is
/// read again, climbs nowhere, goes to the base endpoint's authority, and is of a project that is meant.
pub fn vcs_target(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let numbers = parts.next().unwrap_or_default();
    let number = |at: usize| usize::from(numbers.get(at).copied().unwrap_or_default());
    let vendor = Vendor::ALL[number(0) % Vendor::ALL.len()];
    let method = METHODS[number(1) % METHODS.len()];
    let Ok(target) = std::str::from_utf8(parts.next().unwrap_or_default()) else {
        return;
    };
    let body = parts.next().unwrap_or_default();
    let rules = |allowed: &str| {
        let allowed = AllowedProjects::parse(allowed).expect("an expression");
        Rules::new(vendor, allowed, Blocklist::default())
    };
    let ask = |rules: &Rules, target: &str| {
        rules.admit(&Asked {
            method,
            target,
            body,
        })
    };
    let Ok(admitted) = ask(&rules(".*"), target) else {
        let kept = ask(&rules("team/app"), target);
        assert!(kept.is_err(), "fewer projects let more through: {target}");
        return;
    };
    let written = admitted.target().to_string();
    let again = ask(&rules(".*"), &written).expect("what is written is let through again");
    assert_eq!(
        (again.target(), again.row(), again.project()),
        (admitted.target(), admitted.row(), admitted.project())
    );
    if let Ok(meant) = ask(&rules("team/app"), target)
        && let Some(project) = meant.project()
    {
        assert!(project.eq_ignore_ascii_case("team/app"), "{target}");
    }
    climbs_nowhere(&admitted);
    one_authority(&admitted);
}

fn climbs_nowhere(admitted: &Admitted) {
    for segment in admitted.target().segments() {
        for piece in segment.split(['/', '\\']) {
            assert!(!["", ".", ".."].contains(&piece), "{segment}");
        }
        assert!(!segment.chars().any(char::is_control), "{segment:?}");
        assert!(!segment.to_ascii_lowercase().contains("%2"), "{segment}");
    }
}

fn one_authority(admitted: &Admitted) {
    let base = "https://git.example.com:8443/sub".parse().expect("a URL");
    let base = Base::new(base).expect("a base endpoint");
    let url = base
        .reach(admitted.target(), admitted.place())
        .expect("what is let through can be joined");
    let host = if admitted.place() == Place::Codeload {
        "codeload.git.example.com"
    } else {
        "git.example.com"
    };
    assert_eq!((url.host_str(), url.port()), (Some(host), Some(8443)));
    assert!(url.username().is_empty() && url.fragment().is_none() && url.scheme() == "https");
}
