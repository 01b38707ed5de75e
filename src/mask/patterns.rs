//! The byte strings that give a secret away.
//!
//! Takes secrets, gives patterns without duplicates. Never: a pattern shorter than the limits below, or longer
//! than [`PIECE`]; longer ones are cut into pieces that overlap, so that together they hide the whole.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::{MIN_SECRET, forms};

/// Shortest line of a secret of several lines that is hidden on its own: `{` or `EOF` would not be a secret.
const MIN_LINE: usize = 8;

/// Shortest piece of base64 that is hidden; below that it is likely to be an ordinary word.
const MIN_BASE64: usize = 8;

/// Longest pattern, and so the most that is held back before a byte is decided.
const PIECE: usize = 512;

/// By how much pieces of one text overlap.
const OVERLAP: usize = 32;

/// Raw bytes whose base64 makes one piece, and how far apart they begin: a multiple of three, so that all
/// pieces of a secret have its alignment.
const RAW_PIECE: usize = 360;
const RAW_STEP: usize = 336;

/// Above this a secret gets the common forms only: it is a file, and each form costs memory of its size.
const LARGE: usize = 64 << 10;

/// Columns at which programs wrap base64: GNU and MIME, OpenSSL and PEM.
const WRAPS: [usize; 2] = [76, 64];

/// Whether a value is not hidden because it is too short; nothing at all is no secret.
pub fn is_too_short(secret: &[u8]) -> bool {
    (1..MIN_SECRET).contains(&secret.trim_ascii().len())
}

/// All patterns for `secrets`.
pub(super) fn patterns<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut found = BTreeSet::new();
    for secret in secrets {
        let secret = secret.trim_ascii();
        if secret.len() >= MIN_SECRET {
            one(secret, &mut found);
        }
    }
    found.into_iter().collect()
}

fn one(secret: &[u8], found: &mut BTreeSet<Vec<u8>>) {
    let large = secret.len() > LARGE;
    let engines: &[_] = match large {
        true => &[&STANDARD],
        false => &[&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD],
    };
    let write = |text: &[u8], texts: &mut BTreeSet<Vec<u8>>| match large {
        true => forms::few(text, texts),
        false => forms::all(text, texts),
    };
    let mut texts = BTreeSet::new();
    write(secret, &mut texts);
    if secret.contains(&b'\n') {
        let lines = secret.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        for line in lines.filter(|line| line.len() >= MIN_LINE) {
            write(line, &mut texts);
        }
    }
    for text in texts {
        found.extend(pieces(&text, PIECE, PIECE - OVERLAP).map(<[u8]>::to_vec));
    }
    for engine in engines {
        for shift in 0..3 {
            encoded(engine, secret, shift, found);
        }
        for columns in WRAPS {
            wrapped(engine, secret, columns, found);
        }
    }
}

/// Overlapping pieces that cover `text`; the last is as long as the others where there are several.
fn pieces(text: &[u8], size: usize, step: usize) -> impl Iterator<Item = &[u8]> {
    let last = text.len().saturating_sub(size);
    let starts = (0..last).step_by(step).chain([last]);
    starts.map(move |start| &text[start..text.len().min(start + size)])
}

/// Base64 of `secret` where it begins `shift` bytes into a group of three: the characters that depend on the
/// secret alone, and the same to the end of the text, padding included.
fn encoded(engine: &GeneralPurpose, secret: &[u8], shift: usize, found: &mut BTreeSet<Vec<u8>>) {
    let mut at = 0;
    loop {
        let part = &secret[at..secret.len().min(at + RAW_PIECE)];
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(part);
        let text = engine.encode(&bytes).into_bytes();
        let start = (shift * 8).div_ceil(6);
        let stable = bytes.len() * 8 / 6;
        if stable.saturating_sub(start) >= MIN_BASE64 {
            found.insert(text[start..stable].to_vec());
        }
        if at + part.len() == secret.len() {
            if stable.saturating_sub(start) >= MIN_BASE64 {
                found.insert(text[start..].to_vec());
            }
            return;
        }
        at += RAW_STEP;
    }
}

/// The lines of base64 that is wrapped at `columns`, when the secret is all that is encoded.
fn wrapped(engine: &GeneralPurpose, secret: &[u8], columns: usize, found: &mut BTreeSet<Vec<u8>>) {
    let text = engine.encode(secret).into_bytes();
    let stable = &text[..secret.len() * 8 / 6];
    if text.len() > columns {
        let lines = text.chunks(columns).chain(stable.chunks(columns));
        let lines = lines.filter(|line| line.len() >= MIN_BASE64);
        found.extend(lines.map(<[u8]>::to_vec));
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
        let secret = b"correct horse?battery";
        let patterns = patterns([&secret[..]]);
        for before in 0..7 {
            for after in 0..7 {
                let mut text = vec![b'<'; before];
                text.extend_from_slice(secret);
                text.extend(vec![b'>'; after]);
                for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                    let encoded = engine.encode(&text);
                    let hit = patterns.iter().any(|p| contains(encoded.as_bytes(), p));
                    assert!(hit, "{before} {after} {encoded}");
                }
            }
        }
    }

    #[test]
    fn forms_of_one_secret() {
        let found = patterns([&b"pa\"ss word"[..], b"abc", b"", b"  xy \n"]);
        let has = |text: &str| found.iter().any(|p| p == text.as_bytes());
        assert!(has("pa\"ss word") && has("pa\\\"ss word") && has("pa%22ss+word"));
        assert!(!has("abc") && !has("xy"));
        assert!(is_too_short(b"abc") && is_too_short(b" xy \n"));
        assert!(!is_too_short(b"") && !is_too_short(b" \n") && !is_too_short(b"abcd"));
    }

    #[test]
    fn lines_of_a_key_are_hidden_one_by_one() {
        let key = b"-----BEGIN KEY-----\r\n  MIIEvQIBADANBgkq\r\n}\r\nshort\r\n-----END KEY-----\n";
        let found = patterns([&key[..]]);
        let has = |text: &str| found.iter().any(|p| p == text.as_bytes());
        assert!(has("MIIEvQIBADANBgkq") && has("-----BEGIN KEY-----"));
        assert!(!has("}") && !has("short"));
    }

    #[test]
    fn long_secrets_are_hidden_by_pieces_without_a_gap() {
        let text: Vec<u8> = (0..5000_u32).flat_map(|n| n.to_be_bytes()).collect();
        let mut covered = 0;
        for piece in pieces(&text, PIECE, PIECE - OVERLAP) {
            let start = text.windows(piece.len()).position(|part| part == piece);
            let start = start.unwrap();
            assert!(start <= covered && piece.len() == PIECE);
            covered = start + piece.len();
        }
        assert_eq!(covered, text.len());
        assert!(pieces(b"short", PIECE, 1).eq([b"short"]));
        assert!(patterns([text.as_slice()]).iter().all(|p| p.len() <= PIECE));
    }
}
