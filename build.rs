//! What the linker is told beside cargo's own options, for every program of this workspace.
//!
//! Takes the target and its features, gives one option. Never: an option with which a program would not start.
//!
//! A static program that can be loaded anywhere holds a list of every address in it that has to be moved at its start: two
//! megabytes in the launcher, all of them read then and counted as its memory. Packed they are a fiftieth. Who moves them is
//! glibc's part of the program, since 2.36.

use std::path::Path;
use std::process::Command;

/// The first glibc that reads the packed list in static programs.
const SINCE: (u32, u32) = (2, 36);

fn main() {
    for this in ["build.rs", "../../build.rs"] {
        if Path::new(this).exists() {
            println!("cargo::rerun-if-changed={this}");
        }
    }
    if is_static_for_this_host() && glibc().is_some_and(|found| found >= SINCE) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Another host's glibc is not known here, and a dynamic program would need as new a glibc wherever it runs.
fn is_static_for_this_host() -> bool {
    let features = said("CARGO_CFG_TARGET_FEATURE");
    let is_static = features.split(',').any(|feature| feature == "crt-static");
    is_static && said("CARGO_CFG_TARGET_ENV") == "gnu" && said("TARGET") == said("HOST")
}

fn glibc() -> Option<(u32, u32)> {
    let answer = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let answer = String::from_utf8(answer.ok()?.stdout).ok()?;
    let (major, minor) = answer.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor: String = minor.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is how cargo tells a build script about the target"
)]
fn said(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
