//! Lists of checksums, and the one file of an archive that is wanted.
//!
//! Takes bytes whose signature or digest was checked. Never: any other entry unpacked, or an unbounded one.

use std::io::{Read, Seek};

use gantry_protocol::Digest;

/// Largest executable that is unpacked, in bytes.
pub(super) const MAX_TOOL: u64 = 512 << 20;

/// Why an archive gives no tool.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not a zip archive.
    #[error("`{archive}` is not a zip archive that can be read")]
    Zip {
        /// Its name.
        archive: String,
        /// Why.
        source: zip::result::ZipError,
    },
    /// The tool is not in it.
    #[error("`{archive}` holds no file `{program}` at its top")]
    Missing {
        /// Its name.
        archive: String,
        /// What was looked for.
        program: &'static str,
    },
    /// The tool is too large.
    #[error("`{program}` in `{archive}` says that it is larger than {} MiB", MAX_TOOL >> 20)]
    TooLarge {
        /// Its name.
        archive: String,
        /// What was looked for.
        program: &'static str,
    },
}

/// The digest that a list of checksums names for `file`.
pub(super) fn listed(sums: &[u8], file: &str) -> Option<Digest> {
    let text = std::str::from_utf8(sums).ok()?;
    let mut found = None;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(hex), Some(name), None) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        // `sha256sum` marks files that it read as binary with a star.
        if name.strip_prefix('*').unwrap_or(name) != file {
            continue;
        }
        let digest: Digest = format!("sha256:{}", hex.to_ascii_lowercase())
            .parse()
            .ok()?;
        // Two lines that differ say nothing.
        if found.replace(digest).is_some_and(|other| other != digest) {
            return None;
        }
    }
    found
}

/// Unpacks `program`, the only entry that is looked at, into `take`.
pub(super) fn unpack<T, E>(
    archive: &str,
    content: impl Read + Seek,
    program: &'static str,
    take: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> Result<Result<T, E>, ArchiveError> {
    let broken = |source| ArchiveError::Zip {
        archive: archive.to_owned(),
        source,
    };
    let mut zip = zip::ZipArchive::new(content).map_err(broken)?;
    let mut entry = match zip.by_name(program) {
        Ok(entry) if entry.is_file() => entry,
        Ok(_) | Err(zip::result::ZipError::FileNotFound) => {
            return Err(ArchiveError::Missing {
                archive: archive.to_owned(),
                program,
            });
        }
        Err(source) => return Err(broken(source)),
    };
    if entry.size() > MAX_TOOL {
        return Err(ArchiveError::TooLarge {
            archive: archive.to_owned(),
            program,
        });
    }
    Ok(take(&mut entry))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use proptest::prelude::*;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn lists_of_checksums() {
        let rows = [
            (format!("{A}  x.zip\n{B}  y.zip\n"), Some(A)),
            (format!("{}  x.zip\r\n", A.to_uppercase()), Some(A)),
            (format!("{A} *x.zip"), Some(A)),
            (format!("{A}  x.zip\n{A}  x.zip\n"), Some(A)),
            (format!("{A}  x.zip\n{B}  x.zip\n"), None),
            (format!("{A}  ax.zip\n{A}  x.zip.sig\n"), None),
            (format!("{A}  dir/x.zip\n"), None),
            (format!("{A}  x.zip more\n"), None),
            (format!("{}  x.zip\n", &A[1..]), None),
            (String::new(), None),
        ];
        for (sums, expected) in rows {
            let found = listed(sums.as_bytes(), "x.zip").map(|digest| digest.hex());
            assert_eq!(found.as_deref(), expected, "{sums}");
        }
    }

    fn zipped(entries: &[(&str, &[u8])]) -> Cursor<Vec<u8>> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            let options = zip::write::SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap()
    }

    fn unpacked(content: Cursor<Vec<u8>>) -> Result<Vec<u8>, ArchiveError> {
        let taken = unpack("a.zip", content, "terraform", |entry| {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map(|_| bytes)
        });
        taken.map(|bytes| bytes.expect("in memory"))
    }

    #[test]
    fn only_the_tool_is_taken() {
        let usual = zipped(&[("LICENSE.txt", b"l"), ("terraform", b"tool")]);
        assert_eq!(unpacked(usual).unwrap(), b"tool");
        for name in [
            "../terraform",
            "dir/terraform",
            "/terraform",
            "Terraform",
            "terraform/",
        ] {
            let error = unpacked(zipped(&[(name, b"tool")])).unwrap_err();
            assert!(
                matches!(error, ArchiveError::Missing { .. }),
                "{name}: {error}"
            );
        }
        let error = unpacked(Cursor::new(b"no zip".to_vec())).unwrap_err();
        assert!(matches!(error, ArchiveError::Zip { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = listed(&bytes, "x");
            let _ = unpacked(Cursor::new(bytes));
        }
    }
}
