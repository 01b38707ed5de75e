//! How a lease ended: the worker's last word and the engine's exit code have to agree.

use gantry_protocol::control::run::{FailReason, Outcome};
use gantry_protocol::socket::{FailureKind, Phase, WorkerEnd};

use crate::engine::Exit;

/// What is known when a container has ended.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// The worker's last word, if it came.
    pub(super) end: Option<&'a WorkerEnd>,
    /// The engine's.
    pub(super) exit: &'a Exit,
    /// The phase that ran last.
    pub(super) phase: Option<Phase>,
    /// Whether a phase that changes the world had been granted.
    pub(super) granted: bool,
    /// Why the launcher itself ended the container, if it did.
    pub(super) ended_by_us: Option<&'a EndedByUs>,
    /// Memory limit of the container in bytes.
    pub(super) memory: u64,
    /// What the worker's process printed before it died, if anything.
    pub(super) last_words: &'a str,
}

/// Why the launcher ended a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EndedByUs {
    /// Someone asked to stop.
    Stopped(String),
    /// The run went over a limit of this host.
    Limit {
        /// Which kind.
        reason: FailReason,
        /// What it did, and the variable that says how much it may.
        why: String,
    },
    /// The worker claimed what no worker can: nothing it said counts.
    Distrusted(String),
}

impl std::fmt::Display for EndedByUs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped(why) | Self::Limit { why, .. } | Self::Distrusted(why) => {
                f.write_str(why)
            }
        }
    }
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The workspace has to be packed before this can be reported.
    Park,
    /// This is to be reported.
    Report(Outcome),
}

/// Decides. Success needs both words; anything that does not fit is a failure that says what was seen.
pub(super) fn verdict(known: &Known<'_>) -> Verdict {
    if let Some(EndedByUs::Distrusted(why)) = known.ended_by_us {
        let message = format!(
            "the launcher ended the container: {why}{}",
            left_behind(known.granted)
        );
        return Verdict::Report(Outcome::Failed {
            reason: FailReason::Internal,
            message,
        });
    }
    let agreed = known
        .end
        .filter(|end| i64::from(end.exit_code()) == known.exit.code);
    match agreed {
        Some(WorkerEnd::Parked) => Verdict::Park,
        Some(WorkerEnd::Succeeded) => Verdict::Report(Outcome::Succeeded),
        Some(WorkerEnd::Stopped { message }) => Verdict::Report(stopped(known, message)),
        Some(WorkerEnd::Failed { kind, message }) => Verdict::Report(failed(known, *kind, message)),
        None => Verdict::Report(lost(known)),
    }
}

/// The worker names what failed. Why it had to fail, the launcher may know better: it sees limits being hit.
fn failed(known: &Known<'_>, kind: FailureKind, message: &str) -> Outcome {
    if let Some(EndedByUs::Limit { reason, why }) = known.ended_by_us {
        return Outcome::Failed {
            reason: *reason,
            message: format!("the run was stopped: {why}; {message}"),
        };
    }
    if known.exit.oom_killed {
        return Outcome::Failed {
            reason: FailReason::OutOfMemory,
            message: format!("{message}; {}", out_of_memory(known)),
        };
    }
    Outcome::Failed {
        reason: reason(kind),
        message: message.to_owned(),
    }
}

fn out_of_memory(known: &Known<'_>) -> String {
    let limit = known.memory >> 20;
    format!("the container ran out of memory: its limit is {limit} MiB (GANTRY_RUN_MEMORY_MB)")
}

/// The tool ended after our interrupt. Why it came is the launcher's to say.
fn stopped(known: &Known<'_>, message: &str) -> Outcome {
    match known.ended_by_us {
        Some(EndedByUs::Limit { reason, why }) => Outcome::Failed {
            reason: *reason,
            message: format!("the run was stopped: {why}; {message}"),
        },
        Some(why) => Outcome::Stopped {
            message: format!("{why}; {message}"),
        },
        // Nobody asked this launcher for it.
        None => Outcome::Failed {
            reason: FailReason::ContainerLost,
            message: format!(
                "the container was stopped from outside (a dockerd that restarts without live-restore does it); {message}{}",
                left_behind(known.granted)
            ),
        },
    }
}

fn reason(kind: FailureKind) -> FailReason {
    match kind {
        FailureKind::Hook => FailReason::Hook,
        FailureKind::Tool => FailReason::Tool,
        FailureKind::ToolMissing => FailReason::ToolMissing,
        FailureKind::Denied => FailReason::Denied,
        FailureKind::Workspace => FailReason::Workspace,
        FailureKind::Internal => FailReason::Internal,
    }
}

/// What a reader has to know when a phase that changes the world did not come to its end.
pub(super) fn left_behind(granted: bool) -> &'static str {
    if granted {
        "; the phase that changes the world had begun, so resources may be half made and the state may be locked"
    } else {
        ""
    }
}

