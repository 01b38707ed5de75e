//! The run socket against a peer that speaks the wire by hand.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use gantry_protocol::Secret;
use gantry_protocol::payload::{Hooks, Stage, ToolKind};
use gantry_protocol::run::RunType;
use gantry_protocol::socket::{
    Frame, FromLauncher, FromWorker, Phase, SOCKET_NAME, StateOp, StopKind, WorkOrder, frame,
};
use gantry_protocol::version;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::super::listener::{Expect, listen};
use super::super::{Event, Link};

const DEADLINE: Duration = Duration::from_secs(10);

fn order() -> Box<WorkOrder> {
    Box::new(WorkOrder {
        run: "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap(),
        stack: "net".parse().unwrap(),
        run_type: RunType::Tracked,
        stage: Stage::Start,
        tool: ToolKind::Terraform,
        tool_from: gantry_protocol::socket::ToolFrom::default(),
        project_root: String::new(),
        autodeploy: false,
        targets: Vec::new(),
        skip_init: false,
        command: None,
        managed_state: true,
        environment: vec![],
        hooks: Hooks::default(),
        handed: Vec::new(),
        trace_commands: false,
        spool_budget: 1 << 20,
    })
}

/// A link whose job journals at once; the other events come through.
struct Job {
    link: Link,
    events: tokio::sync::mpsc::UnboundedReceiver<Event>,
    _journal: tokio::task::JoinHandle<()>,
}

fn link(dir: &Path, expect: Expect) -> Job {
    let mut link = listen(dir, std::fs::metadata(dir).unwrap().gid(), expect).unwrap();
    let mut all = std::mem::replace(&mut link.events, tokio::sync::mpsc::unbounded_channel().1);
    let (sender, events) = tokio::sync::mpsc::unbounded_channel();
    let journal = tokio::spawn(async move {
        while let Some(event) = all.recv().await {
            match event {
                Event::Connected { go, .. } => go.send(()).unwrap(),
                other => drop(sender.send(other)),
            }
        }
    });
    Job {
        link,
        events,
        _journal: journal,
    }
}

/// A link whose order is there before its worker.
fn ordered(dir: &Path) -> Job {
    let job = link(dir, Expect::Later);
    job.link.handle.assign(order());
    job
}

struct Peer(UnixStream);

impl Peer {
    async fn connect(dir: &Path) -> Self {
        Self(UnixStream::connect(dir.join(SOCKET_NAME)).await.unwrap())
    }

    async fn hello(dir: &Path, session: Option<Secret>, version: u32) -> (Self, FromLauncher) {
        let mut peer = Self::connect(dir).await;
        let worker_version = "0.1.0".to_owned();
        peer.say(FromWorker::Hello {
            socket_version: version,
            worker_version,
            session,
        })
        .await;
        let answer = peer.hear().await.message;
        (peer, answer)
    }

    async fn say(&mut self, message: impl Into<Frame<FromWorker>>) {
        let frame = message.into();
        self.0.write_all(&frame.head().unwrap()).await.unwrap();
        self.0.write_all(&frame.body).await.unwrap();
    }

    async fn hear(&mut self) -> Frame<FromLauncher> {
        tokio::time::timeout(DEADLINE, async {
            let mut prefix = [0; frame::PREFIX];
            self.0.read_exact(&mut prefix).await.unwrap();
            let (header, body) = frame::lengths(prefix).unwrap();
            let (mut head, mut rest) = (vec![0; header], vec![0; body]);
            self.0.read_exact(&mut head).await.unwrap();
            self.0.read_exact(&mut rest).await.unwrap();
            Frame::from_parts(&head, rest).unwrap()
        })
        .await
        .expect("an answer within the deadline")
    }

    async fn closed(&mut self) -> bool {
        let mut byte = [0];
        let read = tokio::time::timeout(DEADLINE, self.0.read(&mut byte)).await;
        matches!(read.expect("an end within the deadline"), Ok(0) | Err(_))
    }
}

async fn next(link: &mut Job) -> Event {
    tokio::time::timeout(DEADLINE, link.events.recv())
        .await
        .expect("an event")
        .expect("open")
}

fn key_of(answer: &FromLauncher) -> Secret {
    match answer {
        FromLauncher::Welcome { session, .. } => session.clone(),
        other => panic!("expected a welcome, got {other:?}"),
    }
}

