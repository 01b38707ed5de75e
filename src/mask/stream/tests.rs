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
    let cases: [(&[&str], &str, &str); 14] = [
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
        (
            &["p@ss word"],
            "https://u:p%40ss%20word@host",
            "https://u:*****@host",
        ),
        (&["a<b\"c"], r#"{"x": "a\u003cb\"c"}"#, r#"{"x": "*****"}"#),
        (
            &["tok=3\ntok=4tok"],
            "746f6b3d330a746f6b3d34746f6b",
            "*****",
        ),
    ];
    for (secrets, text, expected) in cases {
        assert_eq!(whole(secrets, text), expected, "{secrets:?}");
    }
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
    for _ in 0..30 {
        bytes.extend(stream.push(&[b'a'; 10_000]).bytes);
        assert!(stream.held.len() <= 2 * MAX_CHAIN, "{}", stream.held.len());
    }
    bytes.extend(stream.finish().bytes);
    assert!(!bytes.contains(&b'a'), "nothing of it is left");
    assert_eq!(bytes, mask.whole(&[b'a'; 300_000]));
}

#[test]
fn a_chain_that_is_cut_leaks_nothing_and_can_be_taken_up_at_the_cut() {
    // Overlaps by four and three, so that starts and ends of the occurrences never meet.
    let secrets = ["wxyzabcdefg", "defghijwxyz"];
    let mask = mask(&secrets);
    let turn = "wxyzabcdefghij";
    let text = format!("<{}wxyz>", turn.repeat(10_000));
    let expected = mask.whole(text.as_bytes());
    assert_eq!(expected, b"<***************>");
    let mut stream = mask.stream(0);
    for chunk in text.as_bytes().chunks(999) {
        let decided = usize::try_from(stream.push(chunk).decided).expect("small");
        let rest = mask.whole(&text.as_bytes()[decided..]);
        assert!(expected.ends_with(&rest), "from {decided}");
    }
}

#[test]
fn what_a_gap_tears_apart_is_hidden_on_both_sides() {
    let mask = mask(&["correct-horse-battery", "other one"]);
    let mut before = mask.stream(0);
    let mut bytes = before.push(b"the token is correct-ho").bytes;
    let end = before.finish_at_gap();
    bytes.extend(end.bytes);
    assert_eq!(
        (bytes.as_slice(), end.decided),
        (&b"the token is *****"[..], 23)
    );

    for chunk in [1, 5, 100] {
        let mut after = mask.stream_after_gap(100);
        let text = b"se-battery and some ordinary text behind it";
        let mut bytes: Vec<u8> = Vec::new();
        for part in text.chunks(chunk) {
            bytes.extend(after.push(part).bytes);
        }
        let end = after.finish();
        bytes.extend(end.bytes);
        assert_eq!(bytes, b"***** and some ordinary text behind it");
        assert_eq!(end.decided, 100 + text.len() as u64);
    }
    for (text, expected) in [
        ("ery", "ery"),
        ("ordinary", "ordinary"),
        ("horse-battery", "*****"),
    ] {
        let mut after = mask.stream_after_gap(0);
        let mut bytes = after.push(text.as_bytes()).bytes;
        bytes.extend(after.finish().bytes);
        assert_eq!(bytes, expected.as_bytes());
    }
}

/// A key as `openssl` writes it, and its many ways into a log.
#[test]
fn a_key_file_is_hidden_however_it_is_printed() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let lines: Vec<String> = (0..40_u8)
        .map(|n| STANDARD.encode([n.wrapping_mul(37) | 1; 48]))
        .collect();
    let key = format!(
        "-----BEGIN KEY-----\n{}\n-----END KEY-----\n",
        lines.join("\n")
    );
    let mask = mask(&[&key]);
    let encoded = STANDARD.encode(&key);
    let wrapped: Vec<&str> = (0..encoded.len())
        .step_by(76)
        .map(|at| &encoded[at..encoded.len().min(at + 76)])
        .collect();
    let shown = [
        key.clone(),
        key.replace('\n', "\r\n"),
        key.replace('\n', "\n      "),
        serde_json::to_string(&key).expect("JSON"),
        encoded.clone(),
        STANDARD.encode(format!("user:{key}")),
        wrapped.join("\n"),
    ];
    for text in shown {
        let masked = String::from_utf8(mask.whole(text.as_bytes())).expect("text");
        let left: String = masked
            .chars()
            .filter(|c| !"*\r\n \"\\n=".contains(*c))
            .collect();
        // What stood before it, and the character that the last line feed shares with it.
        assert!(left.len() <= 8, "{left} is left of {text}");
    }
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
        for pattern in mask.patterns() {
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
