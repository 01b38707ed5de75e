//! The byte strings that give a secret away.
//!
//! Takes secrets, gives patterns without duplicates. Never: a pattern shorter than the limits below.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::MIN_SECRET;

/// Shortest line of a secret of several lines that is hidden on its own: `{` or `EOF` would not be a secret.
const MIN_LINE: usize = 8;

/// Shortest piece of base64 that is hidden; below that it is likely to be an ordinary word.
const MIN_BASE64: usize = 8;

/// All patterns for `secrets`, and how many secrets were too short to hide.
pub(super) fn patterns<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, usize) {
    let mut found = BTreeSet::new();
    let mut short = 0;
    for secret in secrets {
        let secret = secret.trim_ascii();
        if secret.len() < MIN_SECRET {
            short += usize::from(!secret.is_empty());
            continue;
        }
        plain_forms(secret, &mut found);
        for shift in 0..3 {
            for engine in [&STANDARD, &URL_SAFE] {
                base64_at(engine, secret, shift, &mut found);
            }
        }
        if secret.contains(&b'\n') {
            let lines = secret.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            for line in lines.filter(|line| line.len() >= MIN_LINE) {
                plain_forms(line, &mut found);
            }
        }
    }
    (found.into_iter().collect(), short)
}

/// As it is, and as JSON and HCL write it between quotes.
fn plain_forms(secret: &[u8], found: &mut BTreeSet<Vec<u8>>) {
    found.insert(secret.to_vec());
    if let Ok(text) = std::str::from_utf8(secret)
        && let Ok(quoted) = serde_json::to_string(text)
    {
        found.insert(quoted.as_bytes()[1..quoted.len() - 1].to_vec());
    }
}

/// Base64 of `secret` where it begins `shift` bytes into a group of three: the characters that depend on the
/// secret alone, and the same to the end of the text, padding included.
fn base64_at(
    engine: &base64::engine::GeneralPurpose,
    secret: &[u8],
    shift: usize,
    found: &mut BTreeSet<Vec<u8>>,
) {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(secret);
    let text = engine.encode(&bytes).into_bytes();
    let start = (shift * 8).div_ceil(6);
    let stable = bytes.len() * 8 / 6;
    if stable.saturating_sub(start) >= MIN_BASE64 {
        found.insert(text[start..stable].to_vec());
        found.insert(text[start..].to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(haystack: &[u8], needle: &[u8]) -> bool {
        haystack
            .windows(needle.len())
            .any(|window| window == needle)
    }

    #[test]
    fn base64_is_found_at_every_alignment() {
        let secret = b"correct horse battery";
        let (patterns, _) = patterns([&secret[..]]);
        for before in 0..7 {
            for after in 0..7 {
                let mut text = vec![b'<'; before];
                text.extend_from_slice(secret);
                text.extend(vec![b'>'; after]);
                for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                    let hit = patterns.iter().any(|p| contains(encoded.as_bytes(), p));
                    assert!(hit, "{before} {after} {encoded}");
                }
            }
        }
    }

    #[test]
    fn forms_of_one_secret() {
        let (found, short) = patterns([&b"pa\"ss word"[..], b"abc", b"", b"  xy \n"]);
        assert_eq!(short, 2, "the empty one is no secret");
        let has = |text: &str| found.iter().any(|p| p == text.as_bytes());
        assert!(has("pa\"ss word") && has("pa\\\"ss word"));
        assert!(!has("abc") && !has("xy"));
    }

    #[test]
    fn lines_of_a_key_are_hidden_one_by_one() {
        let key = b"-----BEGIN KEY-----\r\nMIIEvQIBADANBgkq\r\n}\r\nshort\r\n-----END KEY-----\n";
        let (found, _) = patterns([&key[..]]);
        let has = |text: &str| found.iter().any(|p| p == text.as_bytes());
        assert!(has("MIIEvQIBADANBgkq") && has("-----BEGIN KEY-----"));
        assert!(!has("}") && !has("short"));
    }
}