#[tokio::test]
async fn the_order_is_given_once() {
    let temp = tempfile::tempdir().unwrap();
    let mut link = ordered(temp.path());
    let (_first, answer) = Peer::hello(temp.path(), None, version::SOCKET).await;
    let key = key_of(&answer);
    assert!(matches!(next(&mut link).await, Event::Given));
    let (_, again) = Peer::hello(temp.path(), None, version::SOCKET).await;
    assert!(matches!(again, FromLauncher::Refused { .. }), "{again:?}");
    let wrong = Some(Secret::new("guess"));
    let (_, guessed) = Peer::hello(temp.path(), wrong, version::SOCKET).await;
    assert!(
        matches!(guessed, FromLauncher::Refused { .. }),
        "{guessed:?}"
    );
    let (_, back) = Peer::hello(temp.path(), Some(key), version::SOCKET).await;
    assert_eq!(back, FromLauncher::Resumed);
}

#[tokio::test]
async fn answers_reach_a_worker_that_was_away() {
    let temp = tempfile::tempdir().unwrap();
    let mut link = ordered(temp.path());
    let (mut peer, answer) = Peer::hello(temp.path(), None, version::SOCKET).await;
    let key = key_of(&answer);
    peer.say(FromWorker::Ask {
        phase: Phase::Apply,
    })
    .await;
    let state = Frame {
        message: FromWorker::State {
            id: 7,
            op: StateOp::Lock,
        },
        body: b"{}".into(),
    };
    peer.say(state).await;
    let (mut asked, mut locked) = (false, false);
    while !(asked && locked) {
        match next(&mut link).await {
            Event::Ask { phase } => asked = phase == Phase::Apply,
            Event::State { id, body, .. } => locked = id == 7 && body == b"{}",
            Event::Given | Event::Waiting | Event::Connected { .. } | Event::Bell => {}
        }
    }
    drop(peer);
    link.link.handle.decide(
        Phase::Apply,
        FromLauncher::Grant {
            phase: Phase::Apply,
        },
    );
    link.link.handle.answer_state(7, 423, b"held".into());
    link.link.handle.acknowledge(1, 10);
    link.link.handle.stop(StopKind::Interrupt);
    // The first decision stands, whatever comes later.
    link.link.handle.decide(
        Phase::Apply,
        FromLauncher::Park {
            phase: Phase::Apply,
        },
    );
    let (mut peer, _) = Peer::hello(temp.path(), Some(key), version::SOCKET).await;
    let mut heard = vec![];
    while heard.len() < 4 {
        heard.push(peer.hear().await);
    }
    assert!(
        heard.contains(
            &FromLauncher::LogAck {
                section: 1,
                offset: 10
            }
            .into()
        )
    );
    assert!(
        heard.contains(
            &FromLauncher::Grant {
                phase: Phase::Apply
            }
            .into()
        )
    );
    assert!(
        heard.contains(
            &FromLauncher::Stop {
                kind: StopKind::Interrupt
            }
            .into()
        )
    );
    assert!(heard.iter().any(|frame| frame.body == b"held"));
}

#[tokio::test]
async fn what_is_no_hello_is_cut_off() {
    let temp = tempfile::tempdir().unwrap();
    let _link = ordered(temp.path());
    let mut long = Peer::connect(temp.path()).await;
    long.0.write_all(&[0, 16, 0, 0, 0, 0, 0, 0]).await.unwrap();
    assert!(long.closed().await);
    let mut body = Peer::connect(temp.path()).await;
    body.0
        .write_all(&[0, 0, 0, 2, 0, 0, 0, 1, b'{', b'}', 0])
        .await
        .unwrap();
    assert!(body.closed().await);
    let mut early = Peer::connect(temp.path()).await;
    early.say(FromWorker::Bell).await;
    assert!(matches!(
        early.hear().await.message,
        FromLauncher::Refused { .. }
    ));
    let (_, old) = Peer::hello(temp.path(), None, version::SOCKET + 1).await;
    assert!(matches!(old, FromLauncher::Refused { .. }));
    // None of them got the order: the real worker still does.
    let (_, answer) = Peer::hello(temp.path(), None, version::SOCKET).await;
    key_of(&answer);
}

#[tokio::test]
async fn the_socket_is_its_group_s_and_can_be_bound_again() {
    let temp = tempfile::tempdir().unwrap();
    let first = ordered(temp.path());
    let mode = std::fs::metadata(temp.path().join(SOCKET_NAME))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    let (_, answer) = Peer::hello(temp.path(), None, version::SOCKET).await;
    let key = key_of(&answer);
    drop(first.link);
    let digest = gantry_protocol::Digest::of(key.expose().as_bytes());
    let _second = link(temp.path(), Expect::Known(digest));
    let (_, back) = Peer::hello(temp.path(), Some(key), version::SOCKET).await;
    assert_eq!(back, FromLauncher::Resumed);
}

