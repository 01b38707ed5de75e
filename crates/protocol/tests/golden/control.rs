//! Golden files of the control channel: every request, answer and inbox message.

use gantry_protocol::control::inbox::{Batch, Condition, Content, Message, Poll, SealedRun};
use gantry_protocol::control::run::{
    EnterPhase, Entered, FailReason, Gate, GrantAnswer, GrantRequest, Lease, LogStored, Outcome,
    PlanTaken, Renew, Renewed, ResultTaken, RunResult,
};
use gantry_protocol::control::session::{
    About, Claim, EnrolRequest, Enrolled, Nonce, Session, SessionRequest, Takeover,
};
use gantry_protocol::control::token::{Broker, PoolToken};
use gantry_protocol::control::{Problem, ProblemCode};
use gantry_protocol::plan::PlanData;
use gantry_protocol::run::RunState;
use gantry_protocol::{Attempt, Secret};

use crate::fixtures::*;
use crate::table::Unknown::{Ignored, Refused};
use crate::table::{Golden, text, variants};

/// Every message of the control channel.
pub(crate) fn rows() -> Vec<Golden> {
    let mut rows = sessions();
    rows.extend(messages());
    rows.extend(leases());
    rows.extend(grant_answers());
    rows.extend(outcomes());
    rows.extend(results());
    rows.extend(payloads());
    rows
}

pub(crate) fn token() -> PoolToken {
    PoolToken {
        version: 1,
        broker: Broker {
            endpoint: ENDPOINT.into(),
        },
        pool: pool(),
        certificate: text("keys/pool.crt"),
        server_keys: vec![ed_key("server").public()],
    }
}

fn about() -> About {
    About {
        version: "0.1.0".into(),
        arch: "x86_64".into(),
        host: "runner-1".into(),
        metadata: [("zone".to_owned(), "a".to_owned())].into(),
    }
}

fn sessions() -> Vec<Golden> {
    let enrol = EnrolRequest {
        proof: "header.claims.signature".into(),
        about: about(),
    };
    let ask = SessionRequest {
        proof: "header.claims.signature".into(),
        about: About::default(),
    };
    let session = Session {
        token: Secret::new("not-a-real-session"),
        expires_in: 3600,
        epoch: 4,
        lease_seconds: 60,
        now: NOW,
        server_keys: vec![ed_key("server").public()],
    };
    let mut rows = vec![
        Golden::new("control-1/token", Ignored, token()),
        Golden::new(
            "control-1/nonce",
            Ignored,
            Nonce {
                nonce: NONCE.into(),
            },
        ),
        Golden::new("control-1/enrol-request", Refused, enrol),
        Golden::new(
            "control-1/enrolled",
            Ignored,
            Enrolled {
                launcher: launcher(),
            },
        ),
        Golden::new("control-1/session-request", Refused, ask),
        Golden::new("control-1/session", Ignored, session),
        Golden::new(
            "control-1/problem",
            Ignored,
            Problem {
                code: ProblemCode::StaleAttempt,
                message: "a newer attempt of the run exists".into(),
            },
        ),
    ];
    let takeover = Takeover {
        previous_epoch: 3,
        process: "cHJvY2Vzcw".into(),
    };
    rows.extend(variants! {Claim, "control-1",
        Claim::Takeover(_) => "claim-takeover", Refused, Claim::Takeover(takeover.clone());
        Claim::Renew { .. } => "claim-renew", Refused, Claim::Renew { epoch: 4 };
    });
    rows
}

fn messages() -> Vec<Golden> {
    let sealed = SealedRun {
        envelope: "header.claims.signature".into(),
        sealed: "YWdl".into(),
    };
    let poll = Poll {
        acknowledge: vec![41, 42],
        free_slots: 2,
        wait_seconds: 50,
        condition: None,
    };
    let paused = Poll {
        free_slots: 0,
        condition: Some(Condition::Paused {
            reason: "`/var/lib/docker` has 900 MiB free".into(),
        }),
        ..poll.clone()
    };
    let batch = Batch {
        messages: vec![
            Message {
                id: 43,
                content: Content::Cycle,
            },
            Message {
                id: 44,
                content: Content::Run(Box::new(sealed.clone())),
            },
        ],
    };
    let mut rows = vec![
        Golden::new("control-1/poll", Refused, poll),
        Golden::new("control-1/poll-paused", Refused, paused),
        Golden::new("control-1/batch", Ignored, batch),
        Golden::new("control-1/batch-empty", Ignored, Batch::default()),
        Golden::new("control-1/sealed-run", Ignored, sealed.clone()),
    ];
    rows.extend(variants! {Condition, "control-1",
        Condition::Paused { .. } => "condition-paused", Refused,
            Condition::Paused { reason: "no room".into() };
        Condition::Unhealthy { .. } => "condition-unhealthy", Refused,
            Condition::Unhealthy { reason: "dockerd is away".into() };
    });
    rows.extend(variants! {Content, "control-1",
        Content::Run(_) => "message-run", Ignored, Content::Run(Box::new(sealed));
        Content::Stop { .. } => "message-stop", Ignored,
            Content::Stop { run: run(), attempt: attempt(), note: "wrong branch".into() };
        Content::Drain { .. } => "message-drain", Ignored, Content::Drain { on: true };
        Content::Cycle => "message-cycle", Ignored, Content::Cycle;
        Content::Unknown => "message-unknown", Ignored, Content::Unknown;
    });
    rows
}

