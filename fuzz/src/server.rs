//! What the server's fuzz targets do with their bytes.
//!
//! Takes bytes of anybody's choosing, panics where a promise does not hold. `fuzz_targets` feeds these to libFuzzer,
//! `crates/server/tests/api/fuzz.rs` runs them over `corpus`. Never: a file, the network.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use gantry_protocol::archive::MAX_ENTRIES;
use gantry_server::domain::{ENTRY_LIMIT, MetadataEntry};
use gantry_server::runtime_config::{FILE_LIMIT, parse_file, parse_given};
use gantry_server::uploads::look_through;

/// Longest sentence about a mistake, in characters: an error repeats no whole file.
const SENTENCE: usize = 2000;

/// Settings in a repository and with a trigger: reading ends, is the same twice, and mistakes are told in a sentence.
pub fn config_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for read in [parse_file, parse_given] {
        let (first, again) = (read(text, "net"), read(text, "net"));
        assert_eq!(format!("{first:?}"), format!("{again:?}"), "{text}");
        match first {
            Ok(_) => assert!(text.len() <= FILE_LIMIT),
            Err(error) => {
                let error = error.to_string();
                assert!(error.chars().count() <= SENTENCE, "{error}");
                assert!(!error.contains(char::is_control), "{error:?}");
            }
        }
    }
}

/// Values of the header that carries run metadata, a line each: what is taken is the one value, one line of text.
pub fn run_metadata(data: &[u8]) {
    let values: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    match MetadataEntry::from_headers(values.iter().copied()) {
        Ok(Some(entry)) => {
            assert_eq!((values.len(), entry.as_str().as_bytes()), (1, values[0]));
            assert!(entry.as_str().len() <= ENTRY_LIMIT);
            assert_eq!(entry.as_str().lines().count(), 1);
        }
        Ok(None) => assert!(values.iter().all(|value| value.is_empty())),
        Err(error) => assert!(error.to_string().chars().count() <= SENTENCE),
    }
}

/// Archives that people send, packed here: bounds hold, and looking twice finds the same.
pub fn upload(data: &[u8]) {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(data).expect("memory takes everything");
    let packed = packed.finish().expect("memory takes everything");
    let (first, again) = (look_through(&packed[..]), look_through(&packed[..]));
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
    match first {
        Ok(scanned) => assert!((1..=MAX_ENTRIES).contains(&scanned.entries)),
        Err(error) => assert!(error.to_string().chars().count() <= SENTENCE),
    }
    // As it came, it is hardly ever an archive.
    let _ = look_through(data);
}
