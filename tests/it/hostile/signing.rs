//! A launcher that asks for signatures, and the person who gives them.
//!
//! Takes payloads as somebody wanted them, and what a server makes of them. Gives rows for the table.

use std::fs;

use gantry_protocol::Attempt;
use gantry_protocol::control::run::{Gate, Lease, Outcome};
use gantry_protocol::crypto::jws;
use gantry_protocol::payload::RunPayload;
use gantry_protocol::signature::Claims;
use gantry_test_support::hostile::{HostileWorld, Packed, Signer, lease_of};

use super::scene::{Expect, Scene, Sent};
use super::unsigned::{WANTED, wanted};

/// Refused for its signature, in these words.
pub(super) const fn refused(words: &'static str) -> Expect {
    Expect::Refused(Gate::Signature, words)
}

/// A launcher that asks for signatures of one person.
pub(super) struct Signing {
    pub(super) scene: Scene,
    pub(super) signer: Signer,
    sent: Vec<Sent>,
}

impl Signing {
    pub(super) fn start(requirement: &str) -> Self {
        let (world, signer) = (HostileWorld::start(), Signer::new());
        let jwks = world.dir().join("trusted.json");
        fs::write(&jwks, signer.jwks()).unwrap();
        let launcher = world
            .launcher("a")
            .env("GANTRY_RUN_TRUST_JWKS", jwks.to_str().unwrap())
            .env("GANTRY_REQUIRE_SIGNATURE", requirement)
            .start();
        let scene = Scene::of(world, launcher);
        Self {
            scene,
            signer,
            sent: Vec::new(),
        }
    }

    /// A payload as it was wanted, and signed for so.
    pub(super) fn signed(&self, payload: RunPayload) -> RunPayload {
        let payload = wanted(payload);
        let entry = self.signer.sign(&self.signer.run(&payload));
        RunPayload {
            metadata: vec![entry],
            ..payload
        }
    }

    pub(super) fn offer(
        &mut self,
        name: &'static str,
        expect: Expect,
        mark: &str,
        run: &RunPayload,
    ) -> Lease {
        let scene = &self.scene;
        let sent = scene.sending(name, expect, mark, || scene.offer(run));
        self.sent.push(sent);
        lease_of(run)
    }

    /// A task whose signature says what `change` makes of it.
    pub(super) fn claimed(
        &mut self,
        name: &'static str,
        words: &'static str,
        change: fn(&mut Claims),
    ) {
        let mark = self.mark();
        let mut run = wanted(self.scene.world.task(&mark));
        let mut claims = self.signer.run(&run);
        change(&mut claims);
        run.metadata = vec![self.signer.sign(&claims)];
        self.offer(name, refused(words), &mark, &run);
    }

    /// A name that no row has had.
    pub(super) fn mark(&self) -> String {
        format!("s{}", self.sent.len())
    }

    /// Plans a signed run and waits until it is parked.
    pub(super) fn planned(&mut self, name: &'static str, attempt: u32) -> (RunPayload, Packed) {
        let run = self.signed(self.scene.world.plan(name));
        let run = RunPayload {
            attempt: Attempt(attempt),
            ..run
        };
        let packed = self.plan(&run);
        (run, packed)
    }

    pub(super) fn plan(&self, run: &RunPayload) -> Packed {
        let lease = self.scene.offer(run);
        let result = self.scene.server().wait_result(lease);
        let parked = matches!(result.outcome, Outcome::Parked { .. });
        assert!(parked, "{result:?}");
        self.scene.server().told(lease).packed.unwrap()
    }

    /// The signature of a confirm: for the apply of what was planned, and nothing else.
    pub(super) fn confirm(&self, run: &RunPayload, packed: &Packed) -> String {
        let known = &self.scene.server().keys().pool_public();
        let plan = jws::verify_pool(&packed.attestation, known).unwrap();
        self.signer.sign(&self.signer.apply(run, &plan))
    }

    /// Waits for what was sent since the last time, prints the table, and looks whether anything came out of it.
    pub(super) fn judge(&mut self, title: &str) {
        let sent = std::mem::take(&mut self.sent);
        self.scene.judge_all(title, &sent);
        for sent in sent {
            let told = self.scene.server().told(sent.lease);
            assert!(!told.has(WANTED), "{}: {}", sent.name, told.log());
        }
    }
}
