//! The line that tells of one evaluation, in the documented shape.
//!
//! Takes a policy, what it was asked and what it said; gives one line of JSON. Never: the text of the policy, which may
//! hold a secret (its digest stands there), or a signature that somebody could show again.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use regex::Regex;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use ulid::Ulid;

use crate::evaluation::{EvalError, Evaluation};
use crate::kind::{PolicyKind, Shape};
use crate::policy::Policy;

/// A JWS or JWE in the compact form: its header is JSON, so it begins like this (the rarer ones as words only).
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"((?:eyJ|eyA|\bewo|\bew0)[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*)\.[A-Za-z0-9_.-]+";
    Regex::new(pattern).expect("invariant: a valid pattern")
});

/// `text` with the signatures of tokens in it replaced: without, they can be read and not shown again.
pub fn without_signatures(text: &str) -> String {
    TOKEN.replace_all(text, "$1.*****").into_owned()
}

fn hide(json: &mut Json) {
    match json {
        Json::String(text) => *text = without_signatures(text),
        Json::Array(items) => items.iter_mut().for_each(hide),
        Json::Object(members) => members.values_mut().for_each(hide),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// One evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Which of several policies, from 0.
    pub index: usize,
    /// What was evaluated.
    pub policy: &'a Policy,
    /// On what.
    pub input: &'a Json,
    /// What came of it.
    pub result: &'a Result<Evaluation, EvalError>,
    /// In a word, such as `allow` or `deny`.
    pub outcome: &'a str,
}

impl Sample<'_> {
    /// Whether the policy wants it. One that fails could not say, so having the rule is enough.
    pub fn is_wanted(&self) -> bool {
        match self.result {
            Ok(evaluation) => evaluation.flag("sample"),
            Err(_) => self.policy.has_rule("sample"),
        }
    }

    /// One JSON object, without a line end.
    pub fn line(&self) -> String {
        let (results, error) = match self.result {
            Ok(evaluation) => (results(self.policy.kind(), evaluation), String::new()),
            Err(error) => (Json::Null, error.to_string()),
        };
        let mut sample = json!({
            "body": format!("sha256:{}", hex(&Sha256::digest(self.policy.text()))),
            "input": self.input,
            "outcome": self.outcome,
            "results": results,
            "error": error,
        });
        hide(&mut sample);
        let now = SystemTime::now();
        let written = OffsetDateTime::from(now).format(&Rfc3339);
        let kind = self.policy.kind().name().to_uppercase();
        let line = json!({
            "level": "info",
            "caller": concat!(file!(), ":", line!()),
            "ts": written.expect("invariant: this time can be written"),
            "msg": format!("Sample {}/{kind}/{}/{}", self.index, id(now), self.outcome),
            "sample": sample,
        });
        line.to_string()
    }
}

fn results(kind: PolicyKind, evaluation: &Evaluation) -> Json {
    let rules = kind.rules().iter().map(|rule| {
        let value = match rule.shape {
            Shape::Texts => json!(evaluation.texts(rule.name)),
            Shape::Flag => json!(evaluation.flag(rule.name)),
        };
        (rule.name.to_owned(), value)
    });
    Json::Object(rules.collect::<Map<_, _>>())
}

/// 26 characters that sort the newest first, as the documented ones do.
fn id(now: SystemTime) -> Ulid {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let most = (1_u64 << Ulid::TIME_BITS) - 1;
    let left = most.saturating_sub(since.as_millis() as u64);
    Ulid::from_parts(left, Ulid::generate().random())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";

    #[test]
    fn signatures_are_not_shown() {
        let shown = without_signatures(&format!("a {TOKEN} b\n_{TOKEN}\""));
        assert!(!shown.contains("c2lnbmF0dXJl"), "{shown}");
        assert_eq!(shown.matches(".*****").count(), 2, "{shown}");
        for plain in [
            "deploy-metadata",
            "a.b.c",
            "hockeyleague.example.com",
            "newone.a.b",
        ] {
            assert_eq!(without_signatures(plain), plain);
        }
    }

    #[test]
    fn a_sample_has_the_documented_members_and_no_secret() {
        let text = "package spacelift\nsample { true }\ndeny[m] { m := input.token; \"hunter2hunter2\" != 1 }";
        let policy = Policy::compile(PolicyKind::Initialization, "p", text).unwrap();
        let input = json!({ "token": TOKEN });
        let result = crate::evaluate_here(&policy, &input.to_string(), crate::Limits::default());
        let sample = Sample {
            index: 0,
            policy: &policy,
            input: &input,
            result: &result,
            outcome: "deny",
        };
        assert!(sample.is_wanted());
        let line = sample.line();
        assert!(
            !line.contains("hunter2") && !line.contains("c2lnbmF0dXJl"),
            "{line}"
        );
        let read: Json = serde_json::from_str(&line).unwrap();
        let msg = read["msg"].as_str().unwrap();
        let parts: Vec<_> = msg.split('/').collect();
        assert_eq!(
            (parts[0], parts[1], parts[3]),
            ("Sample 0", "INITIALIZATION", "deny")
        );
        assert_eq!(parts[2].len(), 26);
        assert!(parts[2].starts_with('7'), "the newest first");
        let members: Vec<_> = read["sample"].as_object().unwrap().keys().collect();
        assert_eq!(members, ["body", "error", "input", "outcome", "results"]);
        assert_eq!(read["sample"]["results"]["sample"], true);
    }
}
