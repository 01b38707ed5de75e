//! A plan as data, from the spool to the server.
//!
//! Takes what the worker left, gives it to the server without what the tool marks as sensitive (again: the worker's word
//! is a claim) and without the secrets that this host knows of. A run goes on without it; whether it may is the server's
//! policies' to say; what it changes is kept for the host's own policy. Never: a byte of it sent that did not go through both.

use std::path::PathBuf;

use gantry_protocol::control::run::Lease;
use gantry_protocol::plan::{
    HIDDEN, MAX_DOCUMENT, MAX_PLAN_DATA, PLAN_DATA, PlanData, PlanError, WORDS, in_value, redact,
};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::mask::Mask;
use crate::policy::Planned;
use crate::report::Chain;
use crate::session::Session;
use crate::ship::Narrator;
use crate::workspace::{SpoolError, left_in};

/// Where a lease's plan is, and what it may not show.
#[derive(Debug)]
pub(super) struct PlanAt {
    pub(super) spool: PathBuf,
    pub(super) mask: Mask,
    pub(super) narrator: Narrator,
    /// Hears what the plan changes, before the server hears of the plan.
    pub(super) tell: watch::Sender<Option<Planned>>,
}

/// Why a plan stays here.
#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error("the worker left none (it may be older than this launcher)")]
    None,
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("what the worker left is not a plan as data")]
    NotData,
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("a secret of the run stands across several of its values")]
    Secret,
    #[error(
        "a secret of the run hides the word `{0}`, by which plans are read; choose a longer secret"
    )]
    Word(&'static str),
}

impl PlanAt {
    /// Sends the plan, until the server took it or refused it for good.
    pub(super) async fn send(&self, session: &Session, lease: Lease) {
        let (spool, mask) = (self.spool.clone(), self.mask.clone());
        // Reading and masking a large plan takes longer than other leases should wait for this thread.
        let made = tokio::task::spawn_blocking(move || {
            let made = data(&spool, &mask);
            (planned(&made), made)
        });
        let (planned, made) = made
            .await
            .expect("invariant: masking a plan does not panic");
        self.tell.send_replace(Some(planned));
        let data = made.unwrap_or_else(|kept| {
            let why = Chain(&kept).to_string();
            warn!(%why, "the plan does not leave this host as data");
            PlanData::Withheld(why)
        });
        let bytes = serde_json::to_vec(&data).expect("invariant: this is JSON");
        match session.put_plan(lease, bytes.into()).await {
            Ok(taken) => {
                for note in taken.notes {
                    self.narrator.say(note);
                }
            }
            // A server that does not take plans asks nobody about them; a lease that is lost shows at the next request.
            Err(error) => {
                info!(error = %Chain(&error), "the server does not take the plan as data")
            }
        }
    }
}

/// What the host's own policy is told: exactly what the server can make of the same document.
fn planned(made: &Result<PlanData, Kept>) -> Planned {
    let Ok(PlanData::Document(document)) = made else {
        return Planned::Unknown;
    };
    let changes = in_value(document);
    changes.map_or(Planned::Unknown, |changes| Planned::Changes(changes.into()))
}

fn data(spool: &std::path::Path, mask: &Mask) -> Result<PlanData, Kept> {
    let bytes = left_in(spool, PLAN_DATA, MAX_PLAN_DATA)?.ok_or(Kept::None)?;
    let left: PlanData = serde_json::from_slice(&bytes).map_err(|_| Kept::NotData)?;
    drop(bytes);
    match left {
        PlanData::Document(document) => {
            let redacted = redact(document.to_string().as_bytes(), MAX_DOCUMENT)?;
            let document = serde_json::from_slice(redacted.bytes()).map_err(|_| Kept::NotData)?;
            masked(document, mask).map(PlanData::Document)
        }
        PlanData::Withheld(why) => {
            let shown = String::from_utf8_lossy(&mask.whole(why.as_bytes())).into_owned();
            Ok(PlanData::Withheld(shown))
        }
    }
}

/// A document without the secrets of the run, each value by itself, so that it stays one.
fn masked(document: Value, mask: &Mask) -> Result<Value, Kept> {
    if let Some(word) = WORDS.iter().find(|word| hidden(word, mask).is_some()) {
        return Err(Kept::Word(word));
    }
    let document = leaves(document, mask);
    let text = document.to_string().into_bytes();
    match mask.whole(&text) == text {
        true => Ok(document),
        false => Err(Kept::Secret),
    }
}

