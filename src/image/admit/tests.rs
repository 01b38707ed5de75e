//! Hostile and honest references against the lists.
//!
//! Takes tables, gives verdicts. Never: a reference that two parsers could read differently and that passes.

use proptest::prelude::*;

use super::*;

/// `@D` of the corpus.
const D: &str = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What the corpus expects of a reference.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allowed(String),
    NotListed,
    Invalid,
}

impl Verdict {
    fn of(list: &Allowlist, text: &str) -> Self {
        match list.admit(text) {
            Ok(admitted) => Self::Allowed(admitted.reference().to_string()),
            Err(Refusal::NotListed { .. }) => Self::NotListed,
            Err(Refusal::Invalid(_)) => Self::Invalid,
        }
    }
}

/// Line number, reference and expectation of each row.
fn corpus() -> Vec<(usize, String, Verdict)> {
    let lines = include_str!("corpus.txt").lines().enumerate();
    let rows = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    rows.map(|(number, line)| {
        let (verdict, rest) = line.split_at(11);
        let (text, full) = match rest.split_once(" = ") {
            Some((text, full)) => (text, Some(unescaped(full))),
            None => (rest, None),
        };
        let verdict = match (verdict.trim(), full) {
            ("allowed", Some(full)) => Verdict::Allowed(full),
            ("not-listed", None) => Verdict::NotListed,
            ("invalid", None) => Verdict::Invalid,
            _ => panic!("line {}: {line}", number + 1),
        };
        (number + 1, unescaped(text), verdict)
    })
    .collect()
}

fn unescaped(text: &str) -> String {
    let mut parts = text.replace("@D", D).replace("\\\\", "\u{1}");
    for (escape, meaning) in [("\\s", " "), ("\\n", "\n"), ("\\t", "\t"), ("\\0", "\0")] {
        parts = parts.replace(escape, meaning);
    }
    while let Some(at) = parts.find("\\u{") {
        let end = at + parts[at..].find('}').expect("a closing brace");
        let number = u32::from_str_radix(&parts[at + 3..end], 16).expect("hex digits");
        let character = char::from_u32(number).expect("a character").to_string();
        parts.replace_range(at..=end, &character);
    }
    parts.replace('\u{1}', "\\")
}

