//! Why and how a container is ended by us: one interrupt, a grace, and only then a kill.
//!
//! Never: a second interrupt, an apply cut because its lease was lost or because it says nothing.

use std::time::Duration;

use gantry_protocol::control::run::FailReason;
use gantry_protocol::socket::StopKind;
use tokio::time::Instant;
use tracing::{error, warn};

use super::Attendance;
use crate::job::StopReason;
use crate::job::disk::Over;
use crate::job::outcome::EndedByUs;
use crate::job::timer::Silence;
use crate::report::Chain;
use crate::session::CallError;

/// A kill that did not take is repeated after this long.
const KILL_AGAIN: Duration = Duration::from_secs(60);

impl Attendance<'_> {
    pub(super) fn stopping(&self) -> bool {
        self.kill_at.is_some() || self.lost.is_some()
    }

    pub(super) fn on_stop(&mut self) {
        let reason = self.job.stop.borrow_and_update().clone();
        match reason {
            None => {}
            Some(StopReason::Lost) => self.lose(CallError::lost()),
            // What may have begun to change the world uses every second that is left.
            Some(reason @ StopReason::HostGoes) if self.started.has_any_grant() => {
                let line = format!("Going on although {}.", reason.sentence());
                self.job.shipper.narrator().say(line);
            }
            Some(reason) => self.interrupt(EndedByUs::Stopped(reason.sentence())),
        }
    }

    pub(super) fn check_time(&mut self) {
        // Waiting for an answer of ours is no silence of the run's, and neither is waiting for a cloud.
        let waits = self.course.waits() || !self.states.is_empty();
        let silence = match waits || self.started.has_any_grant() {
            true => Silence::Excused,
            false => Silence::Counts,
        };
        if let Some(why) = self.timer.passed(Instant::now(), silence) {
            let reason = FailReason::TimedOut;
            self.interrupt(EndedByUs::Limit { reason, why });
        }
    }

    pub(super) fn on_disk(&mut self, over: Over) {
        match over {
            Over::Limit(why) => {
                let reason = FailReason::OutOfDisk;
                self.interrupt(EndedByUs::Limit { reason, why });
            }
            // A grace in which it fills the host's disk is none; but what may change the world keeps its own.
            Over::Twice if !self.started.has_any_grant() => self.kill_at = Some(Instant::now()),
            Over::Twice => {}
        }
    }

    /// One interrupt to the tool, and a kill when its grace is over. What is being stopped already is left alone.
    pub(super) fn interrupt(&mut self, why: EndedByUs) {
        if self.stopping() {
            return;
        }
        let times = self.job.host.times;
        let grace = match self.started.has_any_grant() {
            true => times.apply_grace,
            false => times.grace,
        };
        self.job.shipper.narrator().say(format!(
            "Stopping: {why}. The tool was interrupted once and has {} s to end.",
            grace.as_secs()
        ));
        self.link.handle.stop(StopKind::Interrupt);
        self.ended_by_us = Some(why);
        self.kill_at = Some(Instant::now() + grace);
    }

    pub(super) fn refused(&mut self, error: CallError) {
        if error.is_lost_lease() {
            self.lose(error);
        } else {
            self.distrust(&Chain(&error).to_string());
        }
    }

    /// The lease is gone. What was granted goes on to its end: it may not be cut, and nobody else has it.
    pub(super) fn lose(&mut self, why: CallError) {
        warn!(error = %Chain(&why), "the lease is lost");
        if self.lost.is_none() && !self.started.has_any_grant() {
            self.kill_at = Some(Instant::now());
        }
        self.lost.get_or_insert(why);
    }

    /// The worker claims the impossible, or the server does not take what follows from its claims.
    pub(super) fn distrust(&mut self, why: &str) {
        // The first reason stands; what cannot be read is found again at every look until the end.
        if matches!(self.ended_by_us, Some(EndedByUs::Distrusted(_))) {
            return;
        }
        error!(%why, "the container is not trusted any more");
        self.job
            .shipper
            .narrator()
            .say(format!("Ending the container: {why}"));
        self.ended_by_us = Some(EndedByUs::Distrusted(why.to_owned()));
        self.kill_at = Some(Instant::now());
    }

    pub(super) async fn kill(&mut self) {
        self.kill_at = Some(Instant::now() + KILL_AGAIN);
        self.link.handle.stop(StopKind::Kill);
        if let Err(error) = self.job.host.engine.kill(&self.container, "SIGKILL").await {
            warn!(error = %Chain(&error), "the container could not be killed; trying again");
        }
    }
}
