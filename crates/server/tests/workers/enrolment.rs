//! Who may become a launcher, and whose requests are heard.

use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::session::{Claim, EnrolProof, Takeover};
use gantry_protocol::crypto::EdKey;
use gantry_protocol::version::CONTROL_HEADER;
use gantry_server::clock::UnixMillis;
use gantry_server::store::launchers::{self, Standing};
use gantry_server::store::{audit, pools};
use reqwest::Method;

use crate::client::{Client, bytes, code, enrol, http, nonce, post, proof};
use crate::world::{World, pool_keys};

fn first(process: &str) -> Claim {
    Claim::Takeover(Takeover {
        previous_epoch: 0,
        process: process.to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_of_the_pool_key_enrols_once_per_key() {
    let world = World::new().await;
    let (http, key) = (http(&world.base), EdKey::generate());
    let mut ids = Vec::new();
    // The answer got lost and the launcher asks again.
    for _ in 0..2 {
        let proof = proof(&world, nonce(&http, &world.base).await, &key);
        ids.push(
            enrol(&world, &http, &proof, world.key)
                .await
                .unwrap()
                .launcher,
        );
    }
    assert_eq!(ids[0], ids[1]);
    let mut conn = world.control.store.read().await.unwrap();
    let known = launchers::find(&mut conn, ids[0]).await.unwrap().unwrap();
    assert_eq!(
        (known.pool, known.about.host.as_str()),
        (world.pool, "host")
    );
    assert_eq!(known.address, "127.0.0.1");
    let trail = audit::of(&mut conn, &format!("launcher:{}", ids[0]))
        .await
        .unwrap();
    assert_eq!(
        trail,
        [(format!("launcher:{}", ids[0]), "launcher.enrol".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_does_not_fit_enrols_nobody() {
    let world = World::new().await;
    let http = http(&world.base);
    let other = world.other_pool().await;
    let [ours, theirs] = pool_keys();
    let fresh = || async { proof(&world, nonce(&http, &world.base).await, &EdKey::generate()) };
    let good = fresh().await;
    enrol(&world, &http, &good, ours).await.unwrap();
    let wrong_pool = EnrolProof {
        pool: other,
        ..fresh().await
    };
    let no_pool = EnrolProof {
        pool: "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap(),
        ..fresh().await
    };
    let elsewhere = EnrolProof {
        audience: "https://other.example".into(),
        ..fresh().await
    };
    let made_up = EnrolProof {
        nonce: "A".repeat(43),
        ..fresh().await
    };
    for (name, proof, key, words) in [
        (
            "another pool's key",
            fresh().await,
            theirs,
            "not signed with its private key",
        ),
        (
            "another pool",
            wrong_pool,
            ours,
            "not signed with its private key",
        ),
        ("no such pool", no_pool, ours, "does not exist here"),
        ("another server", elsewhere, ours, "https://other.example"),
        ("made-up nonce", made_up, ours, "nonce"),
        ("used nonce", good, ours, "used before"),
    ] {
        let refused = enrol(&world, &http, &proof, key).await.unwrap_err();
        assert_eq!(
            refused.code,
            ProblemCode::Proof,
            "{name}: {}",
            refused.message
        );
        assert!(
            refused.message.contains(words),
            "{name}: {}",
            refused.message
        );
    }
    let mut conn = world.control.store.read().await.unwrap();
    assert_eq!(
        launchers::of_pool(&mut conn, world.pool)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(launchers::of_pool(&mut conn, other).await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolments_of_one_pool_and_address_are_limited() {
    let world = World::new().await;
    let http = http(&world.base);
    let mut codes = Vec::new();
    for _ in 0..40 {
        let proof = proof(&world, nonce(&http, &world.base).await, &EdKey::generate());
        if let Err(refused) = enrol(&world, &http, &proof, &pool_keys()[1]).await {
            codes.push(refused.code);
        }
    }
    assert!(codes.contains(&ProblemCode::Proof));
    assert_eq!(codes.last(), Some(&ProblemCode::Limited));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_needs_the_launchers_own_key_now_and_here() {
    let world = World::new().await;
    let client = Client::enrolled(&world).await;
    let stranger = Client {
        key: EdKey::generate(),
        ..client.clone()
    };
    assert_eq!(code(stranger.claim(first("p")).await), ProblemCode::Proof);
    let nonce = nonce(&client.http, &client.base).await;
    let elsewhere = "https://other.example".to_owned();
    let refused = client
        .claim_with(nonce.clone(), elsewhere, first("p"))
        .await;
    assert_eq!(code(refused), ProblemCode::Proof);
    let here = client.base.clone();
    client
        .claim_with(nonce.clone(), here.clone(), first("p"))
        .await
        .unwrap();
    let refused = client.claim_with(nonce, here, first("p")).await;
    assert_eq!(code(refused), ProblemCode::Proof);
    assert_eq!(code(client.claim(first("")).await), ProblemCode::Malformed);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_session_or_version_are_turned_away() {
    let world = World::new().await;
    let client = world.launcher().await;
    for token in ["", "x.y.z", &client.token[..client.token.len() - 2]] {
        let nobody = Client {
            token: token.to_owned(),
            ..client.clone()
        };
        assert_eq!(
            code(nobody.poll(&[], 0, 0).await),
            ProblemCode::Session,
            "{token}"
        );
    }
    let (status, _) = bytes(client.http.post(format!("{}/v1/nonce", client.base))).await;
    assert_eq!(status, 426);
    let newer = post(&client.http, &client.base, "/v1/nonce").headers(
        [(CONTROL_HEADER.parse().unwrap(), "2".parse().unwrap())]
            .into_iter()
            .collect(),
    );
    let (status, body) = bytes(newer).await;
    assert_eq!(status, 426);
    assert!(
        String::from_utf8_lossy(&body).contains("speaks version 1"),
        "{body:?}"
    );
    let (status, _) = bytes(client.request(Method::GET, "/v1/nothing")).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_launcher_is_out_at_once() {
    let world = World::new().await;
    let client = world.launcher().await;
    let store = &world.control.store;
    let at = UnixMillis::now();
    let mut tx = store.begin().await.unwrap();
    launchers::set_standing(&mut tx, client.id, &Standing::Revoked { at }, at)
        .await
        .unwrap();
    // There is no way back for this identity.
    launchers::set_standing(&mut tx, client.id, &Standing::Active, at)
        .await
        .unwrap();
    store.commit(tx).await.unwrap();
    assert_eq!(code(client.poll(&[], 0, 0).await), ProblemCode::Revoked);
    assert_eq!(code(client.claim(first("p")).await), ProblemCode::Revoked);
    let proof = proof(&world, nonce(&client.http, &client.base).await, &client.key);
    let again = enrol(&world, &client.http, &proof, world.key).await;
    assert_eq!(code(again), ProblemCode::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn launchers_of_a_deleted_pool_get_no_session() {
    let world = World::new().await;
    let client = Client::enrolled(&world).await;
    let mut tx = world.control.store.begin().await.unwrap();
    let stacks = "UPDATE stacks SET pool_id = NULL";
    sqlx::query(stacks).execute(&mut *tx).await.unwrap();
    pools::delete(&mut tx, world.pool, UnixMillis::now())
        .await
        .unwrap();
    world.control.store.commit(tx).await.unwrap();
    assert_eq!(code(client.claim(first("p")).await), ProblemCode::Revoked);
}
