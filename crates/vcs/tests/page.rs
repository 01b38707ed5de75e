//! `docs/VCS-AGENT.md` against the code.
//!
//! Takes the marked tables of the page, expects them as the program prints them. Never: a route or a setting that is in
//! the code and not on the page.

use gantry_vcs_agent::config;
use gantry_vcs_agent::route;
use gantry_vcs_agent::vendor::Vendor;

const PAGE: &str = include_str!("../../../docs/VCS-AGENT.md");

/// What stands between `<!-- mark -->` and `<!-- /mark -->`.
fn marked(mark: &str) -> Option<&'static str> {
    let (_, after) = PAGE.split_once(&format!("<!-- {mark} -->"))?;
    let (inside, _) = after.split_once(&format!("<!-- /{mark} -->"))?;
    Some(inside.trim())
}

#[test]
fn the_page_has_every_setting() {
    assert_eq!(
        marked("settings"),
        Some(config::page().trim()),
        "write it with `gantry-vcs-agent configuration`"
    );
}

#[test]
fn the_page_has_every_route() {
    for vendor in Vendor::ALL {
        assert_eq!(
            marked(&format!("routes {vendor}")),
            Some(route::page(vendor).trim()),
            "write it with `gantry-vcs-agent routes --vendor {vendor}`"
        );
    }
}
