//! What a stack makes of a push. Pure, but for asking policies.
//!
//! Takes a push, the commit and the stack, gives one of three answers. Never: a run where a policy had no
//! answer.

use gantry_policy::PolicyKind;
use gantry_protocol::{RunState, RunType};
use serde_json::{Value, json};

use crate::announce::Word;
use crate::domain::{Push, Urgency, asks_to_skip, touches};
use crate::policies::{self, Judge, OfStack, Said};
use crate::store::StoreError;
use crate::store::commit::Commit;
use crate::store::integrations::{self, Integration};
use crate::store::policies::Policy;
use crate::store::run_flags::FlagsOf;
use crate::store::runs::RunRecord;
use crate::store::stacks::Stack;

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A run of this type.
    Start { run_type: RunType, asked: Asked },
    /// No run, but deployments take this commit from here on.
    Track,
    /// Nothing, for this reason, and what the code host is told about it.
    Nothing { reason: String, word: Option<Word> },
}

/// What push policies want besides a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Ids of runs that are not wanted any more.
    pub(super) cancel: Vec<String>,
    /// What they note about the run.
    pub(super) flags: Vec<FlagsOf>,
    /// Whether the run goes before others of its pool.
    pub(super) urgency: Urgency,
}

/// What is known when a stack has to decide.
pub(super) struct Question<'a> {
    pub(super) stack: &'a Stack,
    pub(super) push: &'a Push,
    pub(super) commit: &'a Commit,
    pub(super) changed: Option<&'a [String]>,
    pub(super) unfinished: &'a [RunRecord],
    pub(super) known: &'a OfStack,
    pub(super) integration: Option<&'a Integration>,
}

impl Question<'_> {
    /// The answer of the stack's push policies; without any, that of its branch and of what changed.
    pub(super) async fn answer(
        &self,
        judge: &Judge,
        asked: Vec<Policy>,
    ) -> Result<Verdict, StoreError> {
        if asks_to_skip(&self.commit.message) {
            return Ok(nothing("its message asks for no runs"));
        }
        if asked.is_empty() {
            return Ok(self.usual());
        }
        Ok(together(&judge.ask(asked, &self.document()).await?))
    }

    fn usual(&self) -> Verdict {
        let code = &self.stack.settings.code;
        if !touches(self.changed, &code.project_root) {
            return nothing("nothing below its project root changed");
        }
        let run_type = match self.commit.branch == code.branch {
            true => RunType::Tracked,
            false => RunType::Proposed,
        };
        Verdict::Start {
            run_type,
            asked: Asked::default(),
        }
    }

    /// What push policies are asked about; times are Unix nanoseconds.
    fn document(&self) -> Value {
        let (stack, commit) = (self.stack, self.commit);
        let mut push = policies::commit(commit);
        push["affected_files"] = json!(self.changed.unwrap_or_default());
        push["all_files_known"] = json!(self.changed.is_some());
        push["pusher"] = json!(self.push.pusher);
        push["tag"] = json!("");
        let waits = |record: &&RunRecord| waits(record);
        let in_progress = self.unfinished.iter().filter(waits);
        json!({
            "push": push,
            "pull_request": null,
            "in_progress": in_progress.map(policies::waiting).collect::<Vec<_>>(),
            "request": policies::request(),
            "stack": policies::about_stack(stack, self.known),
            "vcs_integration": self.integration.map(about_integration),
        })
    }
}

/// Whether a run waits, so that it may be taken back without anybody's loss.
pub(super) fn waits(record: &RunRecord) -> bool {
    use RunState::{Queued, Ready, Unconfirmed};
    matches!(record.run.state, Queued | Ready | Unconfirmed)
}

fn about_integration(one: &Integration) -> Value {
    json!({
        "id": one.id.as_str(),
        "name": one.name,
        "description": "",
        "is_default": false,
        "labels": [],
        "provider": integrations::vendor_name(one.host),
        "space": { "id": one.space },
        "created_at": policies::nanos(one.created_at),
        "updated_at": policies::nanos(one.updated_at),
    })
}

fn nothing(reason: impl Into<String>) -> Verdict {
    Verdict::Nothing {
        reason: reason.into(),
        word: None,
    }
}

