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
use gantry_test_support::{LONG, SHORT, wait_for};

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

/// A state with one resource of this provider.
fn state_of(provider: &str) -> String {
    serde_json::json!({
        "version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "hostile", "outputs": {},
        "resources": [{
            "mode": "managed", "type": "evil_thing", "name": "it",
            "provider": format!("provider[\"{provider}\"]"),
            "instances": [{ "schema_version": 0, "attributes": {} }],
        }],
    })
    .to_string()
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

    /// The same in an envelope of other times, in Unix seconds.
    pub(super) fn offer_at(
        &mut self,
        name: &'static str,
        expect: Expect,
        (mark, times): (&str, (i64, i64)),
        run: &RunPayload,
    ) {
        let server = self.scene.server();
        let send = || {
            server.send_run(server.issue_at(run, times));
            lease_of(run)
        };
        let sent = self.scene.sending(name, expect, mark, send);
        self.sent.push(sent);
    }

    /// Offers a lease that has ended once more, in an envelope of its own, once the journal has forgotten the first one.
    /// Gives what is told this time.
    pub(super) fn again(&self, run: &RunPayload) -> String {
        let lease = lease_of(run);
        let journal = self.scene.launcher.data_dir().join("journal");
        let ended = journal.join(format!("{}-{}.ended", lease.run, lease.attempt));
        wait_for("the journal to forget a lease", SHORT, || {
            match ended.exists() {
                true => Err("it has not".to_owned()),
                false => Ok(()),
            }
        });
        let before = self.scene.server().told(lease).results.len();
        self.scene.offer(run);
        wait_for("a second end of a lease", LONG, || {
            let told = self.scene.server().told(lease);
            let second = told.results.get(before).cloned();
            second
                .map(|result| format!("{:?}", result.outcome))
                .ok_or_else(|| told.log())
        })
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

    /// The tool downloads and starts what a state names: a server that keeps the state must not choose programs so.
    pub(super) fn states(&mut self) {
        const EVIL: &str = "evil.example/x/evil";
        self.scene
            .server()
            .lie(|lies| lies.state = Some(state_of(EVIL)));
        let managed = RunPayload {
            managed_state: true,
            ..self.scene.world.plan("stated")
        };
        let run = self.signed(managed);
        let lease = self.scene.offer(&run);
        let result = self.scene.server().wait_result(lease);
        self.scene.server().lie(|lies| lies.state = None);
        let log = self.scene.server().told(lease).log();
        assert!(
            matches!(result.outcome, Outcome::Failed { .. }),
            "{result:?}"
        );
        let why = format!("names the provider `{EVIL}`, which the code's .terraform.lock.hcl");
        assert!(log.contains(&why), "{log}");
        assert!(!log.contains("Finding latest version"), "{log}");
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