#[tokio::test]
async fn a_launcher_that_died_while_giving_the_order_takes_the_worker_either_way() {
    let temp = tempfile::tempdir().unwrap();
    let key = Secret::new("key of the launcher before");
    let digest = gantry_protocol::Digest::of(key.expose().as_bytes());
    let expect = || Expect::Unsure(order(), digest);
    let has_it = link(temp.path(), expect());
    let (_, back) = Peer::hello(temp.path(), Some(key.clone()), version::SOCKET).await;
    assert_eq!(back, FromLauncher::Resumed);
    let (_, late) = Peer::hello(temp.path(), None, version::SOCKET).await;
    assert!(matches!(late, FromLauncher::Refused { .. }), "{late:?}");
    drop(has_it.link);
    let _lacks_it = link(temp.path(), expect());
    let (_, answer) = Peer::hello(temp.path(), None, version::SOCKET).await;
    key_of(&answer);
    let (_, old) = Peer::hello(temp.path(), Some(key), version::SOCKET).await;
    assert!(matches!(old, FromLauncher::Refused { .. }), "{old:?}");
}

#[tokio::test]
async fn nothing_leaves_before_it_is_journaled() {
    let temp = tempfile::tempdir().unwrap();
    let gid = std::fs::metadata(temp.path()).unwrap().gid();
    let mut link = listen(temp.path(), gid, Expect::Later).unwrap();
    link.handle.assign(order());
    let mut peer = Peer::connect(temp.path()).await;
    let hello = FromWorker::Hello {
        socket_version: version::SOCKET,
        worker_version: "0.1.0".into(),
        session: None,
    };
    peer.say(hello).await;
    let event = tokio::time::timeout(DEADLINE, link.events.recv())
        .await
        .unwrap();
    let Some(Event::Connected { session, go }) = event else {
        panic!("{event:?}")
    };
    // The journal could not be written: the job drops the permission.
    drop(go);
    assert!(peer.closed().await);
    assert!(!session.hex().is_empty());
}

#[tokio::test]
async fn a_worker_that_is_early_gets_its_order_later_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut link = link(dir.path(), Expect::Later);
    let hello = || FromWorker::Hello {
        socket_version: version::SOCKET,
        worker_version: "0.1.0".to_owned(),
        session: None,
    };
    // The first one ends while it waits; the second is the one that gets the order.
    let mut gone = Peer::connect(dir.path()).await;
    gone.say(hello()).await;
    assert!(matches!(next(&mut link).await, Event::Waiting));
    drop(gone);
    let mut peer = Peer::connect(dir.path()).await;
    peer.say(hello()).await;
    assert!(matches!(next(&mut link).await, Event::Waiting));
    assert_eq!(peer.hear().await.message, FromLauncher::Wait);
    link.link.handle.assign(order());
    let FromLauncher::Welcome {
        session,
        order: given,
    } = peer.hear().await.message
    else {
        panic!("no welcome")
    };
    assert_eq!(given, order());
    assert!(matches!(next(&mut link).await, Event::Given));

    let mut another = order();
    another.project_root = "other".into();
    link.link.handle.assign(another);
    let (_late, answer) = Peer::hello(dir.path(), None, version::SOCKET).await;
    assert!(matches!(answer, FromLauncher::Refused { .. }), "{answer:?}");
    let (_same, answer) = Peer::hello(dir.path(), Some(session), version::SOCKET).await;
    assert_eq!(answer, FromLauncher::Resumed);
}

#[tokio::test]
async fn who_speaks_before_the_order_is_no_worker() {
    let dir = tempfile::tempdir().unwrap();
    let mut link = link(dir.path(), Expect::Later);
    let mut peer = Peer::connect(dir.path()).await;
    peer.say(FromWorker::Hello {
        socket_version: version::SOCKET,
        worker_version: "0.1.0".to_owned(),
        session: None,
    })
    .await;
    assert!(matches!(next(&mut link).await, Event::Waiting));
    assert_eq!(peer.hear().await.message, FromLauncher::Wait);
    peer.say(FromWorker::Bell).await;
    assert!(peer.closed().await);
}
