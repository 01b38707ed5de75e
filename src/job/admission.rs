//! Whether a run may happen on this host: its signature first, then the host's own policy.
//!
//! Takes a run whose image is resolved and whose worker is known. Gives what alone can be pulled. Never: an image
//! pulled for a run that was refused here, a policy that is not asked because something about the run is unusual.

use std::sync::Arc;

use gantry_policy::Verdict;
use gantry_protocol::control::run::Gate;
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::ids::{Digest, RunId};
use gantry_protocol::payload::{RunPayload, Stage};
use gantry_protocol::plan::digest_of;
use gantry_protocol::run::RunType;
use gantry_protocol::socket::Phase;

use super::gates::OpenedRun;
use super::prepare::refused;
use super::worker_binary::Worker;
use super::{Halt, Host, Job};
use crate::image::ResolvedImage;
use crate::journal::Started;
use crate::policy::{Facts, InitPolicy, Planned};
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
    pub(super) async fn evaluate(&self, planned: &Planned) -> Verdict {
        let facts = Facts {
            payload: &self.payload,
            phase: self.phase,
            image: &self.image,
            image_digest: &self.image_digest,
            worker_version: &self.worker_version,
            worker_digest: self.worker,
            planned,
            now: now(),
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
        let planned = planned(run.payload(), plan);
        let planned = planned.map_err(|error| refused(Gate::Policy, &error))?;
        match self.unless_stopped(asked.evaluate(&planned)).await? {
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

/// Why it can't be known what an apply changes. It is attested, so it would be known had nobody kept it back.
#[derive(Debug, thiserror::Error)]
enum UnknownChanges {
    #[error(
        "this host has a policy, and the server does not say what the plan of run {0} changes, although that was signed for; plan again"
    )]
    Withheld(RunId),
    #[error(
        "what the server says that the plan of run {0} changes is not what the launcher that planned signed for"
    )]
    Forged(RunId),
}

/// What is known of the changes that a lease begins with: the server's list, as far as a launcher of the pool signed for it.
fn planned(
    payload: &RunPayload,
    plan: Option<&WorkspaceAttestation>,
) -> Result<Planned, UnknownChanges> {
    if payload.stage != Stage::Apply {
        return Ok(Planned::Nothing);
    }
    let Some(signed) = plan.and_then(|plan| plan.changes) else {
        return Ok(Planned::Unknown);
    };
    let given = payload.workspace.as_ref();
    let given = given.and_then(|workspace| workspace.changes.as_deref());
    let given = given.ok_or(UnknownChanges::Withheld(payload.run))?;
    match digest_of(given) == Some(signed) {
        true => Ok(Planned::Changes(given.into())),
        false => Err(UnknownChanges::Forged(payload.run)),
    }
}

fn now() -> i64 {
    let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    i64::try_from(nanos).unwrap_or(i64::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_protocol::ids::Attempt;
    use gantry_protocol::plan::{ChangeKind, PlannedChange};

    fn payload() -> RunPayload {
        let full = include_str!("../../crates/protocol/tests/golden/control-1/payload-full.json");
        serde_json::from_str(full).unwrap()
    }

    fn deletion(address: &str) -> PlannedChange {
        PlannedChange {
            address: address.to_owned(),
            previous_address: None,
            resource_type: "a".to_owned(),
            name: "b".to_owned(),
            kind: ChangeKind::Delete,
        }
    }

    #[test]
    fn only_changes_that_a_launcher_signed_for_are_known() {
        let list = vec![deletion("a.b"), deletion("a.c")];
        let signed = |changes: Option<&[PlannedChange]>| WorkspaceAttestation {
            v: 1,
            run: payload().run,
            stack: payload().stack,
            attempt: Attempt(1),
            sealed: Digest::of(b"sealed"),
            plan: Digest::of(b"plan"),
            rendered: Digest::of(b"rendered"),
            image: String::new(),
            worker: Digest::of(b"worker"),
            tool: None,
            document: None,
            changes: changes.and_then(digest_of),
        };
        let of = |stage, signed: &WorkspaceAttestation, given: Option<&[PlannedChange]>| {
            let mut payload = payload();
            payload.stage = stage;
            if let Some(workspace) = payload.workspace.as_mut() {
                workspace.changes = given.map(<[_]>::to_vec);
            }
            planned(&payload, Some(signed))
        };
        let (all, none) = (signed(Some(&list)), signed(None));
        let known = of(Stage::Apply, &all, Some(&list)).unwrap();
        assert_eq!(known, Planned::Changes(list.clone().into()));
        // One that no launcher signed for is the server's word, and not told.
        let unsigned = of(Stage::Apply, &none, Some(&list)).unwrap();
        assert_eq!(unsigned, Planned::Unknown);
        assert_eq!(of(Stage::Apply, &none, None).unwrap(), Planned::Unknown);
        for stage in [Stage::Start, Stage::Replan] {
            assert_eq!(of(stage, &all, Some(&list)).unwrap(), Planned::Nothing);
        }
        let withheld = of(Stage::Apply, &all, None);
        assert!(matches!(withheld, Err(UnknownChanges::Withheld(_))));
        for forged in [&list[..1], &[], &[list[1].clone(), list[0].clone()]] {
            let error = of(Stage::Apply, &all, Some(forged)).unwrap_err();
            assert!(matches!(error, UnknownChanges::Forged(_)), "{error}");
            assert!(error.to_string().contains(&payload().run.to_string()));
        }
    }
}
