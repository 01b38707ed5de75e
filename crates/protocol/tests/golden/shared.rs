//! Golden files of names that stand in many messages, and of the protocol's constants.

use gantry_protocol::control::run::{FailReason, Gate};
use gantry_protocol::control::{ProblemCode, envelope, inbox, manifest, session, token, workspace};
use gantry_protocol::crypto::Signed;
use gantry_protocol::payload::{Stage, ToolKind};
use gantry_protocol::run::{RunState, RunType};
use gantry_protocol::socket::{
    FailureKind, MAX_BODY, MAX_HEADER, Phase, StopKind, WorkerEnd, frame, spool,
};
use gantry_protocol::version::{CONTROL, CONTROL_HEADER, SOCKET, SOCKET_OLDEST};
use serde_json::json;

use crate::table::{Golden, Unknown, names};

/// Names and constants.
pub(crate) fn rows() -> Vec<Golden> {
    let mut rows = control_names();
    rows.extend(run_names());
    rows.extend(socket_names());
    rows.extend(constants());
    rows
}

fn control_names() -> Vec<Golden> {
    vec![
        names!(
            ProblemCode,
            "control-1/names-problem-code",
            Version,
            Session,
            Proof,
            Revoked,
            Quarantined,
            Fenced,
            StaleAttempt,
            Conflict,
            NotFound,
            Malformed,
            TooLarge,
            Locked,
            Limited,
            Storage,
            Internal,
            Unknown,
        ),
        names!(
            Gate,
            "control-1/names-gate",
            Envelope,
            Image,
            Signature,
            Policy,
            Pull,
            Workspace,
            Worker,
            Tool,
            Container,
        ),
        names!(
            FailReason,
            "control-1/names-fail-reason",
            Hook,
            Tool,
            ToolMissing,
            Denied,
            Workspace,
            OutOfMemory,
            OutOfDisk,
            ContainerLost,
            TimedOut,
            Internal,
        ),
    ]
}

fn run_names() -> Vec<Golden> {
    vec![
        names!(
            RunState,
            "control-1/names-run-state",
            Queued,
            Ready,
            Preparing,
            PreparingApply,
            PreparingReplan,
            Initializing,
            Planning,
            PendingReview,
            Unconfirmed,
            ReplanRequested,
            Confirmed,
            Applying,
            Performing,
            Destroying,
            Finished,
            Failed,
            Stopped,
            Discarded,
            Canceled,
            Skipped,
        ),
        names!(
            RunType,
            "control-1/names-run-type",
            Proposed,
            Tracked,
            Task,
            Testing,
            Destroy
        ),
        names!(Stage, "control-1/names-stage", Start, Apply, Replan),
        names!(ToolKind, "control-1/names-tool-kind", Terraform, OpenTofu),
    ]
}

fn socket_names() -> Vec<Golden> {
    vec![
        names!(
            Phase,
            "socket-1/names-phase",
            Init,
            Plan,
            Apply,
            Perform,
            Destroy
        ),
        names!(StopKind, "socket-1/names-stop-kind", Interrupt, Kill),
        names!(
            FailureKind,
            "socket-1/names-failure-kind",
            Hook,
            Tool,
            ToolMissing,
            Denied,
            Workspace,
            Internal,
        ),
    ]
}

fn constants() -> Vec<Golden> {
    let control = json!({
        "version": CONTROL,
        "version_header": CONTROL_HEADER,
        "token_version": token::VERSION,
        "envelope_version": envelope::VERSION,
        "max_payload": envelope::MAX_PAYLOAD,
        "clock_allowance_seconds": envelope::CLOCK_ALLOWANCE,
        "attestation_header": workspace::HEADER,
        "worker_product": manifest::PRODUCT,
        "typ": [
            envelope::EnvelopeClaims::TYP, manifest::WorkerManifest::TYP, session::EnrolProof::TYP,
            session::SessionProof::TYP, workspace::WorkspaceAttestation::TYP,
        ],
    });
    let failed = WorkerEnd::Failed {
        kind: FailureKind::Tool,
        message: String::new(),
    };
    let stopped = WorkerEnd::Stopped {
        message: String::new(),
    };
    let ends = [WorkerEnd::Succeeded, WorkerEnd::Parked, failed, stopped];
    let socket = json!({
        "version": SOCKET,
        "oldest_version": SOCKET_OLDEST,
        "frame_prefix": frame::PREFIX,
        "max_header": MAX_HEADER,
        "max_body": MAX_BODY,
        "events_file": spool::EVENTS,
        "max_fact": spool::MAX_FACT,
        "segment": spool::SEGMENT,
        "segment_name": spool::segment_name(3, 8_388_608),
        "exit_codes": ends.map(|end| end.exit_code()),
    });
    vec![
        Golden::new("control-1/constants", Unknown::Refused, control),
        Golden::new("socket-1/constants", Unknown::Refused, socket),
    ]
}

/// A message of a newer server is read as "unknown", not refused.
#[test]
fn a_newer_servers_words_are_read_as_unknown() {
    let message: inbox::Message =
        serde_json::from_str(r#"{"id":7,"type":"a_word_of_tomorrow","more":[]}"#).unwrap();
    assert_eq!(
        message,
        inbox::Message {
            id: 7,
            content: inbox::Content::Unknown
        }
    );
    let code: ProblemCode = serde_json::from_str(r#""a_word_of_tomorrow""#).unwrap();
    assert_eq!(code, ProblemCode::Unknown);
}
