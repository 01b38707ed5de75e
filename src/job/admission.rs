//! Whether a run may happen on this host: its signature first, then the host's own policy.
//!
//! Takes a run whose image is resolved and whose worker is known. Gives what alone can be pulled. Never: an image
//! pulled for a run that was refused here, a policy that is not asked because something about the run is unusual.

use std::sync::Arc;

use gantry_policy::Verdict;
use gantry_protocol::control::run::Gate;
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::ids::Digest;
use gantry_protocol::payload::{RunPayload, Stage};
use gantry_protocol::run::RunType;
use gantry_protocol::socket::Phase;

use super::gates::OpenedRun;
use super::prepare::refused;
use super::worker_binary::Worker;
use super::{Halt, Host, Job};
use crate::image::ResolvedImage;
use crate::journal::Started;
use crate::policy::{Facts, InitPolicy};
use crate::signature::Admission;

/// The image of a run that this host lets happen. Nothing but [`Job::admit`] makes one.
pub(super) struct AdmittedImage(ResolvedImage);

impl AdmittedImage {
    pub(super) fn into_inner(self) -> ResolvedImage {
        self.0
    }
}

/// One question for the host's policy, with all that it is about.
pub(super) struct Asked {
    policy: Arc<InitPolicy>,
    payload: Arc<RunPayload>,
    phase: Phase,
    image: String,
    image_digest: String,
    worker_version: String,
    worker: Digest,
}

impl Asked {
    /// About a run that is to be started; nothing where the host has no policy.
    fn first(host: &Host, run: &OpenedRun, image: &ResolvedImage, worker: &Worker) -> Option<Self> {
        Some(Self {
            policy: host.init_policy.clone()?,
            payload: run.shared(),
            phase: first(run.payload()),
            image: image.reference().to_string(),
            image_digest: image.digest().to_string(),
            worker_version: worker.version.to_string(),
            worker: worker.digest,
        })
    }

    /// About a run that is attended; nothing where the host has no policy.
    pub(super) fn again(
        host: &Host,
        run: &OpenedRun,
        started: &Started,
        phase: Phase,
    ) -> Option<Self> {
        let policy = host.init_policy.clone()?;
        let (name, digest) = started
            .image
            .split_once('@')
            .unwrap_or((&started.image, ""));
        let asked = run.payload().image.as_deref();
        let asked = asked.or(host.default_image.as_deref());
        Some(Self {
            policy,
            payload: run.shared(),
            phase,
            image: asked.unwrap_or(name).to_owned(),
            image_digest: digest.to_owned(),
            worker_version: started.worker_version.clone(),
            worker: started.worker,
        })
    }

    /// What the policy says.
    pub(super) async fn evaluate(&self) -> Verdict {
        let facts = Facts {
            payload: &self.payload,
            phase: self.phase,
            image: &self.image,
            image_digest: &self.image_digest,
            worker_version: &self.worker_version,
            worker_digest: self.worker,
        };
        self.policy.evaluate(&facts).await
    }
}

impl Job {
    /// The gates between knowing an image and pulling it.
    pub(super) async fn admit(
        &mut self,
        run: &OpenedRun,
        image: ResolvedImage,
        worker: &Worker,
        plan: Option<&WorkspaceAttestation>,
    ) -> Result<AdmittedImage, Halt> {
        self.signed(run, plan, true)?;
        let Some(asked) = Asked::first(&self.host, run, &image, worker) else {
            return Ok(AdmittedImage(image));
        };
        match self.unless_stopped(asked.evaluate()).await? {
            Verdict::Allowed => Ok(AdmittedImage(image)),
            Verdict::Denied { messages } => {
                let narrator = self.shipper.narrator();
                for message in &messages {
                    narrator.say(format!("Denied by this host's policy: {message}"));
                }
                Err(Halt::Refused(Gate::Policy, denial(&messages)))
            }
        }
    }

    /// The signature gate; after a restart it gives a lease that does not begin, but goes on, the same rights again.
    pub(super) fn signed(
        &mut self,
        run: &OpenedRun,
        plan: Option<&WorkspaceAttestation>,
        begins: bool,
    ) -> Result<(), Halt> {
        let admission = Admission {
            payload: run.payload(),
            plan,
            envelope: Digest::of(self.entry.sealed.envelope.as_bytes()),
            begins,
            launcher: self.host.session.launcher(),
            now: time::OffsetDateTime::now_utc().unix_timestamp(),
        };
        let rights = self.host.signatures.admit(&admission);
        let rights = rights.map_err(|error| refused(Gate::Signature, &error))?;
        if let Some(signer) = rights.signer() {
            let line = format!("Signed for `{}` by key {signer}.", rights.phase());
            self.shipper.narrator().say(line);
        }
        self.rights = Some(rights);
        Ok(())
    }
}

/// What a lease begins with, of what a policy may have something against.
pub(super) fn first(payload: &RunPayload) -> Phase {
    match (payload.stage, payload.run_type) {
        (Stage::Apply, RunType::Destroy) => Phase::Destroy,
        (Stage::Apply, _) => Phase::Apply,
        (Stage::Replan, _) => Phase::Plan,
        (Stage::Start, RunType::Task) => Phase::Perform,
        (
            Stage::Start,
            RunType::Tracked | RunType::Proposed | RunType::Testing | RunType::Destroy,
        ) => Phase::Plan,
    }
}

/// The messages of a policy as one sentence.
pub(super) fn denial(messages: &[String]) -> String {
    format!("this host's policy denies it: {}", messages.join("; "))
}
