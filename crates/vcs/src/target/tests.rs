//! The normal form: what is taken, and what is written back.

use proptest::prelude::*;

use super::*;

#[test]
fn a_target_is_decoded_once_and_written_in_one_way() {
    for (text, segments, written) in [
        ("/a/b", &["a", "b"][..], "/a/b"),
        ("/a%2Fb/c", &["a/b", "c"], "/a%2Fb/c"),
        ("/a%2fb.c", &["a/b.c"], "/a%2Fb%2Ec"),
        ("/%2Egit/%61", &[".git", "a"], "/.git/a"),
        ("/a@b:c/", &["a@b:c"], "/a%40b%3Ac/"),
        ("/caf%C3%A9/a%20b", &["café", "a b"], "/caf%C3%A9/a%20b"),
        ("/100%25/...a", &["100%", "...a"], "/100%25/...a"),
        ("/a?", &["a"], "/a"),
        ("/a?x=1+2&&y&z=a%2Bb%26", &["a"], "/a?x=1%202&y&z=a%2Bb%26"),
        ("/a?f[]=%2F&q=a/b", &["a"], "/a?f%5B%5D=%2F&q=a%2Fb"),
    ] {
        let read = Normal::read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(read.segments(), segments, "{text}");
        assert_eq!(read.to_string(), written, "{text}");
        assert_eq!(Normal::read(written), Ok(read), "{text}");
    }
}

#[test]
fn what_has_no_normal_form_is_told_apart() {
    use TargetError as E;
    let long = format!("/{}", "a".repeat(TARGET_LIMIT));
    let long_segment = format!("/{}", "a".repeat(SEGMENT_LIMIT + 1));
    let many = "/a".repeat(SEGMENTS + 1);
    let pairs = format!("/a?{}", "b&".repeat(query::PAIRS + 1));
    for (text, error) in [
        ("", E::NotAPath),
        ("/", E::NotAPath),
        ("a", E::NotAPath),
        ("@host/a", E::NotAPath),
        (".evil.tld/a", E::NotAPath),
        (":8443/a", E::NotAPath),
        ("//host/a", E::NotAPath),
        ("https://host/a", E::NotAPath),
        ("?a", E::NotAPath),
        ("/a//b", E::EmptySegment),
        ("/a//", E::EmptySegment),
        ("/a/%2Fb", E::EmptySegment),
        ("/a%2F/b", E::EmptySegment),
        ("/a%2F%2Fb", E::EmptySegment),
        ("/.", E::DotSegment),
        ("/a/../b", E::DotSegment),
        ("/a/%2e%2E/b", E::DotSegment),
        ("/a/.%2e", E::DotSegment),
        ("/a/b%2F..%2Fc", E::DotSegment),
        ("/a/...", E::DotSegment),
        ("/a/..%20/b", E::DotSegment),
        ("/a/%252e%252e/b", E::EscapedTwice),
        ("/a%252fb", E::EscapedTwice),
        ("/a%25252fb", E::EscapedTwice),
        ("/a\\b", E::Character(0x5C)),
        ("/a%5cb", E::Character(0x5C)),
        ("/a%00", E::Character(0)),
        ("/a%0d%0aHost:x", E::Character(0x0D)),
        ("/a\u{0}", E::Character(0)),
        ("/a b", E::Character(0x20)),
        ("/a;b", E::Character(0x3B)),
        ("/a%3Bb", E::Character(0x3B)),
        ("/a#b", E::Character(0x23)),
        ("/é", E::Character(0xE9)),
        ("/%EF%BC%8E%EF%BC%8E/a", E::Character(0xFF0E)),
        ("/a%E2%88%95b", E::Character(0x2215)),
        ("/a{b}", E::Character(0x7B)),
        ("/a%", E::BadEscape),
        ("/a%2", E::BadEscape),
        ("/a%zz", E::BadEscape),
        ("/a%u002e", E::BadEscape),
        ("/%c0%ae%c0%ae/a", E::NotUtf8),
        ("/a%ff", E::NotUtf8),
        (&long, E::TooLong),
        (&long_segment, E::LongSegment),
        (&many, E::ManySegments),
        (&pairs, E::ManyPairs),
        ("/a?path=../../etc", E::QueryClimbs),
        ("/a?path=%2e%2e%2fetc", E::QueryClimbs),
        ("/a?path=%252e%252e%252fetc", E::QueryClimbs),
        ("/a?path=x%2F..", E::QueryClimbs),
        ("/a?sudo=root", E::QueryPower),
        ("/a?SUDO=root", E::QueryPower),
        ("/a?x=1&_method=delete", E::QueryPower),
        ("/a?private_token%5B%5D=x", E::QueryPower),
        ("/a?+access_token=x", E::QueryPower),
        ("/a?x=%00", E::Character(0)),
        ("/a?x=%zz", E::BadEscape),
    ] {
        assert_eq!(Normal::read(text), Err(error), "{text}");
    }
}

proptest! {
    #[test]
    fn reading_does_not_panic_and_is_stable(text in "\\PC{0,60}") {
        check(&text)?;
    }

    #[test]
    fn neither_does_what_nearly_is_a_path(text in "/([a-z./@:;?&=+]|%2[eEfF5]|%5[cC]|%25|%[0-9a-f]{2}){0,24}") {
        check(&text)?;
    }
}

/// What is read is sound however often it is decoded, and is read again from what is written.
fn check(text: &str) -> Result<(), TestCaseError> {
    let Ok(read) = Normal::read(text) else {
        return Ok(());
    };
    let written = read.to_string();
    prop_assert_eq!(&Normal::read(&written), &Ok(read.clone()), "{}", text);
    for segment in read.segments() {
        let again = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
        prop_assert_eq!(&*again, segment.as_str());
        prop_assert!(
            segment
                .split('/')
                .all(|piece| !["", ".", ".."].contains(&piece))
        );
    }
    Ok(())
}
