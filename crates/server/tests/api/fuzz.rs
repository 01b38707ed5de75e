//! The server's fuzz targets over their corpus, without a fuzzer.
//!
//! Takes every file below `fuzz/corpus/<target>`, expects that no promise breaks. Never: a target without a corpus.

#[expect(
    unreachable_pub,
    reason = "public for the crate that hands them to the fuzzer"
)]
#[path = "../../../../fuzz/src/server.rs"]
mod targets;

use std::path::Path;

/// What takes a target's bytes.
type Target = fn(&[u8]);

#[test]
fn every_target_of_the_server_keeps_its_promises_on_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let all: [(&str, Target); 4] = [
        ("config_file", targets::config_file),
        ("run_metadata", targets::run_metadata),
        ("upload", targets::upload),
        ("webhook", targets::webhook),
    ];
    for (name, target) in all {
        let dir = corpus.join(name);
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{} is empty", dir.display());
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            let caught = std::panic::catch_unwind(|| target(&bytes));
            assert!(caught.is_ok(), "{} breaks a promise", file.display());
        }
    }
}
