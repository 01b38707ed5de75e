//! The server's fuzz targets over their corpus, without a fuzzer.
//!
//! Never: a target that is left out.

#[expect(
    unreachable_pub,
    reason = "public for the crate that hands them to the fuzzer"
)]
#[path = "../../../../fuzz/src/server.rs"]
mod targets;

#[test]
fn every_target_of_the_server_keeps_its_promises_on_its_corpus() {
    gantry_test_support::corpus::replay(&[
        ("config_file", targets::config_file),
        ("run_metadata", targets::run_metadata),
        ("upload", targets::upload),
        ("webhook", targets::webhook),
    ]);
}
