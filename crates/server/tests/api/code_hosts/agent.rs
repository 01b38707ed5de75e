//! The real agent, in this process, between the gateway of a test's server and a host on loopback.
//!
//! Takes a vendor and the host's URL, gives a pool `corp` with an agent that is connected. It ends when it is dropped.

use std::sync::Arc;
use std::time::Duration;

use gantry_net::egress::VcsAgentPurpose;
use gantry_net::{ClientOptions, Resolver};
use gantry_protocol::{Digest, Secret};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::VcsPoolId;
use gantry_server::store::vcs_pools::{self, VcsPool, VcsPoolKey};
use gantry_vcs_agent::audit::{Audit, Tally};
use gantry_vcs_agent::blocklist::Blocklist;
use gantry_vcs_agent::forward::{Base, Credential, Forwarder, Limits, Setup};
use gantry_vcs_agent::project::AllowedProjects;
use gantry_vcs_agent::rules::Rules;
use gantry_vcs_agent::stream::{self, Agent, Dialler};
use gantry_vcs_wire::PoolToken;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::world::World;

/// Arguments of a server that agents can reach.
pub(crate) const GATEWAY: [&str; 4] = [
    "--vcs-gateway-listen",
    "127.0.0.1:0",
    "--outgoing-networks",
    "127.0.0.0/8",
];

const KEY: &str = "key-of-the-pool";

/// A pool in a space.
pub(crate) async fn pool(world: &World, name: &str, space: &str) -> VcsPoolId {
    let (store, now) = (&world.app().store, UnixMillis::now());
    let pool = VcsPool {
        id: VcsPoolId::from_ulid(store.new_id()),
        name: name.parse().unwrap(),
        description: None,
        space: space.to_owned(),
        created_by: "test".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let key = VcsPoolKey {
        id: store.new_id(),
        hash: Digest::of(KEY.as_bytes()),
        created_by: "test".to_owned(),
        created_at: now,
        retires_at: None,
    };
    let mut tx = store.begin().await.unwrap();
    vcs_pools::insert(&mut tx, &pool).await.unwrap();
    vcs_pools::insert_key(&mut tx, pool.id, &key).await.unwrap();
    store.commit(tx).await.unwrap();
    pool.id
}

/// An agent of a pool before the host at `base`; `credential` is what it holds itself.
pub(crate) fn start(
    world: &World,
    pool: VcsPoolId,
    (vendor, base): (&str, &str),
    credential: Option<&str>,
) -> DropGuard {
    let host = world.running.agents_address.unwrap().to_string();
    let tally = Arc::new(Tally::default());
    let sink = Box::new(std::io::sink());
    let audit = Audit::new(pool.to_string(), false, sink, Arc::clone(&tally));
    let second = Duration::from_secs(1);
    let forwarder = Forwarder::new(Setup {
        base: Base::new(base.parse().unwrap()).unwrap(),
        options: ClientOptions::new(
            VcsAgentPurpose::GitHost,
            "agent-of-a-test",
            &gantry_net::Outside::default(),
        ),
        credential: credential.map(|text| Credential::fixed(&Secret::new(text)).unwrap()),
        limits: Limits {
            short: 25 * second,
            bulk: 60 * second,
            idle: 30 * second,
        },
        identity: false,
        audit: audit.clone(),
    });
    let allowed = AllowedProjects::every();
    let rules = Rules::new(vendor.parse().unwrap(), allowed, Blocklist::default());
    let agent = Agent {
        dialler: Dialler::new(
            &host,
            &gantry_net::Outside::default(),
            Resolver::system(),
            true,
        )
        .unwrap(),
        token: PoolToken {
            host,
            key: Secret::new(KEY),
            pool: pool.to_string(),
        },
        parallelism: 2,
        tags: "{}".to_owned(),
        process: "test".to_owned(),
        rules: Arc::new(rules),
        forwarder: forwarder.unwrap(),
        audit,
        tally,
        whole_limit: 8 << 20,
        gateway: stream::Gateway::default(),
    };
    let stop = CancellationToken::new();
    tokio::spawn(stream::run(Arc::new(agent), stop.clone()));
    stop.drop_guard()
}
