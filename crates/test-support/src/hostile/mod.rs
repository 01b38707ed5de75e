//! A server that can't be trusted: it speaks the real control channel, signs with the key that launchers know, and
//! says what a test has it say.
//!
//! Takes messages and lies, gives what launchers told. It holds what a real server holds: its signing key and the
//! pool's *public* key. Never: the pool's private key used for anything that is sent.

mod book;
mod keys;
mod payloads;
mod signer;
mod wire;
mod world;

pub use book::{Lies, OfferedWorker, Packed, Told};
pub use keys::Keys;
pub use payloads::{apply_of, lease_of, secret};
pub use signer::Signer;
pub use world::HostileWorld;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use gantry_protocol::control::envelope::{self, EnvelopeClaims};
use gantry_protocol::control::inbox::{Content, SealedRun};
use gantry_protocol::control::manifest::{PRODUCT, WorkerManifest};
use gantry_protocol::control::run::{Lease, RunResult};
use gantry_protocol::crypto::{EdKey, Signed, jws, seal};
use gantry_protocol::payload::RunPayload;
use gantry_protocol::{Digest, LauncherId};
use tokio::runtime::Runtime;

use crate::programs::Program;
use crate::wait::{LONG, SHORT, wait_for};
use book::Book;
use wire::Shared;

/// Version of the worker that is on offer from the beginning.
pub const WORKER_VERSION: &str = "1.2.3";

/// A hostile server on loopback.
#[derive(Debug)]
pub struct Hostile {
    keys: Keys,
    url: String,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

impl Hostile {
    /// Makes keys below `dir` and listens. As long as nothing else is wanted it behaves well.
    pub(crate) fn start(dir: &Path) -> Self {
        let keys = Keys::make(dir);
        let bytes = std::fs::read(Program::Worker.path()).expect("read the worker");
        let manifest = manifest(&bytes, PRODUCT, WORKER_VERSION, &keys.release);
        let book = Book::new(OfferedWorker { manifest, bytes });
        let shared = Arc::new(Shared::new(keys.pool_public(), book));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("an own socket");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let router = wire::router(Arc::clone(&shared));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            axum::serve(listener, router).await.expect("serve");
        });
        Self {
            keys,
            url,
            shared,
            _runtime: runtime,
        }
    }

    /// Everybody's keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn token(&self) -> String {
        self.keys.token(&self.url)
    }

    /// The launcher that enrolled last; waits for it.
    pub fn launcher(&self) -> LauncherId {
        wait_for("a launcher to enrol", SHORT, || {
            self.shared
                .book()
                .launcher
                .ok_or_else(|| "nobody".to_owned())
        })
    }

    /// Changes what is answered from here on.
    pub fn lie(&self, change: impl FnOnce(&mut Lies)) {
        change(&mut self.shared.book().lies);
    }

    /// Puts messages into the inbox, in this order, and waits until the launcher acknowledged all of them.
    pub fn send(&self, contents: Vec<Content>) {
        let last = self.shared.book().send(contents);
        self.shared.ring();
        wait_for("the messages to be acknowledged", SHORT, || {
            match self.shared.book().taken(last) {
                true => Ok(()),
                false => Err("they are not".to_owned()),
            }
        });
    }

    /// Sends one run and waits until it is acknowledged.
    pub fn send_run(&self, sealed: SealedRun) {
        self.send(vec![Content::Run(Box::new(sealed))]);
    }

    /// Waits until the launcher says that it has this many free slots: what it had to do is done and put away.
    pub fn wait_free_slots(&self, slots: u32) {
        wait_for(&format!("{slots} free slots"), SHORT, || {
            match self.shared.book().free_slots {
                free if free == slots => Ok(()),
                free => Err(format!("{free}")),
            }
        });
    }

    /// The envelope that an honest server would issue for a payload now.
    pub fn issue(&self, payload: &RunPayload) -> SealedRun {
        let now = wire::unix_now();
        self.issue_at(payload, (now, now + 600))
    }

    /// The same with other times, in Unix seconds.
    pub fn issue_at(&self, payload: &RunPayload, times: (i64, i64)) -> SealedRun {
        let launcher = self.launcher();
        let (pool, key) = (self.keys.pool_public(), &self.keys.server);
        envelope::issue(payload, launcher, times, &pool, key).expect("a payload is sealed")
    }

    /// Claims that fit `sealed`, as an honest server would sign them.
    pub fn claims(&self, payload: &RunPayload, sealed: &[u8]) -> EnvelopeClaims {
        let now = wire::unix_now();
        EnvelopeClaims {
            v: envelope::VERSION,
            run: payload.run,
            attempt: payload.attempt,
            pool: payload.pool,
            launcher: self.launcher(),
            stage: payload.stage,
            iat: now,
            exp: now + 600,
            sealed: Digest::of(sealed),
        }
    }

    /// Any document signed as an envelope by any key, around any bytes.
    pub fn envelope(&self, claims: &impl Signed, sealed: &[u8], key: &EdKey) -> SealedRun {
        use base64::Engine as _;
        SealedRun {
            envelope: jws::sign_ed(claims, key).expect("a document is signed"),
            sealed: base64::engine::general_purpose::STANDARD.encode(sealed),
        }
    }

    /// Seals to the pool's public key, which everybody may have.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        seal::seal(&self.keys.pool_public(), plain).expect("sealing")
    }

    /// All that was told of a lease so far.
    pub fn told(&self, lease: Lease) -> Told {
        self.shared.book().told(lease).cloned().unwrap_or_default()
    }

    /// Waits until the launcher told how a lease ended.
    pub fn wait_result(&self, lease: Lease) -> RunResult {
        let what = format!("the result of run {}, attempt {}", lease.run, lease.attempt);
        wait_for(&what, LONG, || {
            let book = self.shared.book();
            let told = book.told(lease).ok_or("nothing was told")?;
            let result = told.results.first().cloned();
            result.ok_or_else(|| format!("{:?} {:?}\n{}", told.phases, told.grants, told.log()))
        })
    }

    /// Seconds since 1970, on this host.
    pub fn now() -> i64 {
        wire::unix_now()
    }
}

/// A manifest for an executable, signed by any key.
pub fn manifest(bytes: &[u8], product: &str, version: &str, key: &EdKey) -> String {
    let manifest = WorkerManifest {
        product: product.to_owned(),
        version: version.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        sha256: Digest::of(bytes),
        size: bytes.len() as u64,
    };
    jws::sign_ed(&manifest, key).expect("a manifest is signed")
}
