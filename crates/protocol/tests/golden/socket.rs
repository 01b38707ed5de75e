//! Golden files of the run socket and the spool: every message, every fact, a whole frame.

use gantry_protocol::Secret;
use gantry_protocol::payload::{Hooks, Stage, ToolKind};
use gantry_protocol::run::RunType;
use gantry_protocol::socket::frame::{self, Frame};
use gantry_protocol::socket::{
    Fact, FailureKind, FromLauncher, FromWorker, Handed, HandedTo, Phase, PhaseExit, PlanSummary,
    StateOp, StopKind, ToolFrom, WorkOrder, WorkerEnd,
};
use gantry_protocol::version::SOCKET;

use crate::fixtures::*;
use crate::table::Unknown::{Ignored, Refused};
use crate::table::{Golden, text, variants};

/// Files that hold no single JSON value.
pub(crate) const FILES: &[&str] = &["socket-1/frame.hex", "socket-1/events"];

/// Every message and fact.
pub(crate) fn rows() -> Vec<Golden> {
    let mut rows = from_worker();
    rows.extend(state_ops());
    rows.extend(from_launcher());
    rows.extend(orders());
    rows.extend(facts());
    rows.extend(exits());
    rows.extend(ends());
    rows
}

fn from_worker() -> Vec<Golden> {
    let hello = |session| FromWorker::Hello {
        socket_version: SOCKET,
        worker_version: "0.1.0".into(),
        session,
    };
    let mut rows = variants! {FromWorker, "socket-1",
        FromWorker::Hello { .. } => "worker-hello", Refused, hello(None);
        FromWorker::Bell => "worker-bell", Ignored, FromWorker::Bell;
        FromWorker::Ask { .. } => "worker-ask", Refused, FromWorker::Ask { phase: Phase::Apply };
        FromWorker::State { .. } => "worker-state", Refused, FromWorker::State { id: 9, op: StateOp::Read };
    };
    let again = hello(Some(Secret::new("not-a-real-key")));
    rows.push(Golden::new("socket-1/worker-hello-again", Refused, again));
    rows
}

fn state_ops() -> Vec<Golden> {
    let mut rows = variants! {StateOp, "socket-1",
        StateOp::Read => "state-read", Ignored, StateOp::Read;
        StateOp::Write { .. } => "state-write", Refused, StateOp::Write { lock_id: Some("lock-1".into()) };
        StateOp::Lock => "state-lock", Ignored, StateOp::Lock;
        StateOp::Unlock => "state-unlock", Ignored, StateOp::Unlock;
    };
    rows.push(Golden::new(
        "socket-1/state-write-without-lock",
        Refused,
        StateOp::Write { lock_id: None },
    ));
    rows
}

fn from_launcher() -> Vec<Golden> {
    let welcome = FromLauncher::Welcome {
        session: Secret::new("not-a-real-key"),
        order: Box::new(order_full()),
    };
    let phase = Phase::Destroy;
    variants! {FromLauncher, "socket-1",
        FromLauncher::Welcome { .. } => "launcher-welcome", Refused, welcome;
        FromLauncher::Wait => "launcher-wait", Ignored, FromLauncher::Wait;
        FromLauncher::Resumed => "launcher-resumed", Ignored, FromLauncher::Resumed;
        FromLauncher::Refused { .. } => "launcher-refused", Refused,
            FromLauncher::Refused { reason: "the session key is not of this run".into() };
        FromLauncher::Grant { .. } => "launcher-grant", Refused, FromLauncher::Grant { phase };
        FromLauncher::Park { .. } => "launcher-park", Refused, FromLauncher::Park { phase };
        FromLauncher::Deny { .. } => "launcher-deny", Refused,
            FromLauncher::Deny { phase, reason: "the run was stopped".into() };
        FromLauncher::LogAck { .. } => "launcher-log-ack", Refused,
            FromLauncher::LogAck { section: 2, offset: 4096 };
        FromLauncher::Stop { .. } => "launcher-stop", Refused,
            FromLauncher::Stop { kind: StopKind::Interrupt };
        FromLauncher::State { .. } => "launcher-state", Refused, FromLauncher::State { id: 9, status: 200 };
    }
}

fn order_full() -> WorkOrder {
    WorkOrder {
        stage: Stage::Apply,
        tool: ToolKind::OpenTofu,
        tool_from: ToolFrom::Host {
            version: "1.10.6".into(),
        },
        project_root: "live/prod".into(),
        autodeploy: true,
        targets: Vec::new(),
        skip_init: true,
        command: Some("terraform output".into()),
        managed_state: true,
        environment: environment(),
        handed: vec![Handed {
            name: "AWS_REGION".into(),
            value: Secret::new("eu-west-1"),
            to: HandedTo::Reading,
        }],
        trace_commands: true,
        hooks: hooks(),
        ..order_bare()
    }
}

