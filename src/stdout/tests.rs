//! Records through real pipes: read at once, read late, read never.
//!
//! Takes lines, looks at what comes out. Never: a wait for time to pass.

use std::io::{BufRead as _, BufReader, PipeReader, Read as _};
use std::os::fd::OwnedFd;

use serde_json::Value;

use super::*;

const RUN: &str = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C";

fn output() -> (StandardOutput, PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    let queue = Queue::start(OwnedFd::from(writer).into()).unwrap();
    (StandardOutput { queue }, reader)
}

fn records(output: &StandardOutput) -> RunRecords {
    output.run(RUN.parse().unwrap(), &"a-stack".parse().unwrap())
}

fn read(reader: PipeReader) -> Vec<Value> {
    let lines = BufReader::new(reader).lines();
    lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

#[test]
fn a_line_is_one_object_with_the_documented_fields() {
    let (output, reader) = output();
    let mut run = records(&output);
    run.take(1, (0, 10), b"first\nsec");
    run.take(1, (0, 10), b"first\nsec");
    run.take(2, (0, 5), b"other\n");
    run.take(1, (10, 20), b"ond \"q\" \xff\nrest");
    drop(run);
    output.finish(Duration::from_secs(10));
    drop(output);
    let found = read(reader);
    let texts = found.iter().map(|record| record["msg"].as_str().unwrap());
    assert_eq!(
        texts.collect::<Vec<_>>(),
        ["first", "other", "second \"q\" \u{FFFD}", "rest"]
    );
    for record in &found {
        let names: Vec<_> = record.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["msg", "run_ulid", "stack_id", "ts"]);
        assert_eq!(record["run_ulid"], RUN);
        assert_eq!(record["stack_id"], "a-stack");
        let ts = record["ts"].as_str().unwrap();
        assert_eq!((ts.len(), &ts[19..20], &ts[29..]), (30, ".", "Z"), "{ts}");
    }
}

#[test]
fn a_reader_that_sleeps_holds_nobody_up_and_is_told_what_it_missed() {
    let (output, mut reader) = output();
    let mut run = records(&output);
    let lines = 200_000;
    // Nobody reads while these are taken: 200,000 records of 200 bytes are ten times what may wait.
    for number in 0..lines {
        let line = format!("{number:0100}\n");
        run.take(1, (number, number + 1), line.as_bytes());
    }
    // Once there is room again the gap is told in its place, and lines go on behind it.
    let mut text = vec![0; 1 << 20];
    let mut seen = Vec::new();
    let mut after = lines;
    while run.dropped > 0 {
        let count = reader.read(&mut text).unwrap();
        seen.extend_from_slice(&text[..count]);
        run.take(1, (after, after + 1), b"behind the gap\n");
        after += 1;
    }
    drop(run);
    let rest = std::thread::spawn(move || {
        reader.read_to_end(&mut seen).unwrap();
        seen
    });
    output.finish(Duration::from_secs(10));
    drop(output);
    let seen = String::from_utf8(rest.join().unwrap()).unwrap();
    let seen: Vec<Value> = seen
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let dropped: u64 = seen.iter().filter_map(|r| r["dropped"].as_u64()).sum();
    let told = seen.iter().filter(|r| r["dropped"].is_null()).count();
    assert_eq!(
        told as u64 + dropped,
        after,
        "every line is there or counted"
    );
    let gap = seen.iter().position(|r| !r["dropped"].is_null()).unwrap();
    assert!(gap > 1000 && seen[gap + 1]["msg"] == "behind the gap");
}

#[test]
fn what_had_no_room_to_the_last_is_counted_at_the_end() {
    let (output, reader) = output();
    let mut run = records(&output);
    for number in 0..100_000 {
        run.take(
            1,
            (number, number + 1),
            format!("{number:0100}\n").as_bytes(),
        );
    }
    drop(run);
    let seen = std::thread::spawn(move || read(reader));
    output.finish(Duration::from_secs(10));
    drop(output);
    let seen = seen.join().unwrap();
    let last = seen.last().unwrap()["dropped"].as_u64().unwrap();
    assert_eq!(last as usize + seen.len() - 1, 100_000);
}

#[test]
fn a_reader_that_went_away_is_survived() {
    let (output, reader) = output();
    drop(reader);
    let mut run = records(&output);
    for number in 0..100_000 {
        run.take(1, (number, number + 1), b"a line that nobody reads\n");
    }
    output.finish(Duration::from_secs(10));
    assert_eq!(run.queue.push(b"more\n".to_vec()), Pushed::Taken);
}