fn leaves(value: Value, mask: &Mask) -> Value {
    match value {
        Value::String(text) => match hidden(&text, mask) {
            Some(shown) => Value::String(shown),
            None => Value::String(text),
        },
        Value::Number(number) => match hidden(&number.to_string(), mask) {
            Some(_) => Value::String(HIDDEN.to_owned()),
            None => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(|item| leaves(item, mask)).collect(),
        Value::Object(members) => {
            let shown = members.into_iter().map(|(name, value)| {
                let name = hidden(&name, mask).unwrap_or(name);
                (name, leaves(value, mask))
            });
            Value::Object(shown.collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) => value,
    }
}

fn hidden(text: &str, mask: &Mask) -> Option<String> {
    let shown = mask.whole(text.as_bytes());
    (shown != text.as_bytes()).then(|| String::from_utf8_lossy(&shown).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn left(bytes: &[u8], secrets: &[&str]) -> Result<PlanData, Kept> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(PLAN_DATA), bytes).unwrap();
        let mask = Mask::new(secrets.iter().map(|secret| secret.as_bytes()));
        data(dir.path(), &mask)
    }

    fn plan(value: Value) -> Vec<u8> {
        let change = json!({ "actions": ["create"], "after": { "a": value, "b": "marked-by-nobody" },
            "after_sensitive": { "b": true } });
        let document =
            json!({ "format_version": "1.2", "resource_changes": [{ "change": change }] });
        serde_json::to_vec(&PlanData::Document(document)).unwrap()
    }

    #[test]
    fn marks_and_secrets_are_both_taken_out() {
        let secrets = ["hunter2-hunter2", "123456", "line one\nline two"];
        let table = [
            (json!("hunter2-hunter2"), json!("*****")),
            (json!("x hunter2-hunter2 y"), json!("x ***** y")),
            (json!("line one\nline two"), json!("*****")),
            (json!(123_456), json!(HIDDEN)),
            (json!({ "hunter2-hunter2": 1 }), json!({ "*****": 1 })),
            (json!(["open", 7, null]), json!(["open", 7, null])),
        ];
        for (value, expected) in table {
            let name = value.to_string();
            let Ok(PlanData::Document(document)) = left(&plan(value), &secrets) else {
                panic!("{name}: a document");
            };
            let after = &document["resource_changes"][0]["change"]["after"];
            assert_eq!(after["a"], expected, "{name}");
            assert_eq!(after["b"], HIDDEN, "the worker is not believed");
        }
    }

    #[test]
    fn what_can_not_be_shown_stays_here() {
        let across = plan(json!({ "user": "ada", "word": "lovelace" }));
        let kept = left(&across, &[r#""user":"ada","word":"lovelace""#]);
        assert!(matches!(kept, Err(Kept::Secret)), "{kept:?}");
        for odd in [
            &b"{}"[..],
            b"hunter2",
            b"{\"document\":1}",
            b"{\"other\":1}",
        ] {
            let kept = left(odd, &[]).unwrap_err();
            assert!(!Chain(&kept).to_string().contains("hunter2"), "{kept:?}");
        }
        let word = left(&plan(json!(1)), &["delete"]);
        assert!(matches!(word, Err(Kept::Word("delete"))), "{word:?}");
        let dir = tempfile::tempdir().unwrap();
        let none = data(dir.path(), &Mask::new([]));
        assert!(matches!(none, Err(Kept::None)), "{none:?}");
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join(PLAN_DATA)).unwrap();
        let link = data(dir.path(), &Mask::new([]));
        assert!(matches!(link, Err(Kept::Spool(_))), "{link:?}");
        let long = left(&vec![b' '; MAX_PLAN_DATA + 1], &[]);
        assert!(matches!(long, Err(Kept::Spool(_))), "{long:?}");
        let withheld = left(br#"{"withheld":"too long for hunter2"}"#, &["hunter2"]);
        let expected = PlanData::Withheld("too long for *****".to_owned());
        assert_eq!(withheld.unwrap(), expected);
    }
}
