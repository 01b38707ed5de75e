//! Hostile and honest references against the lists.
//!
//! Takes tables, gives verdicts. Never: a reference that two parsers could read differently and that passes.

use proptest::prelude::*;

use super::*;

const D: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn verdict(list: &Allowlist, text: &str) -> Result<String, Refusal> {
    list.admit(text).map(|a| a.reference().to_string())
}

#[test]
fn well_known_registries_are_let_in_by_their_full_name() {
    let list = Allowlist::well_known();
    let with_digest = format!("quay.io/acme/x@{D}");
    let both = format!("quay.io/acme/x:1@{D}");
    let cases = [
        ("alpine", "docker.io/library/alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("acme/runner", "docker.io/acme/runner:latest"),
        ("acme/runner:V1.2_3-x", "docker.io/acme/runner:V1.2_3-x"),
        ("docker.io/alpine", "docker.io/library/alpine:latest"),
        (
            "docker.io/library/alpine",
            "docker.io/library/alpine:latest",
        ),
        ("index.docker.io/acme/x", "docker.io/acme/x:latest"),
        (
            "registry.hub.docker.com/acme/x:1",
            "registry.hub.docker.com/acme/x:1",
        ),
        (
            "ghcr.io/acme/runner/terraform:1.9",
            "ghcr.io/acme/runner/terraform:1.9",
        ),
        (
            "public.ecr.aws/spacelift/runner-terraform:latest",
            "public.ecr.aws/spacelift/runner-terraform:latest",
        ),
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/r:1",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/r:1",
        ),
        ("acme.azurecr.io/team/r:1", "acme.azurecr.io/team/r:1"),
        (
            "europe-west1-docker.pkg.dev/p/r/i:1",
            "europe-west1-docker.pkg.dev/p/r/i:1",
        ),
        ("docker.pkg.dev/p/r/i:1", "docker.pkg.dev/p/r/i:1"),
        ("gcr.io/p/i", "gcr.io/p/i:latest"),
        (
            "registry.gitlab.com/a/b/c/d:1",
            "registry.gitlab.com/a/b/c/d:1",
        ),
        (with_digest.as_str(), with_digest.as_str()),
        (both.as_str(), both.as_str()),
        // A dot without a slash is a tag-less Docker Hub name, as the engine reads it.
        ("ghcr.io", "docker.io/library/ghcr.io:latest"),
        ("evil.example:80", "docker.io/library/evil.example:80"),
    ];
    for (text, full) in cases {
        assert_eq!(verdict(&list, text).as_deref(), Ok(full), "{text}");
    }
}

#[test]
fn other_registries_are_refused_by_name() {
    let list = Allowlist::well_known();
    for text in [
        "docker.io.evil.com/library/alpine",
        "evil.com/docker.io/library/alpine",
        "docker.io:5000/library/alpine",
        "ghcr.io:443/acme/x",
        "xghcr.io/acme/x",
        "ghcr.io.evil.example/acme/x",
        "ghcr-io.example/acme/x",
        "sub.ghcr.io/acme/x",
        "localhost/alpine",
        "localhost:5000/alpine",
        "127.0.0.1:5000/alpine",
        "169.254.169.254/latest/meta-data",
        "10.0.0.1/x",
        "azurecr.io/x",
        "a.b.azurecr.io/x",
        "evilazurecr.io/x",
        "evil-azurecr.io/x",
        "dkr.ecr.eu-west-1.amazonaws.com/r",
        "12345678901.dkr.ecr.eu-west-1.amazonaws.com/r",
        "1234567890123.dkr.ecr.eu-west-1.amazonaws.com/r",
        "a23456789012.dkr.ecr.eu-west-1.amazonaws.com/r",
        "123456789012.dkr.ecr.eu.west.1.amazonaws.com/r",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn/r",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example/r",
        "123456789012.dkr.ecr.amazonaws.com/r",
        "-docker.pkg.dev.evil.example/r",
        "evildocker.pkg.dev/r",
        "a.europe-docker.pkg.dev/r",
        "gcr.io.example.org/x",
        "eu.gcr.io/x/y",
        "hub.docker.com/acme/x",
    ] {
        let refusal = verdict(&list, text).expect_err(text);
        let listed = matches!(refusal, Refusal::NotListed { .. });
        // `-docker…` has no valid host name at all.
        assert!(listed || text.starts_with('-'), "{text}: {refusal}");
        if listed {
            assert!(refusal.to_string().contains("ghcr.io"), "the list is told");
        }
    }
}

#[test]
fn what_two_parsers_could_read_differently_is_no_reference() {
    let list = Allowlist::new(["*"]).expect("valid");
    let long = format!("ghcr.io/{}", "a/".repeat(600));
    for text in [
        "",
        " ",
        " alpine",
        "alpine ",
        "al pine",
        "alpine\n",
        "alpine\0",
        "alpine\t:1",
        "ghcr.io/acme/x:1 --privileged",
        "--privileged",
        "-alpine",
        "https://ghcr.io/acme/x",
        "docker://ghcr.io/acme/x",
        "user@ghcr.io/acme/x",
        "user:pass@ghcr.io/acme/x",
        "ghcr.io@evil.example/x",
        "docker.io/..",
        "ghcr.io/../x",
        "ghcr.io/acme/../x",
        "ghcr.io/acme/./x",
        "ghcr.io//acme/x",
        "ghcr.io/acme/",
        "/acme/x",
        "ghcr.io/Acme/x",
        "Acme/x",
        "ALPINE",
        "GHCR.IO/acme/x",
        "Ghcr.io/acme/x",
        "ghcr.io:/acme/x",
        "ghcr.io:99999/acme/x",
        "ghcr.io:0443/acme/x",
        "ghcr.io:0/acme/x",
        "ghcr..io/acme/x",
        ".ghcr.io/acme/x",
        "ghcr.io./acme/x",
        "ghcr.io/acme/x:",
        "ghcr.io/acme/x:-tag",
        "ghcr.io/acme/x:a:b",
        "ghcr.io/acme/x:tag/y",
        "ghcr.io/acme/x@",
        "ghcr.io/acme/x@sha256",
        "ghcr.io/acme/x@sha256:abc",
        "ghcr.io/acme/x@sha256:ABCDEF6789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "ghcr.io/acme/x@md5:0123456789abcdef0123456789abcdef",
        "ghcr.io/acme/x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef@x",
        "ghcr.io/acme/x?tag=1",
        "ghcr.io/acme/x#1",
        "ghcr.io/acme/x;id",
        "ghcr.io/acme/$(id)",
        "ghcr.io/acme/x%2f..",
        "ghcr.io\\acme\\x",
        "[::1]:5000/x",
        "ghcr\u{ff0e}io/acme/x",
        "ghсr.io/acme/x",
        "ghcr.io/acmé/x",
        "ghcr.io\u{200b}/acme/x",
        "ghcr.io/acme\u{2215}x",
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef@",
        long.as_str(),
    ] {
        let refusal = list.admit(text).expect_err(text);
        assert!(matches!(refusal, Refusal::Invalid(_)), "{text}: {refusal}");
        let said = refusal.to_string();
        assert!(
            !said.chars().any(char::is_control) && said.len() < 1000,
            "{text}"
        );
    }
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

proptest! {
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
}
