//! Many requests at once: nothing lost, nothing answered twice.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::world::{World, body, until};

const REQUESTS: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_at_many_streams_are_each_answered_once() {
    for streams in [4, 64] {
        let world = World::with(|settings| gantry_server::gateway::Settings {
            waiting: REQUESTS,
            ..settings
        })
        .await;
        let mut agents = Vec::new();
        for _ in 0..streams {
            agents.push(world.ours("p").await.echo());
        }
        let asked: Vec<_> = (0..REQUESTS).map(|n| world.get(&format!("/{n}"))).collect();
        for (n, asked) in asked.into_iter().enumerate() {
            let answer = asked.await.unwrap().unwrap();
            assert_eq!(body(answer).await, format!("/{n}").into_bytes());
        }
        world.stopping.cancel();
        let mut seen = 0;
        for agent in agents {
            let count = agent.await.unwrap();
            assert!(count > 0, "a stream had nothing to do");
            seen += count;
        }
        assert_eq!(seen, REQUESTS as u64, "some were sent twice");
        world.gateway.closed().await;
        let lines = world.log(REQUESTS).await;
        let ids: BTreeSet<_> = lines.iter().map(|line| &line.id).collect();
        assert_eq!(ids.len(), REQUESTS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_come_and_go_lose_nothing_that_only_reads() {
    let world = World::with(|settings| gantry_server::gateway::Settings {
        waiting: REQUESTS,
        grace: Duration::from_secs(20),
        ..settings
    })
    .await;
    // One agent stays, but slow; others are killed again and again, each with a request.
    let asked: Vec<_> = (0..REQUESTS).map(|n| world.get(&format!("/{n}"))).collect();
    until(|| world.gateway.waiting(&world.pool) == REQUESTS).await;
    let stays = world.ours("stays").await.slowly(Duration::from_millis(2));
    let mut died = 0;
    while world.gateway.waiting(&world.pool) > 50 {
        let mut dies = world.ours("dies").await;
        let (id, _) = dies.asked().await;
        drop(dies);
        died += 1;
        // A request has one more chance: it gets it before the next agent dies.
        until_logged(&world, &id).await;
    }
    assert!(died > 0);
    for (n, asked) in asked.into_iter().enumerate() {
        let answer = asked.await.unwrap().unwrap();
        assert_eq!(body(answer).await, format!("/{n}").into_bytes());
    }
    world.stopping.cancel();
    stays.await.unwrap();
}

async fn until_logged(world: &World, id: &str) {
    let deadline = tokio::time::Instant::now() + crate::world::LONG;
    while !world.log(1).await.iter().any(|line| line.id == id) {
        assert!(tokio::time::Instant::now() < deadline, "{id} has no end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
