//! The mask against one-shot masking, hostile overlaps and a clock.
//!
//! Takes generated secrets and texts. Never: a case whose result may depend on the cut.

use proptest::prelude::*;

use super::*;

fn mask(secrets: &[&str]) -> Mask {
    Mask::new(secrets.iter().map(|secret| secret.as_bytes()))
}

fn whole(secrets: &[&str], text: &str) -> String {
    String::from_utf8(mask(secrets).whole(text.as_bytes())).expect("text")
}

#[test]
fn examples() {
    let cases: [(&[&str], &str, &str); 11] = [
        (&["hunter2"], "password: hunter2!", "password: *****!"),
        (&["hunter2"], "hunter2hunter2", "**********"),
        (&["abcd", "abcdef"], "xabcdefx", "x*****x"),
        (&["abcd", "cdef"], "xabcdefx", "x*****x"),
        (&["abcdef", "cdefgh", "ghij"], "abcdefghij", "*****"),
        (&["aaaa"], "aaaaaaaaab", "*****b"),
        (&["abc", ""], "abc stays", "abc stays"),
        (&["hunter2"], "hunter", "hunter"),
        (&["correct horse"], "Y29ycmVjdCBob3JzZQ==", "*****"),
        (&["line-one-1\nline-two-2"], "got line-two-2.", "got *****."),
        (&[], "nothing to hide", "nothing to hide"),
    ];
    for (secrets, text, expected) in cases {
        assert_eq!(whole(secrets, text), expected, "{secrets:?}");
    }
}

#[test]
fn too_short_secrets_are_counted() {
    assert_eq!(mask(&["a", "abc", "", "long enough"]).too_short(), 2);
}

#[test]
fn ordinary_output_is_not_held_back() {
    let mask = mask(&["a very long secret that never shows up in this output"]);
    let mut stream = mask.stream(7);
    let masked = stream.push(b"Plan: 1 to add, 0 to change.\n");
    assert_eq!(masked.bytes, b"Plan: 1 to add, 0 to change.\n");
    assert_eq!(masked.decided, 7 + 29);
    let masked = stream.push(b"then a ver");
    assert_eq!(masked.bytes, b"then ");
    assert_eq!(stream.finish().bytes, b"a ver");
}

#[test]
fn an_endless_chain_of_overlaps_stays_bounded() {
    let mask = mask(&["aaaaaaaa"]);
    let mut stream = mask.stream(0);
    let mut bytes = Vec::new();
    for _ in 0..100 {
        bytes.extend(stream.push(&[b'a'; 10_000]).bytes);
        assert!(stream.held.len() <= 2 * MAX_CHAIN, "{}", stream.held.len());
    }
    bytes.extend(stream.finish().bytes);
    assert!(!bytes.contains(&b'a'), "nothing of it is left");
    assert_eq!(bytes, mask.whole(&[b'a'; 1_000_000]));
}

#[test]
fn debug_shows_no_secret() {
    let mask = mask(&["hunter2"]);
    let mut stream = mask.stream(0);
    stream.push(b"hunte");
    assert!(!format!("{mask:?} {stream:?}").contains("hunt"));
}

/// Cuts `text` at `cuts` (taken modulo the length).
fn chunks<'a>(text: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    at.push(0);
    at.push(text.len());
    at.sort_unstable();
    at.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

fn secret() -> impl Strategy<Value = String> {
    // A small alphabet, so that secrets overlap each other and themselves.
    prop_oneof!["[ab]{4,9}", "[abc]{4,12}", "[ab]{4,8}\n[ab]{8,12}"]
}

fn text(secrets: &[String], parts: &[(u8, String)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (which, filler) in parts {
        text.extend_from_slice(filler.as_bytes());
        if let Some(secret) = secrets.get(usize::from(*which)) {
            text.extend_from_slice(secret.as_bytes());
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn cuts_do_not_matter_and_nothing_is_left(
        secrets in proptest::collection::vec(secret(), 1..5),
        parts in proptest::collection::vec((0u8..6, "[abcx ]{0,9}"), 0..12),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let mask = Mask::new(secrets.iter().map(String::as_bytes));
        let text = text(&secrets, &parts);
        let expected = mask.whole(&text);
        let mut stream = mask.stream(0);
        let (mut bytes, mut before) = (Vec::new(), 0);
        for chunk in chunks(&text, &cuts) {
            let masked = stream.push(chunk);
            prop_assert!(masked.decided >= before, "offsets only grow");
            before = masked.decided;
            bytes.extend(masked.bytes);
        }
        let end = stream.finish();
        prop_assert_eq!(end.decided, text.len() as u64);
        bytes.extend(end.bytes);
        prop_assert_eq!(&bytes, &expected);
        for pattern in &mask.inner.patterns {
            let left = bytes.windows(pattern.len()).any(|window| window == pattern.as_slice());
            prop_assert!(!left, "{:?} is left", String::from_utf8_lossy(pattern));
        }
    }

    #[test]
    fn a_restart_at_a_decided_offset_gives_the_same_rest(
        secrets in proptest::collection::vec(secret(), 1..5),
        parts in proptest::collection::vec((0u8..6, "[abcx ]{0,9}"), 0..12),
        cut in any::<usize>(),
    ) {
        let mask = Mask::new(secrets.iter().map(String::as_bytes));
        let text = text(&secrets, &parts);
        let cut = cut % (text.len() + 1);
        let first = mask.stream(0).push(&text[..cut]);
        let from = usize::try_from(first.decided).expect("small");
        let mut again = mask.stream(first.decided);
        let mut bytes = first.bytes;
        bytes.extend(again.push(&text[from..]).bytes);
        bytes.extend(again.finish().bytes);
        prop_assert_eq!(bytes, mask.whole(&text));
    }
}
