//! A pool that gets another key while its launchers work, and pools that choose who joins them.

use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::session::{Claim, Enrolled, Takeover};
use gantry_protocol::crypto::{EdKey, PoolKey};
use gantry_protocol::{RunState, RunType};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::{Admission, EnrolmentRules, RunEvent};
use gantry_server::store::launchers::{self, Standing};
use gantry_server::store::pool_keys as stored_keys;

use crate::client::{Answer, Client, enrol, http, nonce, proof};
use crate::world::{World, pool_keys};

const HOUR: i64 = 3_600_000;

async fn joins(world: &World, launcher: &EdKey, pool: &PoolKey) -> Answer<Enrolled> {
    let http = http(&world.base);
    let nonce = nonce(&http, &world.base).await;
    enrol(world, &http, &proof(world, nonce, launcher), pool).await
}

/// A launcher that enrolled with this key of the pool.
async fn with_key(world: &World, pool: &PoolKey) -> Client {
    let key = EdKey::generate();
    let id = joins(world, &key, pool).await.unwrap().launcher;
    let mut client = Client {
        id,
        key,
        ..Client::enrolled(world).await
    };
    client.take_over("first").await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_the_former_key_goes_to_who_can_open_it() {
    let world = World::new().await;
    let planner = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    let lease = planner.lease(&world).await;
    planner.plan(lease).await;
    planner.park(&world, lease).await;
    world.reset(UnixMillis::now().plus(HOUR)).await;

    // The new one is idle and asks first; the plan is not for it.
    let newcomer = with_key(&world, &pool_keys()[1]).await;
    assert_eq!(newcomer.poll(&[], 1, 0).await.unwrap().messages, []);
    world.decide(run, RunEvent::Confirm, None).await;
    let sealed = planner.next_run().await;
    let payload = world.open(&planner, &sealed).await;
    assert_eq!(payload.run, run);
    assert_eq!(world.state(run).await, RunState::PreparingApply);
    assert_eq!(newcomer.poll(&[], 1, 0).await.unwrap().messages, []);

    // What is new is for whoever is free, sealed to the key that they have.
    let other = "cdn".parse().unwrap();
    world
        .add_stack(&other, gantry_server::domain::Approval::Person)
        .await;
    let second = world
        .trigger_on(
            &other,
            RunType::Tracked,
            gantry_server::domain::Approval::Person,
        )
        .await;
    let sealed = newcomer.next_run().await;
    let payload = world.open_with(&newcomer, &sealed, &pool_keys()[1]).await;
    assert_eq!(payload.run, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_overlap_the_former_key_opens_no_door() {
    let world = World::new().await;
    let idle = Client::enrolled(&world).await;
    let mut busy = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    let lease = busy.lease(&world).await;
    world.reset(UnixMillis::now().plus(-1)).await;

    let refused = joins(&world, &EdKey::generate(), world.key)
        .await
        .unwrap_err();
    assert_eq!(refused.code, ProblemCode::Proof);
    assert!(
        refused.message.contains("was replaced"),
        "{}",
        refused.message
    );
    let first = Claim::Takeover(Takeover {
        previous_epoch: 0,
        process: "p".to_owned(),
    });
    let refused = idle.claim(first).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::Revoked);
    assert!(
        refused.message.contains("new token and key"),
        "{}",
        refused.message
    );

    // Who has a run brings it to its end, and gets no other one.
    busy.plan(lease).await;
    busy.take_over("second").await.unwrap();
    busy.park(&world, lease).await;
    assert_eq!(world.state(run).await, RunState::Unconfirmed);
    world.trigger(RunType::Proposed).await;
    assert_eq!(busy.poll(&[], 1, 0).await.unwrap().messages, []);
    let claim = Claim::Takeover(Takeover {
        previous_epoch: busy.epoch,
        process: "third".to_owned(),
    });
    let refused = busy.claim(claim).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::Revoked);

    // With the new key the same launcher is back.
    let again = joins(&world, &busy.key, &pool_keys()[1]).await.unwrap();
    assert_eq!(again.launcher, busy.id);
    busy.take_over("fourth").await.unwrap();
    let sealed = busy.next_run().await;
    world.open_with(&busy, &sealed, &pool_keys()[1]).await;
    let mut conn = world.control.store.read().await.unwrap();
    let keys = stored_keys::of_pool(&mut conn, world.pool).await.unwrap();
    let known = launchers::find(&mut conn, busy.id).await.unwrap().unwrap();
    assert_eq!((keys.len(), known.pool_key), (2, keys[0].id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_chooses_who_joins_it() {
    let world = World::new().await;
    let rules = |addresses: &[&str], launchers, admission| EnrolmentRules {
        admission,
        addresses: addresses
            .iter()
            .map(|range| range.parse().unwrap())
            .collect(),
        launchers,
    };
    world
        .set_enrolment(rules(&["10.0.0.0/8"], None, Admission::Open))
        .await;
    let refused = joins(&world, &EdKey::generate(), world.key)
        .await
        .unwrap_err();
    assert_eq!(refused.code, ProblemCode::Revoked);
    for words in ["10.0.0.0/8", "127.0.0.1", "host `host`"] {
        assert!(refused.message.contains(words), "{}", refused.message);
    }
    world
        .set_enrolment(rules(&["127.0.0.0/8"], Some(1), Admission::Approval))
        .await;
    let mut waiting = Client::enrolled(&world).await;
    let refused = joins(&world, &EdKey::generate(), world.key)
        .await
        .unwrap_err();
    assert!(
        refused.message.contains("as many as it may have"),
        "{}",
        refused.message
    );

    // It asks again until somebody lets it in, and is known meanwhile.
    let refused = waiting.take_over("p").await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::Limited);
    assert!(
        refused.message.contains("gantry pool approve"),
        "{}",
        refused.message
    );
    let again = joins(&world, &waiting.key, world.key).await.unwrap();
    assert_eq!(again.launcher, waiting.id);
    let at = UnixMillis::now();
    let mut tx = world.control.store.begin().await.unwrap();
    launchers::set_standing(&mut tx, waiting.id, &Standing::Active, at)
        .await
        .unwrap();
    world.control.store.commit(tx).await.unwrap();
    waiting.take_over("p").await.unwrap();
}
