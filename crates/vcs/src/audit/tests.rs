//! What lines say and what they never say.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::{Audit, Ending, Tally, Wanted};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        let text = self.text();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn audit(dump: bool) -> (Audit, Kept) {
    let kept = Kept::default();
    let out = Box::new(kept.clone());
    let audit = Audit::new("01POOL".into(), dump, out, Arc::new(Tally::default()));
    (audit, kept)
}

fn wanted(target: &str) -> Wanted<'_> {
    Wanted {
        id: "r1",
        method: "GET",
        target,
        body: 3,
        stream: 2,
    }
}

#[test]
fn each_ending_has_its_words() {
    let refused = Ending::Refused {
        error: "invalid request: no".into(),
        reason: "because".into(),
    };
    let failed = Ending::Failed {
        error: "tcp: refused".into(),
    };
    let rows = [
        (Ending::Served, "info", "Request served."),
        (refused, "error", "invalid request: no"),
        (failed, "error", "Error serving request."),
        (Ending::Cancelled, "info", "Request taken back."),
        (Ending::Cut, "error", "Request cut."),
    ];
    for (ending, level, msg) in rows {
        let (audit, kept) = audit(false);
        let mut record = audit.begin(&wanted("/a%2Fb?ref=main&x=secret"));
        record.status(200);
        record.sent(5);
        record.finish(ending);
        let [line] = &kept.lines()[..] else {
            panic!("{}", kept.text())
        };
        assert_eq!(
            (line["level"].as_str(), line["msg"].as_str()),
            (Some(level), Some(msg))
        );
        assert_eq!(line["path"], "/a/b");
        assert_eq!(line["raw_path"], "/a%2Fb");
        assert_eq!(line["query_keys"], serde_json::json!(["ref", "x"]));
        assert_eq!(
            (&line["bytes_in"], &line["bytes_out"]),
            (&3.into(), &5.into())
        );
        assert_eq!(line["pool_id"], "01POOL");
        assert!(!kept.text().contains("secret"), "{}", kept.text());
    }
}

#[test]
fn keys_stand_in_alphabetical_order() {
    let (audit, kept) = audit(false);
    let mut record = audit.begin(&wanted("/x"));
    record.admitted("Get Project", Some("a/b"), true);
    record.finish(Ending::Served);
    let text = kept.text();
    let found: Vec<_> = text
        .split('"')
        .filter(|part| text.contains(&format!("\"{part}\":")))
        .collect();
    let mut sorted = found.clone();
    sorted.sort_unstable();
    assert_eq!(found, sorted);
    assert_eq!(kept.lines()[0]["name"], "Get Project");
    assert_eq!(kept.lines()[0]["subdomain"], "codeload");
    assert_eq!(kept.lines()[0]["decision"], "admitted");
}

#[test]
fn a_request_that_is_dropped_has_its_line_once() {
    let (audit, kept) = audit(false);
    drop(audit.begin(&wanted("/x")));
    audit.begin(&wanted("/y")).finish(Ending::Served);
    let messages: Vec<_> = kept
        .lines()
        .iter()
        .map(|line| line["msg"].clone())
        .collect();
    assert_eq!(messages, ["Request cut.", "Request served."]);
}

#[test]
fn hostile_targets_stay_one_line_of_bounded_length() {
    let (audit, kept) = audit(false);
    let long = format!("/{}\n{{}}?{}", "ä".repeat(9000), "k=v&".repeat(1000));
    audit.begin(&wanted(&long)).finish(Ending::Served);
    assert_eq!(kept.lines().len(), 1);
    assert!(kept.text().len() < 40_000, "{}", kept.text().len());
}

#[test]
fn dumps_show_headers_without_credentials_and_only_on_demand() {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("application/json"));
    headers.insert("private-token", HeaderValue::from_static("hunter2"));
    let (quiet, kept) = audit(false);
    quiet.dump("r1", "GET /x?private_token=hunter2", &headers);
    assert_eq!(kept.text(), "");
    let (loud, kept) = audit(true);
    loud.dump("r1", "GET /x?private_token=hunter2", &headers);
    assert!(kept.text().contains("application/json"));
    assert!(!kept.text().contains("hunter2"), "{}", kept.text());
}