#[test]
fn every_reference_of_the_corpus_gets_its_verdict() {
    let list = Allowlist::well_known();
    let rows = corpus();
    assert!(rows.len() >= 300, "{} rows", rows.len());
    let wrong: Vec<_> = rows
        .iter()
        .map(|(line, text, expected)| (line, text, expected, Verdict::of(&list, text)))
        .filter(|(_, _, expected, found)| *expected != found)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_refusal_is_one_printable_line_that_names_the_reference_or_the_list() {
    let list = Allowlist::well_known();
    for (line, text, verdict) in corpus() {
        let Err(refusal) = list.admit(&text) else {
            continue;
        };
        let said = refusal.to_string();
        assert!(!said.chars().any(char::is_control), "line {line}: {said:?}");
        assert!(said.len() < 1500, "line {line}");
        if verdict == Verdict::NotListed {
            assert!(
                said.contains("ghcr.io, public.ecr.aws"),
                "line {line}: {said}"
            );
        }
    }
}

#[test]
fn what_is_no_reference_passes_no_list() {
    let everything = Allowlist::new(["*"]).expect("valid");
    for (line, text, verdict) in corpus() {
        let found = Verdict::of(&everything, &text);
        assert_eq!(
            found == Verdict::Invalid,
            verdict == Verdict::Invalid,
            "line {line}"
        );
    }
    let long = format!("ghcr.io/{}", "a/".repeat(600));
    assert_eq!(Verdict::of(&everything, &long), Verdict::Invalid);
}

#[test]
fn entries_match_whole_labels_and_whole_segments() {
    let cases = [
        ("ghcr.io/acme", "ghcr.io/acme/x", true),
        ("ghcr.io/acme", "ghcr.io/acme", true),
        ("ghcr.io/acme", "ghcr.io/acme/x/y:1", true),
        ("ghcr.io/acme", "ghcr.io/acme-evil/x", false),
        ("ghcr.io/acme", "ghcr.io/evil/acme/x", false),
        ("ghcr.io/acme/runner", "ghcr.io/acme", false),
        ("docker.io/library", "alpine", true),
        ("docker.io/library", "acme/alpine", false),
        ("docker.io/library/alpine", "alpine:3", true),
        ("docker.io/library/alpine", "alpine-evil:3", false),
        ("127.0.0.1:5000", "127.0.0.1:5000/x", true),
        ("127.0.0.1:5000", "127.0.0.1:5001/x", false),
        ("127.0.0.1:5000", "127.0.0.1/x", false),
        ("localhost", "localhost/x", true),
        ("localhost:5000/a", "localhost:5000/a/b", true),
        ("*.example.com", "a.example.com/x", true),
        ("*.example.com", "example.com/x", false),
        ("*.example.com", "a.b.example.com/x", false),
        ("*.example.com", "aexample.com/x", false),
        ("*.example.com", "a.example.com:80/x", false),
        ("*.example.com:8443/team", "a.example.com:8443/team/x", true),
        (
            "*.dkr.ecr.*.amazonaws.com",
            "1.dkr.ecr.eu.amazonaws.com/x",
            true,
        ),
        (
            "*.dkr.ecr.*.amazonaws.com",
            "1.dkr.ecr.eu.x.amazonaws.com/x",
            false,
        ),
        ("*", "anything.example/x", true),
    ];
    for (entry, image, allowed) in cases {
        let list = Allowlist::new([entry]).expect(entry);
        assert_eq!(list.admit(image).is_ok(), allowed, "{entry} / {image}");
    }
}

#[test]
fn entries_that_mean_nothing_stop_the_start() {
    for entry in [
        "",
        " ",
        "https://ghcr.io",
        "ghcr.io/",
        "ghcr.io/acme/",
        "ghcr.io/acme:1",
        "ghcr.io/acme/*",
        "ghcr.io/**",
        "**",
        "!ghcr.io",
        "*ghcr.io",
        "g*.io",
        "GHCR.io",
        "ghcr.io:port",
        "ghcr.io:0",
        "ghcr.io//a",
        "ghcr.io/../a",
        "user@ghcr.io",
        "ghcr .io",
        "ghcr.io/Acme",
        "alpine",
        "acme/runner",
        "dkr.ecr.<any>.amazonaws.com",
        "^ghcr\\.io$",
    ] {
        let error = Allowlist::new([entry]).expect_err(entry);
        assert!(error.to_string().contains(entry.trim()), "{error}");
    }
    assert!(Allowlist::new([]).is_err(), "an empty list is no list");
}

#[test]
fn the_entry_that_let_an_image_in_is_told() {
    let list = Allowlist::new(["quay.io", " ghcr.io/acme "]).expect("valid");
    let admitted = list.admit("ghcr.io/acme/x").expect("listed");
    assert_eq!(admitted.entry(), "ghcr.io/acme");
    assert_eq!(list.to_string(), "quay.io, ghcr.io/acme");
}

#[test]
fn each_entry_is_told_with_its_login() {
    use crate::registry::{LoginSettings, Logins};
    let logins = Logins::new(LoginSettings::default()).expect("usable");
    let list = Allowlist::well_known();
    let list = list.with(["ghcr.io/acme", "*.example.com"]).expect("valid");
    let sources = list.login_sources(&logins);
    let told = |entry: &str| {
        let mut found = sources.iter().filter(|(text, _)| *text == entry);
        let source = found.next().expect(entry).1.as_ref();
        assert!(found.next().is_none(), "{entry} is told once");
        source.expect("no configuration to fail").to_string()
    };
    for plain in [
        "docker.io",
        "ghcr.io",
        "ghcr.io/acme",
        "*.example.com",
        "docker.pkg.dev",
    ] {
        assert_eq!(told(plain), "without a login", "{plain}");
    }
    assert!(told("dkr.ecr.<region>.amazonaws.com").starts_with("with an ECR token"));
    assert!(told("public.ecr.aws").starts_with("with an ECR Public token"));
    assert_eq!(sources.len(), 12);
}

/// The ten registries in other words than those of the list.
fn is_one_of_the_ten(host: &str) -> bool {
    const PLAIN: [&str; 8] = [
        "docker.io",
        "docker.pkg.dev",
        "gcr.io",
        "ghcr.io",
        "public.ecr.aws",
        "quay.io",
        "registry.gitlab.com",
        "registry.hub.docker.com",
    ];
    let single = |label: &str| !label.is_empty() && !label.contains(['.', ':']);
    let amazons = [
        "amazonaws.com",
        "amazonaws.com.cn",
        "amazonaws.eu",
        "on.aws",
        "on.amazonwebservices.com.cn",
    ];
    PLAIN.contains(&host)
        || host.strip_suffix(".azurecr.io").is_some_and(single)
        || host.strip_suffix("-docker.pkg.dev").is_some_and(single)
        || (host.len() > 13
            && host[..12].bytes().all(|byte| byte.is_ascii_digit())
            && (host[12..].starts_with(".dkr.ecr") || host[12..].starts_with(".dkr-ecr"))
            && amazons.iter().any(|domain| {
                let rest = host
                    .strip_suffix(domain)
                    .and_then(|rest| rest.strip_suffix('.'));
                rest.is_some_and(|rest| {
                    rest.split('.').count() == if rest.contains("dkr-ecr") { 3 } else { 4 }
                })
            }))
}

proptest! {
    /// No change of one character turns a listed host into another host that passes: what is let in is always
    /// one of the ten registries, by a comparison that knows nothing of the list's code.
    #[test]
    fn a_mutilated_reference_never_reaches_another_host(
        row in 0..corpus().len(),
        at in 0..200_usize,
        with in "[a-z0-9./:@_ A-Z-]",
        way in 0..3_u8,
    ) {
        let (_, mut text, _) = corpus().swap_remove(row);
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        if let Some(&at) = places.get(at % places.len().max(1)) {
            match way {
                0 => text.insert_str(at, &with),
                1 => { text.remove(at); }
                _ => { text.remove(at); text.insert_str(at, &with); }
            }
        }
        if let Ok(admitted) = Allowlist::well_known().admit(&text) {
            let host = admitted.reference().registry();
            prop_assert!(is_one_of_the_ten(host), "{} went to {}", text, host);
        }
    }

    #[test]
    fn nothing_outside_the_list_is_ever_admitted(text in "[a-z0-9./:@*_A-Z -]{0,60}") {
        let list = Allowlist::new(["ghcr.io/acme", "*.example.com", "127.0.0.1:5000"]).expect("valid");
        if let Ok(admitted) = list.admit(&text) {
            let full = admitted.reference().to_string();
            let (registry, repository) = full.split_once('/').expect("a full name");
            let label = registry.strip_suffix(".example.com");
            let listed = (registry == "ghcr.io" && (repository.starts_with("acme/") || repository.starts_with("acme:") || repository.starts_with("acme@")))
                || label.is_some_and(|label| !label.is_empty() && !label.contains(['.', ':']))
                || registry == "127.0.0.1:5000";
            prop_assert!(listed, "{} became {}", text, full);
        }
    }

    #[test]
    fn parsing_what_was_displayed_changes_nothing(
        text in "([a-z]{1,5}\\.[a-z]{2,3}(:[1-9][0-9]{1,3})?/)?[a-z0-9]{1,6}(/[a-z0-9]{1,6}){0,2}(:[a-z0-9]{1,5})?(@sha256:[0-9a-f]{64})?"
    ) {
        let once = Reference::parse(&text).expect("made to be valid");
        let twice = Reference::parse(&once.to_string()).expect("its own display");
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn another_parser_reads_the_same(
        text in "([a-zA-Z0-9.-]{1,9}(:[0-9]{1,5})?/)?[a-z0-9._/-]{0,12}(:[A-Za-z0-9._-]{0,6})?(@sha256:[0-9a-fA-F]{63,64})?"
    ) {
        prop_assert_eq!(Reference::parse(&text).ok().map(|read| read.to_string()), read_by_another(&text));
    }

    #[test]
    fn another_parser_reads_the_same_of_a_mutilated_corpus(
        row in 0..corpus().len(), at in 0..200_usize, with in "[a-z0-9./:@_A-Z-]{0,3}",
    ) {
        let (_, mut text, _) = corpus().swap_remove(row);
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        if let Some(&at) = places.get(at % places.len().max(1)) {
            text.insert_str(at, &with);
        }
        prop_assert_eq!(Reference::parse(&text).ok().map(|read| read.to_string()), read_by_another(&text));
    }
}

/// What the parser of `oci-spec` makes of `text`, without the spellings that we refuse on purpose.
fn read_by_another(text: &str) -> Option<String> {
    use crate::image::reference::{check_registry, check_text};

    check_text(text).ok()?;
    let read = oci_spec::distribution::Reference::try_from(text).ok()?;
    check_registry(read.registry()).ok()?;
    let upper = read
        .repository()
        .bytes()
        .any(|byte| byte.is_ascii_uppercase());
    let digest = read
        .digest()
        .is_none_or(|digest| digest.parse::<gantry_protocol::Digest>().is_ok());
    (!upper && digest).then(|| read.whole())
}
