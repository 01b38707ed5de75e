//! Fuzz targets over their corpus, without a fuzzer.
//!
//! Takes targets by name, gives each every file of its directory below `fuzz/corpus`. Never: a target without a corpus.

use std::path::Path;

/// What takes bytes from outside; it panics when a promise breaks.
pub type Target = fn(&[u8]);

/// Runs each target over its directory.
///
/// # Panics
/// A target broke a promise, or has no corpus.
pub fn replay(targets: &[(&str, Target)]) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets {
        let dir = corpus.join(name);
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        assert!(!files.is_empty(), "{} is empty", dir.display());
        for file in files {
            let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let caught = std::panic::catch_unwind(|| target(&bytes));
            assert!(caught.is_ok(), "{} breaks a promise", file.display());
        }
    }
}
