//! Applies of what was never planned, or was planned for another run.

use gantry_protocol::Attempt;
use gantry_protocol::control::run::{Gate, Lease};
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::crypto::jws;
use gantry_protocol::payload::{PackedWorkspace, RunPayload, Stage};
use gantry_test_support::hostile::{Keys, Packed, apply_of, lease_of, secret};

use super::scene::{Attack, Expect, Scene, attack};

/// What only the planned run was given; it stands in its sealed workspace.
const SECRET: &str = "only-the-planned-run-was-given-this";

/// A run that was planned and parked, and what it left with the server.
#[derive(Debug)]
pub(super) struct Planned {
    payload: RunPayload,
    packed: Packed,
}

/// Two of them: the one that is attacked and another one, both real.
#[derive(Debug)]
pub(super) struct Plans {
    first: Planned,
    other: Planned,
}

/// The attempt under which runs were planned.
const ATTEMPT: Attempt = Attempt(5);

fn plans(scene: &Scene) -> &Plans {
    scene.plans.get_or_init(|| {
        let [first, other] = ["planned", "other"].map(|name| {
            let mut payload = RunPayload {
                attempt: ATTEMPT,
                ..scene.world.plan(name)
            };
            payload.environment.push(secret("TF_VAR_greeting", SECRET));
            scene.offer(&payload);
            payload
        });
        let planned = |payload: RunPayload| {
            let lease = lease_of(&payload);
            let result = scene.server().wait_result(lease);
            let packed = scene.server().told(lease).packed;
            let packed = packed.unwrap_or_else(|| panic!("nothing was packed: {result:?}"));
            Planned { payload, packed }
        };
        Plans {
            first: planned(first),
            other: planned(other),
        }
    })
}

const fn refused(words: &'static str) -> Expect {
    Expect::Refused(Gate::Workspace, words)
}

const FORGED: Expect = refused("is not signed by a launcher of this pool");
const SWAPPED: Expect = refused("is not the one that was signed for");
const FOREIGN: Expect = refused("not of this run");

const ATTACKS: &[Attack] = &[
    attack(
        "an apply of what nobody planned",
        refused("names no packed workspace"),
        |s, m| {
            s.offer(&RunPayload {
                stage: Stage::Apply,
                attempt: Attempt(2),
                ..s.world.plan(m)
            })
        },
    ),
    attack(
        "a plan with an attestation that the server's key signed",
        FORGED,
        |s, m| {
            s.forged(m, |s, own| {
                jws::sign_ed(own, &s.server().keys().server).unwrap()
            })
        },
    ),
    attack(
        "a plan with an attestation that a key of the server's making signed",
        FORGED,
        |s, m| s.forged(m, |_, own| jws::sign_pool(own, &Keys::stranger()).unwrap()),
    ),
    attack("a plan without an attestation", FORGED, |s, m| {
        s.forged(m, |_, _| String::new())
    }),
    attack(
        "an envelope of the server's in place of the attestation",
        FORGED,
        |s, m| s.forged(m, |s, _| s.server().issue(&plans(s).first.payload).envelope),
    ),
    attack(
        "a forged workspace under the true attestation",
        SWAPPED,
        |s, m| {
            let run = s.confirmed(m);
            let forged = s.server().seal(b"a workspace of the server's making");
            s.serving(&run, forged)
        },
    ),
    attack("a workspace that is cut short", SWAPPED, |s, m| {
        let run = s.confirmed(m);
        let sealed = &plans(s).first.packed.sealed;
        s.serving(&run, sealed[..sealed.len() / 2].to_vec())
    }),
    attack(
        "the workspace of another run under the true attestation",
        SWAPPED,
        |s, m| {
            let run = s.confirmed(m);
            s.serving(&run, plans(s).other.packed.sealed.clone())
        },
    ),
    attack(
        "workspace and attestation of another run",
        FOREIGN,
        |s, m| {
            let run = RunPayload {
                workspace: apply_of(&s.world.plan(m), &plans(s).other.packed).workspace,
                ..s.confirmed(m)
            };
            s.serving(&run, plans(s).other.packed.sealed.clone())
        },
    ),
    attack(
        "a new run with the workspace of the planned one",
        FOREIGN,
        |s, m| {
            let run = RunPayload {
                attempt: Attempt(2),
                ..apply_of(&s.world.plan(m), &plans(s).first.packed)
            };
            s.serving(&run, plans(s).first.packed.sealed.clone())
        },
    ),
    attack(
        "the planned run under the name of another stack",
        FOREIGN,
        |s, m| {
            s.offer(&RunPayload {
                stack: "another".parse().unwrap(),
                ..s.confirmed(m)
            })
        },
    ),
    attack(
        "an apply under an attempt before the one that planned",
        FOREIGN,
        |s, m| {
            s.offer(&RunPayload {
                attempt: Attempt(3),
                ..s.confirmed(m)
            })
        },
    ),
    attack(
        "the plan of an attempt that never packed",
        FOREIGN,
        |s, m| {
            let mut run = s.confirmed(m);
            let workspace = run.workspace.take().unwrap();
            run.workspace = Some(PackedWorkspace {
                attempt: Attempt(7),
                ..workspace
            });
            s.offer(&run)
        },
    ),
    attack(
        "none: an honest apply; another image than the plan's is not used",
        Expect::Executed,
        |s, m| {
            let image = Some(s.world.images().scratch.tag.clone());
            let lease = s.offer(&RunPayload {
                image,
                ..s.confirmed(m)
            });
            let result = s.server().wait_result(lease);
            assert_eq!(
                result.image.as_ref(),
                Some(&s.world.images().busybox.digest)
            );
            lease
        },
    ),
];