fn lost(known: &Known<'_>) -> Outcome {
    let left = left_behind(known.granted);
    let during = known
        .phase
        .map(|phase| format!(" during {}", phase.state()))
        .unwrap_or_default();
    if let Some(EndedByUs::Stopped(why)) = known.ended_by_us {
        return Outcome::Stopped {
            message: format!("the container was killed{during}: {why}{left}"),
        };
    }
    if let Some(EndedByUs::Limit { reason, why }) = known.ended_by_us {
        return Outcome::Failed {
            reason: *reason,
            message: format!("the container was killed{during}: {why}{left}"),
        };
    }
    if known.exit.oom_killed {
        return Outcome::Failed {
            reason: FailReason::OutOfMemory,
            message: format!(
                "the container was killed{during}: {}{left}",
                out_of_memory(known)
            ),
        };
    }
    Outcome::Failed {
        reason: FailReason::ContainerLost,
        message: format!("{}{during}{}{left}", last_word(known), details(known)),
    }
}

fn last_word(known: &Known<'_>) -> String {
    let code = known.exit.code;
    match known.end {
        Some(end) => {
            format!("the worker's last word was {end:?}, but its container ended with code {code}")
        }
        None => format!("the container ended with code {code} without the worker's last word"),
    }
}

/// What Docker and the dying worker said, where they said anything.
fn details(known: &Known<'_>) -> String {
    let mut text = String::new();
    if let Some(error) = &known.exit.error {
        text.push_str(&format!("; Docker says: {error}"));
    }
    let words = known.last_words.trim();
    if !words.is_empty() {
        text.push_str(&format!("; it printed: {words}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i64) -> Exit {
        Exit {
            code,
            oom_killed: false,
            error: None,
            finished_at: String::new(),
        }
    }

    fn known<'a>(end: Option<&'a WorkerEnd>, exit: &'a Exit) -> Known<'a> {
        Known {
            end,
            exit,
            phase: Some(Phase::Apply),
            granted: true,
            ended_by_us: None,
            memory: 64 << 20,
            last_words: "",
        }
    }

    fn failure(verdict: Verdict) -> (FailReason, String) {
        match verdict {
            Verdict::Report(Outcome::Failed { reason, message }) => (reason, message),
            other => panic!("expected a failure, got {other:?}"),
        }
    }

    #[test]
    fn both_words_have_to_agree() {
        let (done, parked) = (WorkerEnd::Succeeded, WorkerEnd::Parked);
        assert_eq!(verdict(&known(Some(&parked), &exit(10))), Verdict::Park);
        assert_eq!(
            verdict(&known(Some(&done), &exit(0))),
            Verdict::Report(Outcome::Succeeded)
        );
        for (end, code) in [
            (Some(&done), 137),
            (Some(&done), 10),
            (Some(&parked), 0),
            (None, 0),
        ] {
            let (reason, message) = failure(verdict(&known(end, &exit(code))));
            assert_eq!(reason, FailReason::ContainerLost);
            assert!(message.contains(&format!("code {code}")), "{message}");
            assert!(message.contains("locked"), "{message}");
        }
    }

    #[test]
    fn the_cause_of_a_lost_container_is_named() {
        let mut out = exit(137);
        out.oom_killed = true;
        let (reason, message) = failure(verdict(&known(None, &out)));
        assert_eq!(reason, FailReason::OutOfMemory);
        assert!(
            message.contains("64 MiB") && message.contains("GANTRY_RUN_MEMORY_MB"),
            "{message}"
        );
        let killed = exit(137);
        let mut ours = known(None, &killed);
        let stopped = EndedByUs::Stopped("a person stopped the run".into());
        ours.ended_by_us = Some(&stopped);
        assert!(matches!(
            verdict(&ours),
            Verdict::Report(Outcome::Stopped { .. })
        ));
        let told = WorkerEnd::Stopped {
            message: "the container was told to stop".into(),
        };
        let by_itself = exit(told.exit_code().into());
        ours = known(Some(&told), &by_itself);
        let (reason, message) = failure(verdict(&ours));
        assert_eq!(reason, FailReason::ContainerLost);
        assert!(message.contains("from outside"), "{message}");
        ours.ended_by_us = Some(&stopped);
        assert!(matches!(
            verdict(&ours),
            Verdict::Report(Outcome::Stopped { .. })
        ));
        let distrusted = EndedByUs::Distrusted("two ends".into());
        let (done, fine) = (WorkerEnd::Succeeded, exit(0));
        let mut liar = known(Some(&done), &fine);
        liar.ended_by_us = Some(&distrusted);
        assert_eq!(failure(verdict(&liar)).0, FailReason::Internal);
    }
}
