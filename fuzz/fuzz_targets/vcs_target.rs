//! `vcs_target` of `src/lib.rs` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gantry_fuzz::vcs_target(data));
