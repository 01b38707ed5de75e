//! Workers of the matrix: one in a pool, and the session that one has with the server.

use gantry_net::egress::LauncherPurpose;
use gantry_net::{ClientOptions, client_builder};
use gantry_protocol::control::session::{
    About, Claim, Nonce, Session, SessionProof, SessionRequest, Takeover,
};
use gantry_protocol::crypto::{EdKey, jws};
use gantry_protocol::version::{CONTROL, CONTROL_HEADER};
use gantry_protocol::{Digest, LauncherId, PoolId};
use gantry_server::clock::UnixMillis;
use gantry_server::store::launchers::{self, Newcomer};
use gantry_server::store::pools;

use crate::world::World;

/// Enrols a worker in a pool, past the control channel.
pub(crate) async fn enrolled(world: &World, pool: &str, key: &EdKey) -> LauncherId {
    let store = &world.app().store;
    let id = LauncherId::from_ulid(store.new_id());
    let pool: PoolId = pool.parse().unwrap();
    let mut tx = store.begin().await.unwrap();
    let launcher = Newcomer {
        id,
        pool,
        public_key: key.public(),
        pool_key: pools::get(&mut tx, pool).await.unwrap().key.id,
        machine: Digest::of(b"machine"),
        about: About::default(),
        address: "127.0.0.1".to_owned(),
    };
    let launcher = launcher.enrolled(UnixMillis::now());
    launchers::insert(&mut tx, &launcher).await.unwrap();
    store.commit(tx).await.unwrap();
    id
}

/// The token of a session that a worker of this pool began over the control channel.
pub(super) async fn session(world: &World, pool: &str) -> String {
    let key = EdKey::generate();
    let launcher = enrolled(world, pool, &key).await;
    let base = &world.app().base_url;
    let url = base.parse().unwrap();
    let builder = client_builder(
        &url,
        &ClientOptions::new(
            LauncherPurpose::Server,
            "test",
            &gantry_net::Outside::default(),
        ),
    )
    .unwrap();
    let http = builder.build().unwrap();
    let post = |path: &str| {
        let request = http.post(format!("{base}{path}"));
        request.header(CONTROL_HEADER, CONTROL)
    };
    let answer = post("/v1/nonce").json(&()).send().await.unwrap();
    let Nonce { nonce, .. } = answer.json().await.unwrap();
    let claim = Claim::Takeover(Takeover {
        previous_epoch: 0,
        process: "p".to_owned(),
    });
    let proof = SessionProof {
        nonce,
        audience: base.clone(),
        launcher,
        claim,
    };
    let request = SessionRequest {
        proof: jws::sign_ed(&proof, &key).unwrap(),
        about: About::default(),
    };
    let answer = post("/v1/session").json(&request).send().await.unwrap();
    assert_eq!(answer.status(), 200, "the session works");
    let session: Session = answer.json().await.unwrap();
    session.token.expose().to_owned()
}
