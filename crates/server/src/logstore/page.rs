//! Cutting log bytes into texts.
//!
//! Takes bytes of a section and whether more may follow, gives texts that join to the same bytes as far as
//! these are UTF-8, and says how many bytes they cover. Pure.

/// Cuts `bytes` into texts of at most `limit` bytes each, at line ends where there are any. What is not
/// UTF-8 is replaced, but never because a character happened to be cut in two: the beginning of one at the
/// end of `bytes` is left for the next page while `more` may follow. Gives the texts and the number of bytes
/// that they cover.
pub(super) fn cut(bytes: &[u8], limit: usize, more: bool) -> (Vec<String>, usize) {
    let usable = if more {
        bytes.len() - unfinished(bytes)
    } else {
        bytes.len()
    };
    let mut rest = &bytes[..usable];
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let at = piece(rest, limit);
        let (text, after) = rest.split_at(at);
        texts.push(String::from_utf8_lossy(text).into_owned());
        rest = after;
    }
    (texts, usable)
}

fn piece(bytes: &[u8], limit: usize) -> usize {
    if bytes.len() <= limit {
        return bytes.len();
    }
    let window = &bytes[..limit];
    match window.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => end + 1,
        None => limit - unfinished(window),
    }
}

/// Length of the beginning of a UTF-8 character at the end of `bytes`, 0 to 3.
fn unfinished(bytes: &[u8]) -> usize {
    let longest = bytes.len().min(3);
    for back in 1..=longest {
        let byte = bytes[bytes.len() - back];
        let needed = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if needed > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_stay_whole_and_characters_too() {
        for (bytes, limit, more, expected) in [
            ("a\nb\n", 10, false, vec!["a\nb\n"]),
            ("a\nbb\ncc", 4, false, vec!["a\n", "bb\n", "cc"]),
            ("aaaa", 2, false, vec!["aa", "aa"]),
            ("aé", 2, false, vec!["a", "é"]),
            ("", 10, false, vec![]),
        ] {
            assert_eq!(cut(bytes.as_bytes(), limit, more).0, expected, "{bytes}");
        }
        let half = &"aé".as_bytes()[..2];
        assert_eq!(cut(half, 10, true), (vec!["a".to_owned()], 1));
        assert_eq!(cut(half, 10, false), (vec!["a\u{FFFD}".to_owned()], 2));
        assert_eq!(cut(b"\xE2\x82", 10, true), (vec![], 0));
        assert_eq!(
            cut(b"\x82\x82\x82\x82", 10, true).1,
            4,
            "no character begins here"
        );
    }

    proptest! {
        #[test]
        fn texts_join_to_the_bytes(text in "\\PC{0,200}", cuts in prop::collection::vec(1usize..50, 1..20), limit in 4usize..64) {
            let bytes = text.as_bytes();
            let (mut joined, mut from, mut to) = (String::new(), 0, 0);
            for step in cuts {
                to = (to + step).min(bytes.len());
                let (texts, used) = cut(&bytes[from..to], limit, to < bytes.len());
                prop_assert!(texts.iter().all(|t| t.len() <= limit));
                joined.extend(texts);
                from += used;
            }
            let (texts, used) = cut(&bytes[from..], limit, false);
            joined.extend(texts);
            prop_assert_eq!(from + used, bytes.len());
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn any_bytes_are_covered_once(bytes in prop::collection::vec(any::<u8>(), 0..300), limit in 4usize..64, more: bool) {
            let (_, used) = cut(&bytes, limit, more);
            prop_assert!(bytes.len() - used <= 3);
            prop_assert!(more || used == bytes.len());
        }
    }
}
