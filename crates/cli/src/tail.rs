//! Follows one run: its states in order, each state's logs to their end, a decision where one is asked for.
//!
//! Takes a run, gives how it ended. Logs go to standard output byte for byte as the server has them. Never: a
//! state told twice, and never a confirm that the caller did not ask for.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, bail};
use gantry_protocol::RunState;
use serde::Serialize;
use serde_json::json;

use crate::client::{Api, ApiError};
use crate::exit::Exit;
use crate::model::{State, Transition};
use crate::ops;
use crate::printer::Printer;
use crate::text;

/// First and longest pause between two looks at something that did not move.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// What to do when a plan waits for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtDecision {
    /// Confirm it.
    Confirm,
    /// Ask the person at the terminal.
    Ask,
    /// End following: the run waits.
    Leave,
    /// Go on following until someone decides elsewhere.
    Wait,
}

/// One run to follow.
pub struct Tail<'a> {
    pub api: &'a Api,
    pub printer: &'a Printer,
    pub stack: &'a str,
    pub run: &'a str,
    pub at_decision: AtDecision,
    /// Only this state's logs, without headings.
    pub phase: Option<RunState>,
    /// The caller knows everything up to this state version.
    pub known: Option<i64>,
}

/// What `--output json` prints while following, one per line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    State {
        run: &'a str,
        #[serde(flatten)]
        transition: &'a Transition,
    },
    Log {
        run: &'a str,
        state: &'a str,
        message: &'a str,
    },
    End {
        run: &'a str,
        state: &'a str,
    },
}

/// A growing pause.
struct Pause(Duration);

impl Pause {
    fn new() -> Self {
        Self(PAUSES.0)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 3 / 2).min(PAUSES.1);
    }
}

