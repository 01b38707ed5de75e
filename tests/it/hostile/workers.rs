//! Worker executables that nobody but the server vouches for.

use gantry_protocol::control::manifest::PRODUCT;
use gantry_protocol::control::run::{Gate, Lease};
use gantry_protocol::crypto::EdKey;
use gantry_test_support::hostile::{OfferedWorker, WORKER_VERSION, manifest};

use super::scene::{Attack, Expect, Scene, attack};

/// What a worker of the server's making would do first.
fn rogue(mark: &str) -> Vec<u8> {
    format!("#!/bin/sh\necho ran >> /marks/{mark}.worker\n").into_bytes()
}

const fn refused(words: &'static str) -> Expect {
    Expect::Refused(Gate::Worker, words)
}

const UNSIGNED: Expect = refused("is not signed by a key of GANTRY_WORKER_TRUST_KEYS");

const ATTACKS: &[Attack] = &[
    attack(
        "none: the worker of the release",
        Expect::Executed,
        |s, m| {
            // The others are offered to a launcher that has seen a worker run.
            let lease = s.offer(&s.world.task(m));
            s.server().wait_result(lease);
            lease
        },
    ),
    attack(
        "a worker that the server's own key signed",
        UNSIGNED,
        |s, m| {
            let bytes = rogue(m);
            let manifest = manifest(&bytes, PRODUCT, "9.0.0", &s.server().keys().server);
            s.with_worker(m, OfferedWorker { manifest, bytes })
        },
    ),
    attack("a worker that a stranger signed", UNSIGNED, |s, m| {
        let bytes = rogue(m);
        let manifest = manifest(&bytes, PRODUCT, "9.0.0", &EdKey::generate());
        s.with_worker(m, OfferedWorker { manifest, bytes })
    }),
    attack("a worker without any signature", UNSIGNED, |s, m| {
        let (bytes, manifest) = (rogue(m), "{}".to_owned());
        s.with_worker(m, OfferedWorker { manifest, bytes })
    }),
    attack(
        "another executable than was signed for",
        refused("is not the one that was signed for"),
        |s, m| {
            let bytes = rogue(m);
            let manifest = manifest(
                b"a newer release",
                PRODUCT,
                "1.3.0",
                &s.server().keys().release,
            );
            s.with_worker(m, OfferedWorker { manifest, bytes })
        },
    ),
    attack(
        "an older release",
        refused("older than 1.2.3, which has run here; a downgrade is refused"),
        |s, m| {
            let bytes = rogue(m);
            let manifest = manifest(&bytes, PRODUCT, "1.2.2", &s.server().keys().release);
            s.with_worker(m, OfferedWorker { manifest, bytes })
        },
    ),
    attack(
        "another product of the release key",
        refused("is for gantry-vcs-agent on"),
        |s, m| {
            let bytes = rogue(m);
            let manifest = manifest(
                &bytes,
                "gantry-vcs-agent",
                "9.0.0",
                &s.server().keys().release,
            );
            s.with_worker(m, OfferedWorker { manifest, bytes })
        },
    ),
    attack(
        "none: the worker of the release again",
        Expect::Executed,
        |s, m| {
            let lease = s.offer(&s.world.task(m));
            s.server().wait_result(lease);
            lease
        },
    ),
];

impl Scene {
    /// Offers a task while another worker is on offer, and waits for its end.
    fn with_worker(&self, mark: &str, worker: OfferedWorker) -> Lease {
        let mut honest = None;
        self.server()
            .lie(|lies| honest = Some(std::mem::replace(&mut lies.worker, worker)));
        let lease = self.offer(&self.world.task(mark));
        self.server().wait_result(lease);
        self.server()
            .lie(|lies| lies.worker = honest.take().unwrap());
        lease
    }
}

#[test]
fn no_worker_is_executed_that_the_release_key_did_not_sign_for() {
    assert_eq!(
        WORKER_VERSION, "1.2.3",
        "the table names versions around it"
    );
    Scene::start().play("workers", ATTACKS);
}
