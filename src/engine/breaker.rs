//! When the engine misbehaves: no more work for it until it has shown that it works again.
//!
//! Takes how calls of starts ended, gives whether starts may be tried. Never: a start while it is open, more
//! than one at a time while it is being tried, a failure counted that is an image's or a user's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// So many failures in a row open it.
const LIMIT: u32 = 3;

/// What is thought of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Circuit {
    /// It works.
    Closed,
    /// It failed too often, or is silent: nothing is started, it is asked how it does.
    Open {
        /// The last failure.
        why: String,
        /// What has to happen before it is trusted again.
        until: Until,
    },
    /// It answers again: one start is tried.
    Trying {
        /// The last failure.
        why: String,
    },
}

/// What ends a distrust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It answers: it was only silent.
    Answered,
    /// It answers, and then starts a container: starts had failed.
    Started,
}

#[derive(Debug)]
struct Record {
    failures: u32,
    circuit: Circuit,
}

/// Shared by all that start containers.
#[derive(Debug, Clone)]
pub struct Breaker {
    record: Arc<Mutex<Record>>,
    changed: Arc<Notify>,
}

impl Default for Breaker {
    fn default() -> Self {
        let record = Record {
            failures: 0,
            circuit: Circuit::Closed,
        };
        Self {
            record: Arc::new(Mutex::new(record)),
            changed: Arc::default(),
        }
    }
}

impl Breaker {
    /// A start failed through the engine's fault.
    pub fn failed(&self, why: &str) {
        self.change(|record| {
            record.failures += 1;
            let (why, until) = (why.to_owned(), Until::Started);
            match record.circuit {
                Circuit::Closed if record.failures < LIMIT => {}
                Circuit::Closed | Circuit::Trying { .. } | Circuit::Open { .. } => {
                    record.circuit = Circuit::Open { why, until };
                }
            }
        });
    }

    /// The engine has given no answer for long.
    pub fn silent(&self, why: &str) {
        self.change(|record| {
            if record.circuit == Circuit::Closed {
                let (why, until) = (why.to_owned(), Until::Answered);
                record.circuit = Circuit::Open { why, until };
            }
        });
    }

    /// A start went well.
    pub fn worked(&self) {
        self.change(|record| {
            record.failures = 0;
            record.circuit = Circuit::Closed;
        });
    }

    /// The engine answers again.
    pub fn answered(&self) {
        self.change(|record| match &record.circuit {
            Circuit::Open {
                why,
                until: Until::Started,
            } => {
                record.circuit = Circuit::Trying { why: why.clone() };
            }
            Circuit::Open {
                until: Until::Answered,
                ..
            } => {
                record.failures = 0;
                record.circuit = Circuit::Closed;
            }
            Circuit::Closed | Circuit::Trying { .. } => {}
        });
    }

    /// What is thought of the engine now.
    pub fn circuit(&self) -> Circuit {
        self.record().circuit.clone()
    }

    /// Resolves after a change that was not waited for yet.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        let mut record = self.record();
        let before = record.circuit.clone();
        change(&mut record);
        if record.circuit != before {
            self.changed.notify_one();
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(why: &str) -> Circuit {
        let until = Until::Started;
        Circuit::Open {
            why: why.into(),
            until,
        }
    }

    #[test]
    fn a_silent_engine_is_trusted_when_it_answers() {
        let breaker = Breaker::default();
        breaker.silent("no answer");
        assert!(matches!(
            breaker.circuit(),
            Circuit::Open {
                until: Until::Answered,
                ..
            }
        ));
        breaker.answered();
        assert_eq!(breaker.circuit(), Circuit::Closed);
        // What failed in starts meanwhile weighs more.
        breaker.silent("no answer");
        breaker.failed("create");
        breaker.answered();
        assert!(matches!(breaker.circuit(), Circuit::Trying { .. }));
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let breaker = Breaker::default();
        for _ in 0..5 {
            breaker.failed("a");
            breaker.failed("b");
            breaker.worked();
        }
        assert_eq!(breaker.circuit(), Circuit::Closed);
        for why in ["a", "b", "c"] {
            breaker.failed(why);
        }
        assert_eq!(breaker.circuit(), open("c"));
    }

    #[test]
    fn an_answer_allows_a_try_and_the_try_decides() {
        let breaker = Breaker::default();
        breaker.answered();
        assert_eq!(breaker.circuit(), Circuit::Closed, "nothing to try");
        for _ in 0..LIMIT {
            breaker.failed("away");
        }
        breaker.answered();
        assert_eq!(breaker.circuit(), Circuit::Trying { why: "away".into() });
        breaker.failed("still");
        assert_eq!(
            breaker.circuit(),
            open("still"),
            "one failure is enough now"
        );
        breaker.answered();
        breaker.worked();
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }

    #[tokio::test]
    async fn a_change_is_heard_of_also_by_who_waits_later() {
        let breaker = Breaker::default();
        for _ in 0..LIMIT {
            breaker.failed("away");
        }
        let heard = tokio::time::timeout(std::time::Duration::from_secs(5), breaker.changed());
        heard.await.expect("the change was kept");
    }
}
