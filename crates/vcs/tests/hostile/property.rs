//! What holds for any request at all.
//!
//! Takes requests made of sound ones by cutting, joining and replacing, and of nothing. Never: a request that is let
//! through and then goes to another authority, or is another request when it is read again.

use gantry_vcs_agent::forward::Base;
use gantry_vcs_agent::route::Place;
use gantry_vcs_agent::vendor::Vendor;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::{ask, cases, rules};

const PIECES: [&str; 34] = [
    "/",
    "//",
    ".",
    "..",
    "/..",
    "/../",
    "%2e",
    "%2E",
    "%2f",
    "%2F",
    "%5c",
    "\\",
    "%25",
    "%252e",
    "%252f",
    "%00",
    "@",
    "@evil.tld",
    ":",
    ":8443",
    ".evil.tld",
    "https://evil.tld",
    "?",
    "&",
    "#",
    ";",
    "=",
    "%",
    "...",
    ".git",
    "info/refs",
    "%EF%BC%8F",
    "x",
    "team",
];

const BASES: [&str; 4] = [
    "https://git.example.com",
    "http://127.0.0.1:7990/",
    "https://git.example.com:8443/sub/path",
    "https://[::1]:8443",
];

/// A sound request with some of its bytes replaced by pieces that mean something to somebody.
fn asked() -> impl Strategy<Value = (Vendor, &'static str, String)> {
    let vendor = select(Vendor::ALL.to_vec());
    let edits = prop::collection::vec((any::<Index>(), 0_usize..4, select(PIECES.to_vec())), 0..4);
    (vendor, any::<Index>(), edits).prop_map(|(vendor, which, edits)| {
        let case = which.get(cases::of(vendor));
        let mut target = case.target.to_owned();
        for (at, cut, piece) in edits {
            let at = at.index(target.len() + 1);
            let end = (at + cut).min(target.len());
            if target.is_char_boundary(at) && target.is_char_boundary(end) {
                target.replace_range(at..end, piece);
            }
        }
        (vendor, case.method, target)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_let_through_stays_what_it_is_and_where_it_is((vendor, method, target) in asked()) {
        hold(vendor, method, &target)?;
    }

    #[test]
    fn so_does_what_is_made_of_nothing(
        vendor in select(Vendor::ALL.to_vec()),
        target in "/([a-z]{1,3}|/|\\.|%2[eEfF5]|@|:|\\?|&|=|;){0,12}",
    ) {
        hold(vendor, "GET", &target)?;
    }
}

fn hold(vendor: Vendor, method: &str, target: &str) -> Result<(), TestCaseError> {
    let Ok(admitted) = ask(&rules(vendor, ".*"), method, target) else {
        return Ok(());
    };
    let written = admitted.target().to_string();
    let again = ask(&rules(vendor, ".*"), method, &written);
    let again = again.map_err(|refusal| TestCaseError::fail(format!("{target}: {refusal}")))?;
    prop_assert_eq!(again.target(), admitted.target());
    prop_assert_eq!(
        (again.row(), again.project()),
        (admitted.row(), admitted.project())
    );

    let once = percent_decode_str(&admitted.target().path())
        .decode_utf8_lossy()
        .into_owned();
    let twice = percent_decode_str(&once).decode_utf8_lossy().into_owned();
    for path in [&once, &twice] {
        let inside = path.trim_start_matches('/').trim_end_matches('/');
        for segment in inside.split(['/', '\\']) {
            prop_assert!(
                !["", ".", ".."].contains(&segment),
                "{} is {}",
                target,
                path
            );
        }
    }
    for base in BASES {
        one_authority(base, &admitted)?;
    }
    Ok(())
}

fn one_authority(
    base: &str,
    admitted: &gantry_vcs_agent::rules::Admitted,
) -> Result<(), TestCaseError> {
    let base = Base::new(base.parse().expect("a URL")).expect("a base endpoint");
    let codeload = admitted.place() == Place::Codeload;
    let path = admitted.target().path();
    let Ok(url) = base.reach(admitted.target(), admitted.place()) else {
        // An address has no subdomains.
        prop_assert!(codeload, "{} can't be joined", path);
        return Ok(());
    };
    let host = base.url().host_str().expect("a host");
    let expected = if codeload {
        format!("codeload.{host}")
    } else {
        host.to_owned()
    };
    prop_assert_eq!(url.host_str(), Some(expected.as_str()));
    prop_assert_eq!(
        (url.scheme(), url.port()),
        (base.url().scheme(), base.url().port())
    );
    prop_assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    prop_assert!(url.path().ends_with(&path));
    Ok(())
}
