//! The spool as an honest worker leaves it, and as a hostile one would.
//!
//! Takes temporary directories. Never: a worker process.

use std::io::Write;
use std::os::unix::fs::symlink;

use super::*;
use gantry_protocol::socket::{Phase, WorkerEnd};

struct World {
    temp: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            temp: tempfile::tempdir().expect("temp dir"),
        }
    }

    fn append(&self, name: &str, bytes: &[u8]) {
        let path = self.temp.path().join(name);
        let file = File::options().create(true).append(true).open(path);
        file.expect("file").write_all(bytes).expect("written");
    }

    fn reader(&self, cursor: u64) -> SpoolReader {
        SpoolReader::open(self.temp.path(), cursor).expect("opened")
    }

    fn names(&self) -> Vec<String> {
        let dir = std::fs::read_dir(self.temp.path()).expect("dir");
        let mut names: Vec<String> = dir
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

fn entered(section: u32) -> Fact {
    Fact::Entered {
        section,
        phase: Phase::Plan,
    }
}

fn line(fact: &Fact) -> Vec<u8> {
    let mut line = serde_json::to_vec(fact).expect("json");
    line.push(b'\n');
    line
}

#[test]
fn facts_come_whole_and_once() {
    let world = World::new();
    let mut reader = world.reader(0);
    assert_eq!(reader.facts().expect("no file yet"), []);
    world.append(EVENTS, &line(&entered(1)));
    let second = line(&entered(2));
    world.append(EVENTS, &second[..10]);
    assert_eq!(reader.facts().expect("one"), [entered(1)]);
    assert_eq!(reader.facts().expect("none"), []);
    world.append(EVENTS, &second[10..]);
    assert_eq!(reader.facts().expect("two"), [entered(2)]);
    let end = Fact::Finished(WorkerEnd::Succeeded);
    world.append(EVENTS, &line(&end));
    let mut later = world.reader(reader.cursor());
    assert_eq!(later.facts().expect("after a restart"), [end]);
}

#[test]
fn what_is_no_fact_is_an_error_after_the_facts_before_it() {
    for bad in [
        &b"{}\n"[..],
        b"not json\n",
        b"\n",
        b"\xff\xfe\n",
        b"{\"fact\":\"entered\"}\n",
    ] {
        let world = World::new();
        world.append(EVENTS, &line(&entered(1)));
        world.append(EVENTS, bad);
        let mut reader = world.reader(0);
        assert_eq!(reader.facts().expect("the good one"), [entered(1)]);
        let error = reader.facts().expect_err("the bad one");
        assert!(matches!(error, SpoolError::Fact { at, .. } if at == reader.cursor()));
    }
}

#[test]
fn a_line_without_end_is_bounded() {
    let world = World::new();
    world.append(EVENTS, &vec![b' '; MAX_FACT + 1]);
    let error = world.reader(0).facts().expect_err("too long");
    assert!(error.to_string().contains("too long"), "{error}");
    let padded = World::new();
    padded.append(EVENTS, &vec![b' '; MAX_FACT]);
    padded.append(EVENTS, &line(&entered(1)));
    assert!(padded.reader(0).facts().is_err());
}

#[test]
fn many_facts_come_in_bounded_calls() {
    let world = World::new();
    let facts: Vec<Fact> = (1..=40_000).map(entered).collect();
    let bytes: Vec<u8> = facts.iter().flat_map(line).collect();
    assert!(bytes.len() > FACTS_AT_ONCE);
    world.append(EVENTS, &bytes);
    let mut reader = world.reader(0);
    let mut found = Vec::new();
    loop {
        let more = reader.facts().expect("facts");
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    assert_eq!(found, facts);
}

fn bytes(read: LogRead) -> Vec<u8> {
    match read {
        LogRead::Bytes(bytes) => bytes,
        other => panic!("expected bytes, found {other:?}"),
    }
}

#[test]
fn log_bytes_are_read_across_segments_and_gaps() {
    let world = World::new();
    let mut reader = world.reader(0);
    assert_eq!(
        reader.log(1, 0, 100).expect("nothing yet"),
        LogRead::Nothing
    );
    world.append(&segment_name(1, 0), b"hello ");
    assert_eq!(bytes(reader.log(1, 0, 100).expect("read")), b"hello ");
    assert_eq!(reader.log(1, 6, 100).expect("no more"), LogRead::Nothing);
    world.append(&segment_name(1, 0), b"world");
    world.append(&segment_name(1, 11), b", again");
    world.append(&segment_name(1, 100), b"after");
    world.append(&segment_name(2, 0), b"other section");
    assert_eq!(bytes(reader.log(1, 6, 3).expect("bounded")), b"wor");
    assert_eq!(bytes(reader.log(1, 6, 100).expect("one segment")), b"world");
    assert_eq!(bytes(reader.log(1, 11, 100).expect("the next")), b", again");
    let gap = LogRead::Gap { from: 18, to: 100 };
    assert_eq!(reader.log(1, 18, 100).expect("gap"), gap);
    assert_eq!(bytes(reader.log(1, 100, 100).expect("behind it")), b"after");
    assert_eq!(bytes(reader.log(2, 6, 100).expect("another")), b"section");
    assert_eq!(
        bytes(reader.log(1, 2, 100).expect("back again")),
        b"llo world"
    );
    assert_eq!(reader.log(3, 0, 100).expect("no such"), LogRead::Nothing);
}

#[test]
fn a_dropped_beginning_is_a_gap() {
    let world = World::new();
    world.append(&segment_name(1, 500), b"x");
    let read = world.reader(0).log(1, 0, 10).expect("gap");
    assert_eq!(read, LogRead::Gap { from: 0, to: 500 });
}

#[test]
fn segments_that_overlap_are_cut_at_the_next_start() {
    let world = World::new();
    world.append(&segment_name(1, 0), b"0123456789");
    world.append(&segment_name(1, 4), b"abcdef");
    let mut reader = world.reader(0);
    let first = bytes(reader.log(1, 0, 100).expect("read"));
    assert_eq!(first, b"0123", "the name of the next decides");
    assert_eq!(bytes(reader.log(1, 4, 100).expect("read")), b"abcdef");
}

#[test]
fn only_whole_acknowledged_segments_go() {
    let world = World::new();
    world.append(&segment_name(1, 0), b"0123");
    world.append(&segment_name(1, 4), b"4567");
    world.append(&segment_name(1, 8), b"89");
    world.append(EVENTS, b"");
    let mut reader = world.reader(0);
    reader.release(1, 3, false).expect("nothing");
    assert_eq!(world.names().len(), 4);
    reader.release(1, 7, false).expect("the first");
    assert_eq!(world.names()[1..], [segment_name(1, 4), segment_name(1, 8)]);
    reader
        .release(1, 10, false)
        .expect("the second; the last may grow");
    assert_eq!(world.names()[1..], [segment_name(1, 8)]);
    world.append(&segment_name(1, 8), b"a");
    assert_eq!(bytes(reader.log(1, 8, 10).expect("still there")), b"89a");
    reader
        .release(1, 10, true)
        .expect("one byte is not acknowledged");
    assert_eq!(world.names().len(), 2);
    reader.release(1, 11, true).expect("the section has ended");
    assert_eq!(world.names(), [EVENTS]);
}

#[test]
fn traps_are_errors_and_never_block() {
    let secret = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(secret.path(), line(&entered(9))).expect("content");
    for trap in ["link", "fifo", "directory", "socket"] {
        let world = World::new();
        for name in [EVENTS.to_owned(), segment_name(1, 0)] {
            let path = world.temp.path().join(name);
            match trap {
                "link" => symlink(secret.path(), &path).expect("link"),
                "fifo" => nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("fifo"),
                "directory" => std::fs::create_dir(&path).expect("dir"),
                _ => drop(std::os::unix::net::UnixListener::bind(&path).expect("socket")),
            }
        }
        let mut reader = world.reader(0);
        assert!(
            matches!(reader.facts(), Err(SpoolError::Io { .. })),
            "{trap}"
        );
        assert!(
            matches!(reader.log(1, 0, 10), Err(SpoolError::Io { .. })),
            "{trap}"
        );
    }
}

#[test]
fn odd_names_are_no_segments() {
    let world = World::new();
    for name in [
        "log-1-0",
        "log-00001-0",
        "log-00001-00000000000000000000x",
        "log-99999999999-0",
    ] {
        world.append(name, b"x");
    }
    assert_eq!(
        world.reader(0).log(1, 0, 10).expect("none"),
        LogRead::Nothing
    );
}

#[test]
fn a_truncated_file_gives_nothing_new() {
    let world = World::new();
    world.append(EVENTS, &line(&entered(1)));
    world.append(&segment_name(1, 0), b"0123");
    let mut reader = world.reader(0);
    assert_eq!(reader.facts().expect("one").len(), 1);
    assert_eq!(bytes(reader.log(1, 0, 10).expect("read")), b"0123");
    for name in [EVENTS.to_owned(), segment_name(1, 0)] {
        std::fs::write(world.temp.path().join(name), "").expect("truncated");
    }
    assert_eq!(reader.facts().expect("none"), []);
    assert_eq!(reader.log(1, 2, 10).expect("none"), LogRead::Nothing);
}
