//! One run from its trigger to its end, and what may go wrong on the way.

use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::run::{FailReason, Gate, GrantAnswer, Lease, Outcome, RunResult};
use gantry_protocol::control::workspace::{HEADER, WorkspaceAttestation};
use gantry_protocol::crypto::jws;
use gantry_protocol::payload::Stage;
use gantry_protocol::{Attempt, Digest, RunState, RunType};
use gantry_server::domain::RunEvent;
use gantry_server::store::stack_config::{StoredValue, sealing_purpose};
use reqwest::Method;

use crate::client::{Client, attempt, bytes, changes, code, ended, path};
use crate::world::{World, pool_keys};

#[tokio::test(flavor = "multi_thread")]
async fn the_payload_holds_everything_resolved() {
    let world = World::new().await;
    let client = world.launcher().await;
    let purpose = sealing_purpose(&world.stack, "TOKEN");
    let sealed = world.vault.seal(&purpose, b"hunter2").unwrap();
    world
        .set_variable("TOKEN", StoredValue::Sealed(sealed))
        .await;
    let own = StoredValue::Plain("mine".into());
    world.set_variable("TF_VAR_spacelift_space_id", own).await;
    let run = world.trigger(RunType::Tracked).await;

    let envelope = client.next_run().await;
    let payload = world.open(&client, &envelope).await;
    assert_eq!(
        (payload.run, payload.attempt, payload.stage),
        (run, Attempt(1), Stage::Start)
    );
    assert_eq!(payload.source.commit, "a".repeat(40));
    assert_eq!(payload.hooks.before_plan, ["echo plan"]);
    assert_eq!(payload.metadata, ["ticket 7"]);
    assert_eq!(payload.account_name, "gantry");
    assert_eq!(payload.stack_facts.name, "net");
    assert_eq!(payload.stack_facts.branch, "main");
    let record = world.run(run).await;
    assert_eq!(payload.created_at, record.created_at.0);
    assert!(payload.updated_at >= payload.created_at);
    assert_eq!(payload.commit.author, "Ada");
    assert_eq!(payload.commit.message, "one\n\nand why");
    assert_eq!(payload.commit.created_at, Some(1_760_000_000_000));
    assert!(payload.managed_state && !payload.autodeploy && payload.workspace.is_none());
    let value = |name: &str| {
        let found = payload
            .environment
            .iter()
            .rev()
            .find(|v| v.name == name)
            .unwrap();
        (found.value.expose(), found.secret)
    };
    assert_eq!(value("TOKEN"), ("hunter2", true));
    let labels = r#"["team:net","eu"]"#;
    for (name, expected) in [
        ("run_id", run.to_string().as_str()),
        ("run_type", "TRACKED"),
        ("commit_branch", "main"),
        ("project_root", "prod"),
        ("repository", "acme/net"),
        ("stack_labels", "team:net,eu"),
        ("stack_labels_list", labels),
        ("workspace_root", "/mnt/workspace"),
        ("space_id", "mine"),
    ] {
        assert_eq!(
            value(&format!("TF_VAR_spacelift_{name}")),
            (expected, false),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_trigger_to_finished_on_two_launchers() {
    let world = World::new().await;
    let planner = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    let lease = planner.lease(&world).await;
    planner.log(lease, 0, (0, 8), b"pulled.\n").await.unwrap();
    planner.plan(lease).await;
    planner.log(lease, 2, (0, 5), b"plan\n").await.unwrap();
    let parked = planner.park(&world, lease).await;
    assert_eq!(
        (parked.state, parked.counted),
        (RunState::Unconfirmed, true)
    );

    world.decide(run, RunEvent::Confirm, None).await;
    let applier = world.launcher().await;
    let lease = restored(&world, &applier).await;
    assert_eq!(
        lease,
        Lease {
            run,
            attempt: Attempt(2)
        }
    );
    let granted = applier.grant(lease, 1, RunState::Applying).await.unwrap();
    assert!(matches!(granted, GrantAnswer::Granted { .. }));
    let state = r#"{"version":4,"serial":1,"lineage":"l","outputs":{}}"#;
    assert_eq!(applier.state(lease, "write", state).await.0, 200);
    let result = ended(Outcome::Succeeded);
    let taken = applier.result(lease, &result).await.unwrap();
    assert_eq!((taken.state, taken.counted), (RunState::Finished, true));
    // The answer got lost.
    assert_eq!(applier.result(lease, &result).await.unwrap(), taken);

    let record = world.run(run).await;
    assert_eq!(record.plan, Some(changes()));
    assert_eq!(record.image, result.image);
    use RunState::*;
    #[rustfmt::skip]
    let states = [
        Queued, Ready, Preparing, Initializing, Planning, Unconfirmed, Confirmed, PreparingApply,
        Applying, Finished,
    ];
    assert_eq!(world.history(run).await, states);
}

/// Takes the apply and fetches what the planner packed.
async fn restored(world: &World, applier: &Client) -> Lease {
    let envelope = applier.next_run().await;
    let payload = world.open(applier, &envelope).await;
    assert_eq!(payload.stage, Stage::Apply);
    let packed = payload.workspace.unwrap();
    assert_eq!(
        (packed.attempt, packed.sealed),
        (Attempt(1), Digest::of(b"sealed workspace"))
    );
    let attested: WorkspaceAttestation =
        jws::verify_pool(&packed.attestation, &world.key.public()).unwrap();
    assert_eq!(attested.run, payload.run);
    let lease = Lease {
        run: payload.run,
        attempt: payload.attempt,
    };
    let response = applier
        .request(Method::GET, &path(lease, "workspace"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()[HEADER], packed.attestation);
    assert_eq!(response.bytes().await.unwrap(), "sealed workspace");
    lease
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_attempt_and_a_strangers_run_are_told_apart() {
    let world = World::new().await;
    let client = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    let lease = client.lease(&world).await;
    assert_eq!(
        lease,
        Lease {
            run,
            attempt: Attempt(1)
        }
    );
    client.plan(lease).await;
    client.park(&world, lease).await;
    world.decide(run, RunEvent::Confirm, None).await;
    let second = client.lease(&world).await;
    assert_eq!(second.attempt, Attempt(2));
    let stale = ProblemCode::StaleAttempt;
    assert_eq!(
        code(client.enter(lease, 3, RunState::Planning).await),
        stale
    );
    assert_eq!(
        code(client.grant(lease, 3, RunState::Applying).await),
        stale
    );
    assert_eq!(code(client.log(lease, 2, (0, 1), b"x").await), stale);
    assert_eq!(
        code(client.result(lease, &ended(Outcome::Succeeded)).await),
        stale
    );
    assert_eq!(client.renew(&[lease, second]).await.unwrap().lost, [lease]);

    let stranger = world.launcher().await;
    for lease in [second, attempt(second, 3)] {
        let missing = ProblemCode::NotFound;
        assert_eq!(
            code(stranger.enter(lease, 1, RunState::Initializing).await),
            missing
        );
        assert_eq!(
            code(stranger.grant(lease, 1, RunState::Applying).await),
            missing
        );
        assert_eq!(code(stranger.log(lease, 0, (0, 1), b"x").await), missing);
        assert_eq!(code(stranger.stored(lease, 0).await), missing);
        assert_eq!(
            code(stranger.result(lease, &ended(Outcome::Succeeded)).await),
            missing
        );
        assert_eq!(stranger.state(lease, "read", "").await.0, 404);
        assert_eq!(stranger.renew(&[lease]).await.unwrap().lost, [lease]);
        let workspace = stranger.request(Method::GET, &path(lease, "workspace"));
        assert_eq!(bytes(workspace).await.0, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_kept_only_with_the_pools_word_for_it() {
    let world = World::new().await;
    let client = world.launcher().await;
    world.trigger(RunType::Tracked).await;
    let lease = client.lease(&world).await;
    client.plan(lease).await;
    let sealed = b"sealed";
    let good = client.attestation(&world, lease, sealed);
    let sign = |attestation: &WorkspaceAttestation, key: usize| {
        jws::sign_pool(attestation, &pool_keys()[key]).unwrap()
    };
    let other_run = WorkspaceAttestation {
        attempt: Attempt(9),
        ..good.clone()
    };
    let other_stack = WorkspaceAttestation {
        stack: "other".parse().unwrap(),
        ..good.clone()
    };
    for (name, attestation, body, expected) in [
        (
            "another key",
            sign(&good, 1),
            &sealed[..],
            ProblemCode::Malformed,
        ),
        (
            "another attempt",
            sign(&other_run, 0),
            sealed,
            ProblemCode::Malformed,
        ),
        (
            "another stack",
            sign(&other_stack, 0),
            sealed,
            ProblemCode::Malformed,
        ),
        (
            "no signature",
            "x".to_owned(),
            sealed,
            ProblemCode::Malformed,
        ),
        (
            "other bytes",
            sign(&good, 0),
            b"Sealed",
            ProblemCode::Conflict,
        ),
    ] {
        let refused = client.put_workspace(lease, &attestation, body).await;
        assert_eq!(code(refused), expected, "{name}");
    }
    // Nothing was kept, so nothing can be parked.
    let attestation = sign(&good, 0);
    let parked = RunResult {
        plan: Some(changes()),
        ..ended(Outcome::Parked {
            attestation: attestation.clone(),
        })
    };
    assert_eq!(
        code(client.result(lease, &parked).await),
        ProblemCode::Conflict
    );
    for _ in 0..2 {
        client
            .put_workspace(lease, &attestation, sealed)
            .await
            .unwrap();
    }
    assert_eq!(
        client.result(lease, &parked).await.unwrap().state,
        RunState::Unconfirmed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_end_says_why() {
    let world = World::new().await;
    let client = world.launcher().await;
    let refused = Outcome::Refused {
        gate: Gate::Image,
        message: "`evil/x` is not allowed".into(),
    };
    let failed = Outcome::Failed {
        reason: FailReason::Tool,
        message: "exit code 1".into(),
    };
    let stopped = Outcome::Stopped {
        message: "the plan was cut".into(),
    };
    for (outcome, state, words) in [
        (
            refused,
            RunState::Failed,
            "refused at the image gate: `evil/x` is not allowed",
        ),
        (failed, RunState::Failed, "the tool failed: exit code 1"),
        (stopped, RunState::Stopped, "the plan was cut"),
        (Outcome::Succeeded, RunState::Failed, "can't end well"),
    ] {
        let run = world.trigger(RunType::Tracked).await;
        let lease = client.lease(&world).await;
        assert_eq!(
            client.result(lease, &ended(outcome)).await.unwrap().state,
            state
        );
        let note = world.run(run).await.note.unwrap();
        assert!(note.contains(words), "{note}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_secret_does_not_open_fails_with_its_name() {
    let world = World::new().await;
    let client = world.launcher().await;
    client.poll(&[], 1, 0).await.unwrap();
    let moved = world.vault.seal("value of something else", b"x").unwrap();
    world
        .set_variable("TOKEN", StoredValue::Sealed(moved))
        .await;
    let run = world.trigger(RunType::Tracked).await;
    let mut changes = world.control.store.changes();
    while !world.state(run).await.is_terminal() {
        changes.changed().await.unwrap();
    }
    assert_eq!(world.state(run).await, RunState::Failed);
    let note = world.run(run).await.note.unwrap();
    assert!(
        note.contains("`TOKEN` of stack `net` can't be opened"),
        "{note}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn phases_are_entered_once_and_in_order() {
    let world = World::new().await;
    let client = world.launcher().await;
    world.trigger(RunType::Tracked).await;
    let lease = client.lease(&world).await;
    assert_eq!(
        code(client.enter(lease, 1, RunState::Planning).await),
        ProblemCode::Conflict
    );
    assert_eq!(
        code(client.enter(lease, 0, RunState::Initializing).await),
        ProblemCode::Malformed
    );
    assert_eq!(
        code(client.enter(lease, 1, RunState::Applying).await),
        ProblemCode::Malformed
    );
    let first = client
        .enter(lease, 1, RunState::Initializing)
        .await
        .unwrap();
    assert_eq!(
        client
            .enter(lease, 1, RunState::Initializing)
            .await
            .unwrap(),
        first
    );
    assert_eq!(
        code(client.enter(lease, 1, RunState::Planning).await),
        ProblemCode::Conflict
    );
    assert_eq!(
        code(client.enter(lease, 2, RunState::Initializing).await),
        ProblemCode::Conflict
    );
    let second = client.enter(lease, 2, RunState::Planning).await.unwrap();
    assert!(second.state_version > first.state_version);
}
