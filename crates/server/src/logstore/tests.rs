//! Bytes in, bytes out: for any cutting, any repetition and any order of small and large pieces.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use gantry_protocol::{Attempt, LauncherId, RunState, RunType};
use proptest::prelude::*;

use super::{Appended, LogError, LogStore};
use crate::blobs::Blobs;
use crate::clock::UnixMillis;
use crate::domain::{Actor, RunEvent, StateVersion};
use crate::store::logs::{self, SectionId};
use crate::store::testing::{World, newcomer};
use crate::store::{launchers, leases, runs};

struct Logs {
    world: World,
    logs: LogStore,
    id: SectionId,
    launcher: LauncherId,
    _dir: tempfile::TempDir,
}

impl Logs {
    /// A leased run whose section 0 is open.
    async fn new() -> Self {
        let world = World::new().await;
        let dir = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::open(dir.path()).unwrap());
        let run = world.run(RunType::Tracked).await.run.id;
        let launcher = newcomer(world.pool);
        let by = Actor::Launcher(launcher.id);
        let mut tx = world.store.begin().await.unwrap();
        let now = UnixMillis::now();
        launchers::insert(&mut tx, &launcher).await.unwrap();
        let leased = runs::apply(&mut tx, run, &RunEvent::Leased, &by, None, now)
            .await
            .unwrap();
        let attempt = leased.record.run.attempt;
        let stage = gantry_protocol::payload::Stage::Start;
        leases::insert(&mut tx, run, attempt, launcher.id, stage, now)
            .await
            .unwrap();
        let id = SectionId {
            run,
            attempt,
            section: 0,
        };
        logs::open(&mut tx, id, RunState::Preparing, leased.record.run.version)
            .await
            .unwrap();
        world.store.commit(tx).await.unwrap();
        let logs = LogStore::start(Arc::clone(&world.store), blobs);
        Self {
            world,
            logs,
            id,
            launcher: launcher.id,
            _dir: dir,
        }
    }

    fn version(&self) -> StateVersion {
        StateVersion(3)
    }

    async fn raw(&self) -> Vec<u8> {
        let (length, stream) = self
            .logs
            .raw(self.id.run, self.version())
            .await
            .unwrap()
            .unwrap();
        let bytes: Vec<Bytes> = stream.try_collect().await.unwrap();
        let bytes = bytes.concat();
        assert_eq!(bytes.len() as u64, length);
        bytes
    }

    /// Reads page after page, as clients do, until a page ends the log or has nothing more.
    async fn text(&self) -> String {
        let (mut text, mut token) = (String::new(), None);
        loop {
            let page = self
                .logs
                .read(self.id.run, self.version(), token.as_deref())
                .await
                .unwrap();
            assert!(page.exists);
            text.extend(page.messages);
            token = page.next_token;
            assert!(token.is_some());
            if !page.has_more {
                return text;
            }
        }
    }
}

fn piece(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

#[tokio::test]
async fn pieces_follow_one_another() {
    let logs = Logs::new().await;
    let append = |from: u64, to: u64, bytes: &'static [u8]| {
        logs.logs.append(logs.id, from..to, piece(bytes))
    };
    assert_eq!(append(0, 4, b"one\n").await.unwrap(), Appended::Stored(4));
    assert_eq!(append(0, 4, b"one\n").await.unwrap(), Appended::Stored(4));
    assert_eq!(append(0, 2, b"on").await.unwrap(), Appended::Stored(4));
    assert_eq!(append(6, 8, b"ee").await.unwrap(), Appended::Gap(4));
    assert_eq!(append(2, 8, b"e\ntwo\n").await.unwrap(), Appended::Gap(4));
    // Masked: fewer bytes stand for more.
    assert_eq!(
        append(4, 100, b"*****\n").await.unwrap(),
        Appended::Stored(100)
    );
    assert_eq!(append(100, 120, b"").await.unwrap(), Appended::Stored(120));
    assert_eq!(
        append(120, 124, b"end\n").await.unwrap(),
        Appended::Stored(124)
    );
    assert_eq!(logs.raw().await, b"one\n*****\nend\n");
    let nobody = SectionId {
        section: 7,
        ..logs.id
    };
    let refused = logs.logs.append(nobody, 0..1, piece(b"x")).await;
    assert!(matches!(refused, Err(LogError::Unknown { .. })));
}

#[tokio::test]
async fn the_same_piece_at_once_is_stored_once() {
    let logs = Logs::new().await;
    for large in [false, true] {
        let start = logs.logs.stored(logs.id).await.unwrap();
        let bytes = Bytes::from(vec![b'x'; if large { 300_000 } else { 10 }]);
        let end = start + bytes.len() as u64;
        let tries = (0..8).map(|_| logs.logs.append(logs.id, start..end, bytes.clone()));
        let answers = futures_util::future::join_all(tries).await;
        assert!(
            answers
                .iter()
                .all(|a| matches!(a, Ok(Appended::Stored(to)) if *to == end))
        );
    }
    assert_eq!(logs.raw().await.len(), 300_010);
}