fn order_bare() -> WorkOrder {
    WorkOrder {
        run: run(),
        stack: stack(),
        run_type: RunType::Tracked,
        stage: Stage::Start,
        tool: ToolKind::Terraform,
        tool_from: ToolFrom::default(),
        project_root: String::new(),
        autodeploy: false,
        targets: Vec::new(),
        skip_init: false,
        command: None,
        managed_state: false,
        environment: vec![],
        hooks: Hooks::default(),
        handed: vec![],
        trace_commands: false,
        spool_budget: 1 << 30,
    }
}

fn orders() -> Vec<Golden> {
    vec![
        Golden::new("socket-1/order-full", Refused, order_full()),
        Golden::new("socket-1/order-bare", Refused, order_bare()),
    ]
}

fn facts() -> Vec<Golden> {
    let left = Fact::Left {
        section: 1,
        end: 12_345,
        exit: PhaseExit::Ok,
    };
    let mut rows = variants! {Fact, "socket-1",
        Fact::Entered { .. } => "fact-entered", Refused, Fact::Entered { section: 1, phase: Phase::Init };
        Fact::Left { .. } => "fact-left", Refused, left;
        Fact::Planned(_) => "fact-planned", Refused, Fact::Planned(plan());
        Fact::Finished(_) => "fact-finished", Ignored, Fact::Finished(WorkerEnd::Parked);
    };
    let nothing = Fact::Planned(PlanSummary::default());
    rows.push(Golden::new(
        "socket-1/fact-planned-nothing",
        Refused,
        nothing,
    ));
    rows
}

fn exits() -> Vec<Golden> {
    let what = || "before_init[0]".to_owned();
    variants! {PhaseExit, "socket-1",
        PhaseExit::Ok => "exit-ok", Ignored, PhaseExit::Ok;
        PhaseExit::Code { .. } => "exit-code", Refused, PhaseExit::Code { what: what(), code: 1 };
        PhaseExit::Signal { .. } => "exit-signal", Refused, PhaseExit::Signal { what: what(), signal: 9 };
        PhaseExit::NotStarted { .. } => "exit-not-started", Refused,
            PhaseExit::NotStarted { what: what(), reason: "no shell in the image".into() };
    }
}

fn ends() -> Vec<Golden> {
    variants! {WorkerEnd, "socket-1",
        WorkerEnd::Succeeded => "end-succeeded", Ignored, WorkerEnd::Succeeded;
        WorkerEnd::Parked => "end-parked", Ignored, WorkerEnd::Parked;
        WorkerEnd::Failed { .. } => "end-failed", Refused,
            WorkerEnd::Failed { kind: FailureKind::Tool, message: "terraform plan ended with code 1".into() };
        WorkerEnd::Stopped { .. } => "end-stopped", Refused,
            WorkerEnd::Stopped { message: "terraform apply was interrupted".into() };
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

#[test]
fn a_frame_has_two_lengths_a_header_and_a_body() {
    let message = FromWorker::State {
        id: 9,
        op: StateOp::Write { lock_id: None },
    };
    let frame = Frame {
        message,
        body: b"{\"serial\":1}".to_vec(),
    };
    let golden = bytes(&text("socket-1/frame.hex"));
    let mut written = frame.head().unwrap();
    written.extend_from_slice(&frame.body);
    let hex: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written, golden, "written now: {hex}");

    let (prefix, rest) = golden.split_at(frame::PREFIX);
    let (header, body) = frame::lengths(prefix.try_into().unwrap()).unwrap();
    assert_eq!(rest.len(), header + body);
    let read = Frame::<FromWorker>::from_parts(&rest[..header], rest[header..].to_vec()).unwrap();
    assert!(read == frame);
}

#[test]
fn the_events_file_is_one_fact_per_line() {
    let facts = [
        Fact::Entered {
            section: 1,
            phase: Phase::Init,
        },
        Fact::Left {
            section: 1,
            end: 120,
            exit: PhaseExit::Ok,
        },
        Fact::Entered {
            section: 2,
            phase: Phase::Plan,
        },
        Fact::Planned(plan()),
        Fact::Left {
            section: 2,
            end: 4096,
            exit: PhaseExit::Ok,
        },
        Fact::Finished(WorkerEnd::Parked),
    ];
    let lines: Vec<String> = facts
        .iter()
        .map(|fact| serde_json::to_string(fact).unwrap())
        .collect();
    let golden = text("socket-1/events");
    assert_eq!(golden, lines.join("\n") + "\n");
    let read: Vec<Fact> = golden
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, facts);
}
