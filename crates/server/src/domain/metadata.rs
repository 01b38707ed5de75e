//! What users attach to a run: an ordered list of texts that only grows.
//!
//! Takes the bytes of a header, gives an entry; takes a list and an entry, gives the longer list. What must
//! never happen: an entry that is changed, moved or dropped, for signatures travel in them.

use gantry_protocol::RunId;

/// Header in which clients attach an entry.
pub const METADATA_HEADER: &str = "Spacelift-User-Provided-Run-Metadata";

/// Most bytes of one entry.
pub const ENTRY_LIMIT: usize = 64 * 1024;

/// Most entries of one run; with [`ENTRY_LIMIT`] they fit a run's payload several times over.
pub const ENTRIES_LIMIT: usize = 64;

/// Why a text can't be attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// More than fits.
    #[error(
        "the run metadata in header `{METADATA_HEADER}` is {length} bytes long: at most {ENTRY_LIMIT} are taken"
    )]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Not a text.
    #[error("the run metadata in header `{METADATA_HEADER}` is not UTF-8")]
    NotUtf8,
    /// A character that moves a terminal's cursor or breaks a line of a log.
    #[error(
        "the run metadata in header `{METADATA_HEADER}` holds the control character U+{code:04X} at byte {at}: one line of text is taken"
    )]
    Control {
        /// The character.
        code: u32,
        /// Where it begins.
        at: usize,
    },
    /// Several headers: nobody can tell which one counts.
    #[error("header `{METADATA_HEADER}` was sent {count} times: send it once")]
    Repeated {
        /// How often.
        count: usize,
    },
    /// The list is full.
    #[error(
        "run `{run}` already has {ENTRIES_LIMIT} entries of metadata, the most that are kept: leave header `{METADATA_HEADER}` out"
    )]
    Full {
        /// The run.
        run: RunId,
    },
}

/// One text that was found fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataEntry(String);

impl MetadataEntry {
    /// The entry of a request, from the values of all its headers of that name; none without such a header, or with
    /// an empty one.
    pub fn from_headers<'a>(
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, MetadataError> {
        let mut values = values.into_iter();
        let Some(first) = values.next() else {
            return Ok(None);
        };
        let more = values.count();
        if more > 0 {
            return Err(MetadataError::Repeated { count: more + 1 });
        }
        if first.len() > ENTRY_LIMIT {
            return Err(MetadataError::TooLong {
                length: first.len(),
            });
        }
        // Clients send raw UTF-8, which is not ASCII.
        let text = std::str::from_utf8(first).map_err(|_| MetadataError::NotUtf8)?;
        if let Some((at, bad)) = text.char_indices().find(|(_, c)| breaks_lines(*c)) {
            let code = u32::from(bad);
            return Err(MetadataError::Control { code, at });
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The list of a run with this entry at its end.
    pub fn append_to(&self, run: RunId, list: &[String]) -> Result<Vec<String>, MetadataError> {
        if list.len() >= ENTRIES_LIMIT {
            return Err(MetadataError::Full { run });
        }
        let own = std::iter::once(&self.0);
        Ok(list.iter().chain(own).cloned().collect())
    }
}

/// A tab is a space to everybody; the two separators end a line for some readers.
fn breaks_lines(c: char) -> bool {
    (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(value: &[u8]) -> Result<Option<MetadataEntry>, MetadataError> {
        MetadataEntry::from_headers([value])
    }

    #[test]
    fn what_a_header_may_hold() {
        for good in [
            "ticket 1",
            "a\tb",
            "ü 日本",
            "{\"a\":[1]}",
            &"x".repeat(ENTRY_LIMIT),
        ] {
            let entry = one(good.as_bytes()).unwrap().unwrap();
            assert_eq!(entry.as_str(), good);
        }
        assert_eq!(one(b""), Ok(None));
        assert_eq!(MetadataEntry::from_headers([]), Ok(None));
        for (bad, words) in [
            (&b"\xff\xfe"[..], "is not UTF-8"),
            (b"a\nb", "U+000A at byte 1"),
            (b"\x1b[2J", "U+001B at byte 0"),
            ("ü\u{85}".as_bytes(), "U+0085 at byte 2"),
            ("a\u{2028}b".as_bytes(), "U+2028 at byte 1"),
            (
                &vec![b'x'; ENTRY_LIMIT + 1],
                "65537 bytes long: at most 65536",
            ),
        ] {
            let refused = one(bad).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
            assert!(refused.contains(METADATA_HEADER), "{refused}");
        }
        let twice = MetadataEntry::from_headers([&b"a"[..], b"b", b"c"]);
        assert_eq!(twice, Err(MetadataError::Repeated { count: 3 }));
    }

    proptest! {
        /// Whatever comes, what stood in the list stands there afterwards, in the same places.
        #[test]
        fn a_list_only_grows(texts in prop::collection::vec(".{0,20}", 0..100)) {
            let run = RunId::from_ulid(ulid::Ulid::nil());
            let mut list: Vec<String> = Vec::new();
            let mut taken: Vec<String> = Vec::new();
            for text in &texts {
                let Ok(Some(entry)) = one(text.as_bytes()) else { continue };
                match entry.append_to(run, &list) {
                    Ok(longer) => {
                        prop_assert_eq!(&longer[..list.len()], &list[..]);
                        taken.push(text.clone());
                        list = longer;
                    }
                    Err(error) => {
                        prop_assert_eq!(error, MetadataError::Full { run });
                        prop_assert_eq!(list.len(), ENTRIES_LIMIT);
                    }
                }
            }
            prop_assert_eq!(list, taken);
        }
    }
}