/// `ignore` of one is the answer of all; then `track`, then `propose`. A policy without an answer starts
/// nothing.
fn together(all: &[Said]) -> Verdict {
    if let Some(silent) = all.iter().find(|said| said.answer.is_err()) {
        return nothing(format!("policy `{}` has no answer", silent.policy.id));
    }
    let answers = || all.iter().filter_map(|said| said.answer.as_ref().ok());
    let says = |rule: &str| answers().any(|answer| answer.flag(rule));
    let texts = |rule: &str| -> Vec<String> {
        let texts = answers().flat_map(|answer| answer.texts(rule));
        texts.cloned().collect()
    };
    let messages = texts("message").join("; ");
    let start = |run_type| Verdict::Start {
        run_type,
        asked: Asked {
            cancel: texts("cancel"),
            flags: all.iter().map(Said::flags).collect(),
            urgency: match says("prioritize") {
                true => Urgency::Prioritised,
                false => Urgency::Normal,
            },
        },
    };
    let why = match (says("ignore"), says("track") && !says("ignore_track")) {
        (true, _) => "a push policy says so",
        // Without `track` the word `notrigger` means nothing.
        (false, true) if says("notrigger") => return Verdict::Track,
        (false, true) => return start(RunType::Tracked),
        (false, false) if says("propose") => return start(RunType::Proposed),
        (false, false) => "no push policy wants it",
    };
    let reason = match messages.is_empty() {
        true => why.to_owned(),
        false => format!("{why}: {messages}"),
    };
    let told = says("fail") || says("notify");
    let word = told.then(|| Word {
        fails: says("fail"),
        text: match messages.is_empty() {
            true => "ignored by a push policy".to_owned(),
            false => messages,
        },
    });
    Verdict::Nothing { reason, word }
}

/// The kind of policies that are asked.
pub(super) const KIND: PolicyKind = PolicyKind::Push;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gantry_policy::Evaluation;

    use super::*;
    use crate::clock::UnixMillis;

    fn said(id: &str, flags: &[&str], texts: &[(&str, &str)]) -> Said {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (rule, text) in texts {
            all.entry((*rule).to_owned())
                .or_default()
                .push((*text).to_owned());
        }
        Said {
            policy: Policy {
                id: id.parse().unwrap(),
                name: id.to_owned(),
                description: None,
                kind: KIND,
                body: String::new(),
                labels: Vec::new(),
                space: "root".to_owned(),
                created_at: UnixMillis(0),
                updated_at: UnixMillis(0),
            },
            answer: Ok(Evaluation {
                texts: all,
                flags: flags
                    .iter()
                    .map(|flag| ((*flag).to_owned(), true))
                    .collect(),
                ..Evaluation::default()
            }),
        }
    }

    #[test]
    fn rules_have_their_documented_meaning() {
        for (flags, expected) in [
            (&["track"][..], "tracked"),
            (&["propose"], "proposed"),
            (&["track", "propose"], "tracked"),
            (&["track", "ignore_track"], "nothing"),
            (&["track", "ignore_track", "propose"], "proposed"),
            (&["track", "ignore"], "nothing"),
            (&["propose", "ignore", "notify"], "told"),
            (&["fail"], "failed"),
            (&["track", "fail", "notify"], "tracked"),
            (&["notrigger"], "nothing"),
            (&["track", "notrigger"], "head"),
            (&["track", "notrigger", "propose"], "head"),
            (&["propose", "notrigger"], "proposed"),
            (&[], "nothing"),
        ] {
            // The same from one policy as from several.
            let apart: Vec<Said> = flags.iter().map(|flag| said("p", &[flag], &[])).collect();
            for all in [vec![said("p", flags, &[])], apart] {
                let found = match together(&all) {
                    Verdict::Start {
                        run_type: RunType::Tracked,
                        ..
                    } => "tracked",
                    Verdict::Start { .. } => "proposed",
                    Verdict::Track => "head",
                    Verdict::Nothing { word, .. } => match word {
                        None => "nothing",
                        Some(Word { fails: true, .. }) => "failed",
                        Some(Word { fails: false, .. }) => "told",
                    },
                };
                assert_eq!(found, expected, "{flags:?}");
            }
        }
    }

    #[test]
    fn what_policies_want_besides_is_put_together() {
        let all = [
            said(
                "a",
                &["track", "prioritize"],
                &[("flag", "x"), ("cancel", "1")],
            ),
            said(
                "b",
                &[],
                &[("flag", "y"), ("reset_flag", "x"), ("cancel", "2")],
            ),
        ];
        let Verdict::Start { asked, .. } = together(&all) else {
            panic!("it starts a run")
        };
        assert_eq!(asked.cancel, ["1", "2"]);
        assert_eq!(asked.urgency, Urgency::Prioritised);
        let flags: Vec<_> = asked
            .flags
            .iter()
            .map(|of| (of.policy.as_str(), of.set.join(",")))
            .collect();
        assert_eq!(flags, [("a", "x".to_owned()), ("b", "y".to_owned())]);
        let ignored = together(&[said("a", &["fail"], &[("message", "I love bacon")])]);
        let Verdict::Nothing { reason, word } = ignored else {
            panic!("it starts nothing")
        };
        assert_eq!(reason, "no push policy wants it: I love bacon");
        assert_eq!(word.unwrap().text, "I love bacon");
    }
}