impl Scene {
    /// The planned run, handed out for its apply under an attempt of its own; its hooks leave marks of this name.
    fn confirmed(&self, mark: &str) -> RunPayload {
        let planned = &plans(self).first;
        let number = mark.trim_start_matches('m').parse::<u32>().unwrap();
        RunPayload {
            attempt: Attempt(100 + number),
            hooks: self.world.plan(mark).hooks,
            ..apply_of(&planned.payload, &planned.packed)
        }
    }

    /// The planned run with an attestation of the server's making, for the very workspace that was packed.
    fn forged(&self, mark: &str, sign: fn(&Scene, &WorkspaceAttestation) -> String) -> Lease {
        let mut run = self.confirmed(mark);
        let workspace = run.workspace.take().unwrap();
        let known = &self.server().keys().pool_public();
        let true_one = jws::verify_pool(&plans(self).first.packed.attestation, known).unwrap();
        let attestation = sign(self, &true_one);
        run.workspace = Some(PackedWorkspace {
            attestation,
            ..workspace
        });
        self.offer(&run)
    }

    fn serving(&self, run: &RunPayload, sealed: Vec<u8>) -> Lease {
        self.server().lie(|lies| {
            lies.workspaces.insert(run.run, sealed);
        });
        let lease = self.offer(run);
        self.server().wait_result(lease);
        self.server().lie(|lies| lies.workspaces.clear());
        lease
    }
}

#[test]
fn only_what_a_launcher_of_the_pool_packed_for_this_run_is_applied() {
    let scene = Scene::start();
    scene.play("workspaces", ATTACKS);
    // Sealed to the pool: what the server was given to keep tells it nothing.
    let Plans { first, other } = plans(&scene);
    for planned in [first, other] {
        let told = scene.server().told(lease_of(&planned.payload));
        assert!(told.log().contains("terraform_data"), "the plan is shown");
        assert!(!told.has(SECRET), "{}", told.log());
        let code = b"terraform_data";
        let mut parts = planned.packed.sealed.windows(code.len());
        assert!(parts.all(|part| part != code), "the workspace is sealed");
    }
}