impl Tail<'_> {
    /// Follows until the run has ended or waits for a decision that is not taken here.
    pub async fn follow(&self) -> anyhow::Result<Exit> {
        let mut told: HashSet<i64> = self
            .known
            .map(|known| (0..=known).collect())
            .unwrap_or_default();
        // A decision about what the caller knows was the caller's.
        let mut decided = told.clone();
        let mut preparations = Vec::new();
        let mut pause = Pause::new();
        loop {
            let history = self.history().await?;
            let fresh = history
                .iter()
                .rev()
                .filter(|t| told.insert(t.state_version));
            let fresh: Vec<_> = fresh.cloned().collect();
            for transition in &fresh {
                if transition.terminal || waits(&transition.state) {
                    self.afterwards(&mut preparations).await?;
                }
                let place = self.tell(transition).await?;
                if prepares(&transition.state) {
                    preparations.push((transition.clone(), place));
                }
                if transition.terminal {
                    return self.end(transition);
                }
            }
            let Some(newest) = history.first() else {
                bail!("run `{}` has no state", self.run)
            };
            if waits(&newest.state)
                && decided.insert(newest.state_version)
                && let Some(exit) = self.decide(newest).await?
            {
                return Ok(exit);
            }
            if !fresh.is_empty() {
                pause = Pause::new();
            }
            self.printer
                .status(&format!("{} {}", self.run, newest.state.as_str()));
            pause.wait().await;
        }
    }

    /// Tells what has happened so far, and gives up waiting where nothing more is known.
    pub async fn print_known(&self) -> anyhow::Result<()> {
        for transition in self.history().await?.iter().rev() {
            self.tell_with(transition, false).await?;
        }
        Ok(())
    }

    /// The version of the run's newest state.
    pub async fn newest(&self) -> anyhow::Result<Option<i64>> {
        Ok(self
            .history()
            .await?
            .first()
            .map(|newest| newest.state_version))
    }

    async fn history(&self) -> anyhow::Result<Vec<Transition>> {
        let vars = json!({ "stack": self.stack, "run": self.run });
        let data = self
            .api
            .query_patiently(&ops::RUN_HISTORY, vars, |error| self.away(error))
            .await?;
        let run = data.stack.and_then(|stack| stack.run);
        Ok(run.with_context(|| self.missing())?.history)
    }

    /// What launchers have added to what they said at the beginning, when the container had ended.
    async fn afterwards(
        &self,
        preparations: &mut Vec<(Transition, Option<String>)>,
    ) -> anyhow::Result<()> {
        for (transition, place) in preparations.drain(..) {
            if place.is_some() {
                self.logs(&transition, place, false).await?;
            }
        }
        Ok(())
    }

    async fn tell(&self, transition: &Transition) -> anyhow::Result<Option<String>> {
        self.tell_with(transition, true).await
    }

    /// Gives the place in the state's log that was reached, if it has one.
    async fn tell_with(
        &self,
        transition: &Transition,
        to_the_end: bool,
    ) -> anyhow::Result<Option<String>> {
        if self
            .phase
            .is_some_and(|phase| transition.state != State::Known(phase))
        {
            return Ok(None);
        }
        if self.printer.json() {
            self.printer.json_line(&Event::State {
                run: self.run,
                transition,
            })?;
        } else if self.phase.is_none() {
            self.printer.heading(&heading(transition));
        }
        if transition.has_logs {
            self.logs(transition, None, to_the_end).await
        } else {
            Ok(None)
        }
    }

    /// Prints one state's logs from the place `token` on; with `to_the_end` also what is still to come. Gives the
    /// place that was reached.
    async fn logs(
        &self,
        transition: &Transition,
        mut token: Option<String>,
        to_the_end: bool,
    ) -> anyhow::Result<Option<String>> {
        let mut pause = Pause::new();
        loop {
            let vars = json!({
                "stack": self.stack, "run": self.run, "token": token,
                "state": transition.state.as_str(), "version": transition.state_version,
            });
            let data = self
                .api
                .query_patiently(&ops::RUN_LOGS, vars, |error| self.away(error))
                .await?;
            let run = data.stack.and_then(|stack| stack.run);
            let page = run.with_context(|| self.missing())?.logs;
            for message in &page.messages {
                self.log(transition, &message.message)?;
            }
            // An empty page may come without a token: the place in the log is still the same.
            token = page.next_token.or(token);
            if page.finished || (!page.has_more && (transition.terminal || !to_the_end)) {
                return Ok(token);
            }
            if !page.messages.is_empty() {
                pause = Pause::new();
            }
            if !page.has_more {
                self.printer
                    .status(&format!("{} {}", self.run, transition.state.as_str()));
                pause.wait().await;
            }
        }
    }

    fn log(&self, transition: &Transition, message: &str) -> anyhow::Result<()> {
        if self.printer.json() {
            let state = transition.state.as_str();
            return self.printer.json_line(&Event::Log {
                run: self.run,
                state,
                message,
            });
        }
        self.printer.data(message.as_bytes())
    }

    fn end(&self, last: &Transition) -> anyhow::Result<Exit> {
        if self.printer.json() {
            let state = last.state.as_str();
            self.printer.json_line(&Event::End {
                run: self.run,
                state,
            })?;
        }
        // A terminal state that this program does not know is not a success.
        Ok(last
            .state
            .known()
            .and_then(Exit::of_run)
            .unwrap_or(Exit::Error))
    }

    /// Takes the decision, or ends following; `None` goes on.
    async fn decide(&self, waiting: &Transition) -> anyhow::Result<Option<Exit>> {
        let plan = waiting.state == State::Known(RunState::Unconfirmed);
        match self.at_decision {
            AtDecision::Confirm if plan => self.confirm(waiting).await.map(|()| None),
            AtDecision::Ask if plan => self.ask(waiting).await,
            AtDecision::Wait => Ok(None),
            AtDecision::Confirm | AtDecision::Ask | AtDecision::Leave => {
                self.leave(waiting).map(Some)
            }
        }
    }

    async fn ask(&self, waiting: &Transition) -> anyhow::Result<Option<Exit>> {
        let answer = self
            .printer
            .ask("Apply this plan? (y)es, (d)iscard it, anything else leaves it:")?;
        match answer.to_ascii_lowercase().as_str() {
            "y" | "yes" => self.confirm(waiting).await.map(|()| None),
            "d" | "discard" => {
                let vars = json!({ "stack": self.stack, "run": self.run });
                self.api.call(&ops::RUN_DISCARD, vars).await?;
                Ok(None)
            }
            _ => self.leave(waiting).map(Some),
        }
    }

    async fn confirm(&self, waiting: &Transition) -> anyhow::Result<()> {
        let vars = json!({ "stack": self.stack, "run": self.run });
        match self.api.call(&ops::RUN_CONFIRM, vars).await {
            Ok(_) => self.printer.note(&format!("confirmed {}", self.run)),
            // Someone else may have decided at the same time; then the run has moved on.
            Err(ApiError::Refused(why)) => {
                let now = self.history().await?;
                if now
                    .first()
                    .is_none_or(|t| t.state_version == waiting.state_version)
                {
                    return Err(ApiError::Refused(why).into());
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn leave(&self, waiting: &Transition) -> anyhow::Result<Exit> {
        let (stack, run) = (self.stack, self.run);
        self.printer.note(&format!(
            "waits for a decision: gantry stack confirm --id {stack} --run {run} (or discard)"
        ));
        self.end(waiting)
    }

    fn away(&self, error: &ApiError) {
        self.printer.status(&format!("{error}; trying again"));
    }

    fn missing(&self) -> String {
        format!("run `{}` of stack `{}` is not found", self.run, self.stack)
    }
}

fn waits(state: &State) -> bool {
    state.known().and_then(Exit::of_run) == Some(Exit::RunWaits)
}

/// Whether the launcher itself speaks in this state's log.
fn prepares(state: &State) -> bool {
    use RunState::{Preparing, PreparingApply, PreparingReplan};
    matches!(
        state.known(),
        Some(Preparing | PreparingApply | PreparingReplan)
    )
}

fn heading(transition: &Transition) -> String {
    let mut parts = vec![
        transition.state.as_str().to_owned(),
        text::clock(transition.timestamp),
    ];
    let extra = [transition.username.as_deref(), transition.note.as_deref()];
    parts.extend(
        extra
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .map(str::to_owned),
    );
    parts.join(" · ")
}