#[tokio::test]
async fn a_page_says_whether_the_log_is_complete() {
    let logs = Logs::new().await;
    let run = logs.id.run;
    let read = |token: Option<&'static str>| logs.logs.read(run, logs.version(), token);
    let empty = read(None).await.unwrap();
    assert_eq!(
        (empty.exists, empty.finished, empty.has_more),
        (true, false, false)
    );
    assert_eq!(empty.next_token.as_deref(), Some("0"));
    logs.logs
        .append(logs.id, 0..3, piece(b"a\n\xC3"))
        .await
        .unwrap();
    let half = read(Some("0")).await.unwrap();
    assert_eq!(half.messages, ["a\n"]);
    assert_eq!(
        (half.finished, half.has_more, half.next_token.as_deref()),
        (false, false, Some("2"))
    );
    logs.logs
        .append(logs.id, 3..5, piece(b"\xA9\n"))
        .await
        .unwrap();
    assert_eq!(read(Some("2")).await.unwrap().messages, ["é\n"]);

    // The next phase begins, but its log has nothing yet: bytes of this one may still be under way.
    let now = UnixMillis::now();
    let mut tx = logs.world.store.begin().await.unwrap();
    let by = Actor::Launcher(logs.launcher);
    let event = RunEvent::InitStarted(Attempt(1));
    let entered = runs::apply(&mut tx, run, &event, &by, None, now)
        .await
        .unwrap()
        .record
        .run;
    let next = SectionId {
        section: 1,
        ..logs.id
    };
    logs::open(&mut tx, next, entered.state, entered.version)
        .await
        .unwrap();
    logs.world.store.commit(tx).await.unwrap();
    assert!(!read(Some("5")).await.unwrap().finished);
    logs.logs.append(next, 0..1, piece(b"i")).await.unwrap();
    let done = read(Some("5")).await.unwrap();
    assert_eq!(
        (done.finished, done.has_more, done.next_token.as_deref()),
        (true, false, Some("5"))
    );
    let absent = logs.logs.read(run, StateVersion(99), None).await.unwrap();
    assert_eq!((absent.exists, absent.finished), (false, true));
    for bad in ["x", "-1", "1.5"] {
        assert!(
            matches!(read(Some(bad)).await, Err(LogError::Token { .. })),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn small_pieces_become_one_object_and_read_the_same() {
    let logs = Logs::new().await;
    let mut expected = Vec::new();
    for n in 0..50u64 {
        let line = format!("line {n}\n").into_bytes();
        let start = expected.len() as u64;
        expected.extend_from_slice(&line);
        logs.logs
            .append(logs.id, start..expected.len() as u64, line.into())
            .await
            .unwrap();
    }
    assert_eq!(logs.raw().await, expected);
    logs.logs.gather_attempt(logs.id.run, logs.id.attempt).await;
    let mut conn = logs.world.store.read().await.unwrap();
    let chunks = logs::chunks(&mut conn, logs.id, 0, 100).await.unwrap();
    assert_eq!(chunks.len(), 1);
    let section = logs::find(&mut conn, logs.id).await.unwrap().unwrap();
    assert_eq!((section.inline, section.stored), (0, expected.len() as u64));
    drop(conn);
    assert_eq!(logs.raw().await, expected);
    assert_eq!(logs.text().await.into_bytes(), expected);
    let at = expected.len() as u64;
    logs.logs
        .append(logs.id, at..at + 4, piece(b"end\n"))
        .await
        .unwrap();
    assert_eq!(logs.raw().await, [expected.as_slice(), b"end\n"].concat());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_cutting_gives_the_same_bytes(
        bytes in prop::collection::vec(any::<u8>(), 1..5000),
        cuts in prop::collection::vec(1usize..900, 1..30),
        stretch in 1usize..400,
        again: bool,
        gather in 0usize..30,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let logs = Logs::new().await;
            // Every byte stands for `stretch` bytes, so that large pieces occur too.
            let bytes: Vec<u8> = bytes.iter().flat_map(|b| std::iter::repeat_n(*b, stretch)).collect();
            let (mut at, mut cuts, mut turn) = (0, cuts.iter().cycle(), 0);
            while at < bytes.len() {
                let to = (at + cuts.next().unwrap() * stretch).min(bytes.len());
                let part = piece(&bytes[at..to]);
                let range = at as u64..to as u64;
                let stored = logs.logs.append(logs.id, range.clone(), part.clone()).await.unwrap();
                assert_eq!(stored, Appended::Stored(to as u64));
                if again {
                    let stored = logs.logs.append(logs.id, range, part).await.unwrap();
                    assert_eq!(stored, Appended::Stored(to as u64));
                }
                if turn == gather {
                    logs.logs.gather_attempt(logs.id.run, logs.id.attempt).await;
                }
                (at, turn) = (to, turn + 1);
            }
            assert!(logs.raw().await == bytes);
            assert!(logs.text().await == String::from_utf8_lossy(&bytes) || std::str::from_utf8(&bytes).is_err());
        });
    }
}
