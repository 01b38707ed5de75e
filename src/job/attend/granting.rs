//! Questions for a phase that changes the world, from the worker's asking to the answer that it hears.
//!
//! Takes what the worker asks, what the policy and the server say. Never: a grant that the server did not make durable,
//! that is not in the journal, that nobody signed for where signatures are required, or that skips a confirm.

use gantry_policy::Verdict;
use gantry_protocol::control::run::GrantAnswer;
use gantry_protocol::payload::Stage;
use gantry_protocol::run::RunType;
use gantry_protocol::socket::{FromLauncher, Phase};
use tokio::sync::watch;
use tracing::{info, warn};

use super::Attendance;
use crate::job::Halt;
use crate::job::admission::{Asked, denial, first};
use crate::job::course::{Question, Step};
use crate::journal::GrantRecord;
use crate::policy::Planned;
use crate::report::Chain;

/// What is told of the plan, once it is; nothing is known where nobody will tell.
async fn told(planned: Option<watch::Receiver<Option<Planned>>>) -> Planned {
    let Some(mut planned) = planned else {
        return Planned::Unknown;
    };
    let told = planned.wait_for(Option::is_some).await;
    told.ok()
        .and_then(|told| told.clone())
        .unwrap_or(Planned::Unknown)
}

impl Attendance<'_> {
    pub(super) fn ask(&mut self, phase: Phase) -> Result<(), Halt> {
        if self.stopping() {
            self.deny(phase, "the run is being stopped".to_owned());
            return Ok(());
        }
        match self.course.on_ask(phase) {
            Ok(Some(question)) => self.consult(question),
            Ok(None) => Ok(()),
            Err(violation) => {
                self.distrust(&violation.to_string());
                Ok(())
            }
        }
    }

    /// An apply that follows its plan without a confirm gets the host's policy asked again: what it was asked about
    /// before was the plan. Everything else was asked about when the lease was admitted.
    fn consult(&mut self, question: Question) -> Result<(), Halt> {
        let payload = self.run.payload();
        // Without autodeploy the server parks it, and the policy is asked when it comes back.
        let again = payload.stage == Stage::Start
            && question.phase != first(payload)
            && (payload.autodeploy || payload.run_type == RunType::Testing);
        let host = &self.job.host;
        let asked = again.then(|| Asked::again(host, self.run, &self.started, question.phase));
        let Some(asked) = asked.flatten() else {
            return self.pass_on(question);
        };
        let answers = self.verdicts.0.clone();
        // The plan's fact stands before the question, so the reporter gets to it.
        let planned = question.plan.as_ref().map(|_| self.planned.clone());
        tokio::spawn(async move {
            let verdict = asked.evaluate(&told(planned).await).await;
            // Nobody receives when the container has ended: then nobody waits for the answer either.
            let _ = answers.send((question, verdict));
        });
        Ok(())
    }

    pub(super) fn on_verdict(&mut self, question: Question, verdict: Verdict) -> Result<(), Halt> {
        match verdict {
            Verdict::Denied { messages } => {
                self.deny(question.phase, denial(&messages));
                Ok(())
            }
            Verdict::Allowed if self.stopping() => {
                self.deny(question.phase, "the run is being stopped".to_owned());
                Ok(())
            }
            Verdict::Allowed => self.pass_on(question),
        }
    }

    /// Asks the server, once the journal knows that it is asked.
    fn pass_on(&mut self, question: Question) -> Result<(), Halt> {
        self.record(GrantRecord {
            phase: question.phase,
            section: question.section,
            granted: false,
        })?;
        self.take(Some(Step::Grant(question)));
        Ok(())
    }

    /// The server's durable word is in; ours goes to the journal before the worker hears it.
    pub(super) fn answer(
        &mut self,
        section: u32,
        phase: Phase,
        answer: GrantAnswer,
    ) -> Result<(), Halt> {
        let decision = match answer {
            GrantAnswer::Granted { .. } => match self.may_happen(phase) {
                Ok(()) => {
                    self.record(GrantRecord {
                        phase,
                        section,
                        granted: true,
                    })?;
                    self.course.granted(phase);
                    info!(?phase, "granted");
                    FromLauncher::Grant { phase }
                }
                Err(reason) => {
                    self.deny(phase, reason);
                    return Ok(());
                }
            },
            GrantAnswer::Park => FromLauncher::Park { phase },
            GrantAnswer::Denied { reason } => FromLauncher::Deny { phase, reason },
        };
        self.link.handle.decide(phase, decision);
        Ok(())
    }

    /// What this host itself knows against a grant, whatever the server says.
    fn may_happen(&self, phase: Phase) -> Result<(), String> {
        let payload = self.run.payload();
        let decided = matches!(payload.run_type, RunType::Tracked | RunType::Destroy);
        let unattended = match payload.stage {
            Stage::Start => decided && !payload.autodeploy,
            Stage::Apply => false,
            Stage::Replan => true,
        };
        if unattended {
            return Err("the server granted it without the confirm that this run needs".to_owned());
        }
        let Some(rights) = self.job.rights.as_ref() else {
            return Err("this host did not admit the run".to_owned());
        };
        let spent = self.job.host.signatures.spend(rights);
        spent.map_err(|error| {
            warn!(?phase, error = %Chain(&error), "a grant of the server is refused");
            Chain(&error).to_string()
        })
    }

    fn deny(&mut self, phase: Phase, reason: String) {
        let line = format!("{} is denied: {reason}", phase.state());
        self.job.shipper.narrator().say(line);
        let deny = FromLauncher::Deny { phase, reason };
        self.link.handle.decide(phase, deny);
    }

    /// After a restart: what was granted is said again. What was only asked for the worker asks again, and
    /// the server answers the same attempt and section the same.
    pub(super) fn repeat_grants(&mut self) {
        for grant in self.started.grants.iter().filter(|grant| grant.granted) {
            let phase = grant.phase;
            self.course.granted(phase);
            self.link
                .handle
                .decide(phase, FromLauncher::Grant { phase });
        }
    }

    fn record(&mut self, record: GrantRecord) -> Result<(), Halt> {
        self.started
            .grants
            .retain(|grant| grant.phase != record.phase);
        self.started.grants.push(record);
        self.journal()
    }
}