fn leases() -> Vec<Golden> {
    let lease = Lease {
        run: run(),
        attempt: attempt(),
    };
    let asked = GrantRequest {
        section: 3,
        state: RunState::Applying,
        plan: Some(plan()),
    };
    let bare = GrantRequest {
        section: 1,
        state: RunState::Performing,
        plan: None,
    };
    vec![
        Golden::new(
            "control-1/renew",
            Refused,
            Renew {
                leases: vec![lease],
            },
        ),
        Golden::new(
            "control-1/renewed",
            Ignored,
            Renewed {
                lost: vec![Lease {
                    attempt: Attempt(1),
                    ..lease
                }],
            },
        ),
        Golden::new(
            "control-1/enter-phase",
            Refused,
            EnterPhase {
                section: 2,
                state: RunState::Planning,
            },
        ),
        Golden::new("control-1/entered", Ignored, Entered { state_version: 5 }),
        Golden::new("control-1/grant-request", Refused, asked),
        Golden::new("control-1/grant-request-without-plan", Refused, bare),
        Golden::new("control-1/log-stored", Ignored, LogStored { offset: 4096 }),
    ]
}

fn grant_answers() -> Vec<Golden> {
    variants! {GrantAnswer, "control-1",
        GrantAnswer::Granted { .. } => "grant-granted", Ignored, GrantAnswer::Granted { state_version: 6 };
        GrantAnswer::Park => "grant-park", Ignored, GrantAnswer::Park;
        GrantAnswer::Denied { .. } => "grant-denied", Ignored,
            GrantAnswer::Denied { reason: "the run was stopped".into() };
    }
}

fn outcomes() -> Vec<Golden> {
    variants! {Outcome, "control-1",
        Outcome::Succeeded => "outcome-succeeded", Ignored, Outcome::Succeeded;
        Outcome::Parked { .. } => "outcome-parked", Refused,
            Outcome::Parked { attestation: "header.claims.signature".into() };
        Outcome::Refused { .. } => "outcome-refused", Refused,
            Outcome::Refused { gate: Gate::Image, message: "image `x` is not on the allowlist".into() };
        Outcome::Failed { .. } => "outcome-failed", Refused,
            Outcome::Failed { reason: FailReason::Tool, message: "terraform plan ended with code 1".into() };
        Outcome::Stopped { .. } => "outcome-stopped", Refused,
            Outcome::Stopped { message: "terraform plan was interrupted".into() };
    }
}

fn results() -> Vec<Golden> {
    let full = RunResult {
        outcome: Outcome::Parked {
            attestation: "header.claims.signature".into(),
        },
        plan: Some(plan()),
        image: Some(IMAGE.into()),
        worker: Some(digest("worker")),
    };
    let bare = RunResult {
        outcome: Outcome::Succeeded,
        plan: None,
        image: None,
        worker: None,
    };
    let taken = ResultTaken {
        state: RunState::Unconfirmed,
        counted: true,
    };
    let notes = vec!["policy `sizes` warns: larger than usual".to_owned()];
    let mut rows = variants! {PlanData, "control-1",
        PlanData::Document(_) => "plan-document", Refused,
            PlanData::Document(serde_json::json!({ "format_version": "1.2" }));
        PlanData::Withheld(_) => "plan-withheld", Refused,
            PlanData::Withheld("the plan's JSON has more than 32 MiB".into());
    };
    rows.push(Golden::new(
        "control-1/plan-taken",
        Ignored,
        PlanTaken { notes },
    ));
    rows.extend([
        Golden::new("control-1/result", Refused, full),
        Golden::new("control-1/result-bare", Refused, bare),
        Golden::new("control-1/result-taken", Ignored, taken),
    ]);
    rows
}

fn payloads() -> Vec<Golden> {
    vec![
        Golden::new("control-1/payload-full", Refused, payload_full()),
        Golden::new("control-1/payload-bare", Refused, payload_bare()),
    ]
}
