//! Envelopes that are forged, swapped, replayed, dated wrongly; payloads that ask for what the host does not give.

use gantry_protocol::Attempt;
use gantry_protocol::control::envelope::EnvelopeClaims;
use gantry_protocol::control::inbox::{Content, SealedRun};
use gantry_protocol::control::run::{Gate, Lease};
use gantry_protocol::crypto::{EdKey, Signed, seal};
use gantry_protocol::payload::{RunPayload, Stage};
use gantry_test_support::hostile::{Hostile, Keys, lease_of, secret};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::scene::{Attack, Expect, Scene, attack};

const HOUR: i64 = 3600;

/// A value that only run A was given.
const SECRET: &str = "only-run-a-was-given-this";

#[derive(Serialize, Deserialize)]
struct Longer {
    #[serde(flatten)]
    claims: EnvelopeClaims,
    surprise: bool,
}

impl Signed for Longer {
    const TYP: &'static str = "gantry-run+jws";
}

const fn refused(words: &'static str) -> Expect {
    Expect::Refused(Gate::Envelope, words)
}

const fn dropped(words: &'static str) -> Expect {
    Expect::Dropped(words)
}

const ATTACKS: &[Attack] = &[
    attack("none: an honest task", Expect::Executed, |s, m| {
        s.offer(&s.world.task(m))
    }),
    attack(
        "signed by a key that the token does not name",
        dropped("which is not trusted here"),
        |s, m| s.forge(m, |_| {}, &EdKey::generate()),
    ),
    attack(
        "signed with `alg: none`",
        dropped("not a signed document"),
        |s, m| s.unsigned(m),
    ),
    attack(
        "an unknown signed field",
        dropped("signature or content"),
        |s, m| {
            let (payload, sealed) = s.sealed_task(m);
            let claims = s.server().claims(&payload, &sealed);
            let longer = Longer {
                claims,
                surprise: true,
            };
            s.deliver(
                &payload,
                s.server()
                    .envelope(&longer, &sealed, &s.server().keys().server),
            )
        },
    ),
    attack("another version", refused("has version 2"), |s, m| {
        s.resign(m, |claims| claims.v = 2)
    }),
    attack("for another pool", refused("is for pool"), |s, m| {
        s.resign(m, |claims| {
            claims.pool = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap()
        })
    }),
    attack(
        "for another launcher",
        refused("is for launcher"),
        |s, m| {
            s.resign(m, |claims| {
                claims.launcher = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap()
            })
        },
    ),
    attack(
        "expired: the clock is an hour behind",
        refused("check the clocks of server and host"),
        |s, m| {
            s.resign(m, |claims| {
                (claims.iat, claims.exp) = (claims.iat - HOUR, claims.exp - HOUR)
            })
        },
    ),
    attack(
        "from the future: the clock is an hour ahead",
        refused("s in the future; check the clocks"),
        |s, m| {
            s.resign(m, |claims| {
                (claims.iat, claims.exp) = (claims.iat + HOUR, claims.exp + HOUR)
            })
        },
    ),
    attack(
        "another sealed payload than was signed for",
        refused("is not the one that the envelope was signed for"),
        |s, m| {
            let (payload, sealed) = s.sealed_task(m);
            let (_, other) = s.sealed_task(m);
            let signed = s.server().envelope(
                &s.server().claims(&payload, &sealed),
                &sealed,
                &s.server().keys().server,
            );
            let swapped = s.server().envelope(
                &s.server().claims(&payload, &sealed),
                &other,
                &s.server().keys().server,
            );
            s.deliver(
                &payload,
                SealedRun {
                    sealed: swapped.sealed,
                    ..signed
                },
            )
        },
    ),
    attack(
        "a payload that is sealed to another key",
        refused("can't be opened with this pool's private key"),
        |s, m| {
            let payload = s.world.task(m);
            let plain = serde_json::to_vec(&payload).unwrap();
            s.sign(
                &payload,
                &seal::seal(&Keys::stranger().public(), &plain).unwrap(),
            )
        },
    ),
    attack(
        "a payload with an unknown field",
        refused("fields that this launcher does not understand"),
        |s, m| {
            let payload = s.world.task(m);
            let mut document = serde_json::to_value(&payload).unwrap();
            document["privileged"] = json!(true);
            s.sign(&payload, &s.server().seal(document.to_string().as_bytes()))
        },
    ),
    attack(
        "the payload of one run under the name of another",
        refused("disagree about the run"),
        |s, m| {
            s.resign(m, |claims| {
                claims.run = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap()
            })
        },
    ),
    attack(
        "an old payload under a new attempt",
        refused("disagree about the attempt"),
        |s, m| s.resign(m, |claims| claims.attempt = Attempt(2)),
    ),
    attack(
        "a plan's payload as an apply",
        refused("disagree about the stage"),
        |s, m| s.resign(m, |claims| claims.stage = Stage::Apply),
    ),
    attack(
        "an image that the host does not admit",
        Expect::Refused(Gate::Image, "docker.io"),
        |s, m| {
            s.offer(&RunPayload {
                image: Some("docker.io/library/busybox".into()),
                ..s.world.task(m)
            })
        },
    ),
];

