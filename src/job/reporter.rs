//! Tells the server about phases and plans and asks it for grants, one after the other, in the order of the facts.

use std::sync::Arc;

use gantry_protocol::control::run::{EnterPhase, GrantAnswer, GrantRequest, Lease};
use gantry_protocol::socket::Phase;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::course::{Question, Step};
use super::plan::PlanAt;
use crate::session::{CallError, Session};

/// What came back.
#[derive(Debug)]
pub(super) enum Reported {
    /// The server knows this section.
    Known { section: u32 },
    /// The server's answer to a grant request.
    Answer {
        section: u32,
        phase: Phase,
        answer: GrantAnswer,
    },
    /// The server refused for good.
    Refused(CallError),
}

/// The task that reports, and the way to it.
pub(super) struct Reporter {
    /// `None` once nothing more will be reported.
    steps: Option<mpsc::UnboundedSender<Step>>,
    pub(super) reports: mpsc::UnboundedReceiver<Reported>,
    task: JoinHandle<()>,
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reporter {
    pub(super) fn start(session: Arc<Session>, lease: Lease, plan: PlanAt) -> Self {
        let (steps, mut receiver) = mpsc::unbounded_channel();
        let (sender, reports) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(step) = receiver.recv().await {
                let report = report(&session, lease, &plan, step).await;
                if let Some(report) = report
                    && sender.send(report).is_err()
                {
                    return;
                }
            }
        });
        Self {
            steps: Some(steps),
            reports,
            task,
        }
    }

    /// Queues a step that the server has to hear of.
    pub(super) fn report(&self, step: Step) {
        let steps = self
            .steps
            .as_ref()
            .expect("invariant: nothing is reported after the finish");
        // The task ends early only when nobody receives its reports.
        let _ = steps.send(step);
    }

    /// Nothing more will come: `reports` closes when all is told.
    pub(super) fn finish(&mut self) {
        self.steps = None;
    }
}

async fn report(session: &Session, lease: Lease, plan: &PlanAt, step: Step) -> Option<Reported> {
    let report = match step {
        Step::Enter { section, phase } => {
            let enter = EnterPhase {
                section,
                state: phase.state(),
            };
            session
                .enter(lease, &enter)
                .await
                .map(|_| Reported::Known { section })
        }
        Step::Planned => {
            plan.send(session, lease).await;
            return None;
        }
        Step::Grant(question) => {
            let Question {
                section,
                phase,
                plan,
            } = question;
            let request = GrantRequest {
                section,
                state: phase.state(),
                plan,
            };
            let answer = session.grant(lease, &request).await;
            answer.map(|answer| Reported::Answer {
                section,
                phase,
                answer,
            })
        }
        Step::Open { .. } | Step::Close { .. } => return None,
    };
    Some(report.unwrap_or_else(Reported::Refused))
}
