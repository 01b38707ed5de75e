//! Golden files: every message of both wires, as bytes that a released peer would send.
//!
//! Takes a value per message and the files beside this one; each file has to read as the value, and the value has to
//! write as the file. Never: a file written by a test, or a message or variant without its file (the lists are
//! matched exhaustively, so a new variant does not compile without a row). The rule for changes is in `README.md`.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test"
)]

mod control;
mod fixtures;
mod shared;
mod signed;
mod socket;
mod table;

use std::collections::BTreeSet;

use table::{Golden, root};

fn all() -> Vec<Golden> {
    let mut rows = control::rows();
    rows.extend(shared::rows());
    rows.extend(socket::rows());
    rows.extend(signed::claims());
    rows
}

#[test]
fn every_message_is_written_and_read_as_its_file() {
    let wrong: Vec<String> = all().iter().filter_map(|row| row.check().err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_message_meets_an_unknown_field_as_written_down() {
    let wrong: Vec<String> = all()
        .iter()
        .filter_map(|row| row.check_unknown_field().err())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_belongs_to_a_message() {
    let mut claimed: BTreeSet<String> = all().iter().map(Golden::file).collect();
    assert_eq!(claimed.len(), all().len(), "two rows claim one file");
    claimed.extend(
        signed::FILES
            .iter()
            .chain(socket::FILES)
            .map(|name| (*name).to_owned()),
    );
    let mut found = BTreeSet::new();
    for directory in ["control-1", "socket-1", "signed-1", "keys"] {
        for entry in std::fs::read_dir(root().join(directory)).unwrap() {
            let name = entry.unwrap().file_name();
            found.insert(format!("{directory}/{}", name.to_str().unwrap()));
        }
    }
    let orphans: Vec<_> = found.difference(&claimed).collect();
    assert!(orphans.is_empty(), "files that no test reads: {orphans:?}");
}