impl Scene {
    fn sealed_task(&self, mark: &str) -> (RunPayload, Vec<u8>) {
        let payload = self.world.task(mark);
        let sealed = self.server().seal(&serde_json::to_vec(&payload).unwrap());
        (payload, sealed)
    }

    /// Sends an envelope; gives the lease of what its claims say, or of the payload where nobody can be told.
    fn deliver(&self, payload: &RunPayload, sealed: SealedRun) -> Lease {
        self.server().send_run(sealed);
        lease_of(payload)
    }

    fn sign(&self, payload: &RunPayload, sealed: &[u8]) -> Lease {
        let claims = self.server().claims(payload, sealed);
        let key = &self.server().keys().server;
        self.deliver(payload, self.server().envelope(&claims, sealed, key))
    }

    /// A task under other claims, validly signed.
    fn resign(&self, mark: &str, change: fn(&mut EnvelopeClaims)) -> Lease {
        self.forge(mark, change, &self.server().keys().server)
    }

    fn forge(&self, mark: &str, change: fn(&mut EnvelopeClaims), key: &EdKey) -> Lease {
        let (payload, sealed) = self.sealed_task(mark);
        let mut claims = self.server().claims(&payload, &sealed);
        change(&mut claims);
        self.deliver(&payload, self.server().envelope(&claims, &sealed, key));
        Lease {
            run: claims.run,
            attempt: claims.attempt,
        }
    }

    fn unsigned(&self, mark: &str) -> Lease {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
        let (payload, sealed) = self.sealed_task(mark);
        let server = self.server();
        let signed = server.envelope(
            &server.claims(&payload, &sealed),
            &sealed,
            &server.keys().server,
        );
        let claims = signed.envelope.split('.').nth(1).unwrap();
        let kid = server.keys().server.public().key_id();
        let header = json!({ "alg": "none", "typ": "gantry-run+jws", "kid": kid });
        let envelope = format!("{}.{claims}.", BASE64.encode(header.to_string()));
        self.deliver(&payload, SealedRun { envelope, ..signed })
    }
}

#[test]
fn an_envelope_that_is_not_meant_for_this_launcher_is_not_executed() {
    Scene::start().play("envelopes", ATTACKS);
}

#[test]
fn a_replayed_envelope_is_executed_once_also_after_a_restart() {
    let mut scene = Scene::start();
    let twice = scene.world.task("twice");
    let forever = scene.world.task("forever");
    let envelopes = [
        scene.server().issue(&twice),
        scene
            .server()
            .issue_at(&forever, (Hostile::now(), i64::MAX)),
    ];
    let all = |scene: &Scene| {
        let again = || {
            envelopes
                .iter()
                .cloned()
                .map(|sealed| Content::Run(Box::new(sealed)))
        };
        scene.send(again().chain(again().rev()).collect());
    };
    all(&scene);
    for payload in [&twice, &forever] {
        scene.server().wait_result(lease_of(payload));
    }
    all(&scene);
    scene.server().wait_free_slots(3);
    scene.launcher.kill();
    scene.launcher.start_again();
    all(&scene);
    scene.launcher.drain();
    for (payload, mark) in [(&twice, "twice.task"), (&forever, "forever.task")] {
        let told = scene.server().told(lease_of(payload));
        assert_eq!(
            (scene.world.marked(mark), told.results.len()),
            (1, 1),
            "{mark}"
        );
    }
}

#[test]
fn what_one_run_was_given_does_not_come_out_of_another() {
    let scene = Scene::start();
    let mut first = scene.world.task("a");
    first.environment.push(secret("PASSWORD", SECRET));
    let command = first.command.take().unwrap();
    first.command = Some(format!("{command}; echo \"a has $PASSWORD\""));
    let sealed = scene.server().seal(&serde_json::to_vec(&first).unwrap());
    let a = scene.sign(&first, &sealed);
    scene.server().wait_result(a);

    // The server has the sealed bytes; sealed to the pool, they are nothing that it could read.
    let snoop = scene.world.task("b");
    let mut claims = scene.server().claims(&snoop, &sealed);
    claims.attempt = Attempt(1);
    let key = &scene.server().keys().server;
    scene
        .server()
        .send_run(scene.server().envelope(&claims, &sealed, key));
    let refused = scene.server().wait_result(lease_of(&snoop));
    let look = "env; cat /proc/*/environ; find / -xdev -type f -size -64k -exec cat {} + 2>/dev/null; true";
    let look = RunPayload {
        command: Some(look.to_owned()),
        ..scene.world.task("c")
    };
    scene.offer(&look);
    scene.server().wait_result(lease_of(&look));

    assert_eq!(
        scene.world.marked("a.task"),
        1,
        "run A was executed once: {refused:?}"
    );
    let leases = [a, lease_of(&snoop), lease_of(&look)];
    for lease in leases {
        let told = scene.server().told(lease);
        assert!(!told.has(SECRET), "{lease:?}");
    }
    assert!(
        scene.server().told(a).log().contains("a has"),
        "it was printed, and masked"
    );
}
