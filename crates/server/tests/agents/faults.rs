//! Agents, gateways and networks that go away.

use std::time::Duration;

use gantry_server::gateway::GatewayError;
use gantry_test_support::{LONG, SHORT};

use crate::world::{World, until, until_within};

const LIMIT: Duration = Duration::from_secs(60);

fn slow(milliseconds: u32) -> String {
    format!("/api/v4/projects/slow%2F{milliseconds}")
}

async fn text(
    answer: Result<gantry_server::gateway::Answer, GatewayError>,
) -> Result<String, GatewayError> {
    let body = answer?.body.collect(1 << 20).await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_an_agent_that_is_killed_are_done_by_another() {
    let world = World::new().await;
    let mut first = world.agent("first", 4).await;
    let target = slow(3000);
    let ask =
        async |number: u32| text(world.send(&format!("r{number}"), &target, LIMIT).await).await;
    let meanwhile = async {
        until("all four are asked", || world.seen().len() == 4).await;
        first.process.kill();
        world.agent("second", 4).await
    };
    let (a, b, c, d, second) = tokio::join!(ask(0), ask(1), ask(2), ask(3), meanwhile);
    for answer in [a, b, c, d] {
        assert!(answer.unwrap().contains("slow/3000"));
    }
    let seen = world.seen();
    assert!(
        seen.values().all(|times| *times == 2),
        "each was sent once more: {seen:?}"
    );
    until("every answer has its line", || second.lines().len() == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_agent_the_loss_is_told_by_name_and_soon() {
    let world = World::new().await;
    let mut agent = world.agent("only", 1).await;
    let target = slow(24_000);
    let ask = async { text(world.send("r1", &target, LIMIT).await).await };
    let cut = async {
        until("it is asked", || world.busy() == 1).await;
        agent.process.kill();
    };
    let begun = std::time::Instant::now();
    let (lost, ()) = tokio::join!(ask, cut);
    let error = lost.unwrap_err().to_string();
    assert!(error.contains("`inside`"), "{error}");
    // Longer than the wait for another agent, and far less than the host would have taken.
    assert!(
        begun.elapsed() < LIMIT / 3,
        "{:?}: {error}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_drains_loses_nothing() {
    let world = World::new().await;
    let mut leaving = world.agent("leaving", 2).await;
    let target = slow(2000);
    let stop = async {
        until("it is asked", || world.seen().len() == 1).await;
        leaving.process.terminate();
    };
    let (answer, ()) = tokio::join!(
        async { text(world.send("r1", &target, LIMIT).await).await },
        stop
    );
    assert!(answer.unwrap().contains("slow/2000"));
    let exit = tokio::task::block_in_place(|| leaving.process.wait_exit(SHORT));
    assert_eq!(exit, gantry_test_support::Exit::Code(0));
    assert_eq!(world.seen()["r1"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_come_back_to_a_gateway_that_was_restarted() {
    let mut world = World::new().await;
    let agent = world.agent("agent", 4).await;
    for round in 0..2 {
        world.restart().await;
        until_within("the streams are back", LONG, || world.streams() == 4).await;
        let id = format!("r{round}");
        assert!(text(world.send(&id, &slow(0), LIMIT).await).await.is_ok());
        assert_eq!(world.seen()[&id], 1);
    }
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_in_one_direction_is_noticed_on_both_sides() {
    let world = World::new().await;
    let mut agent = world.agent("agent", 2).await;
    world.net.cut_outward();
    until_within("the gateway gives the streams up", LONG, || {
        world.streams() == 0
    })
    .await;
    tokio::task::block_in_place(|| agent.process.wait_logged("the stream failed", LONG));
    world.net.heal();
    until_within("the streams are back", LONG, || world.streams() == 2).await;
    assert!(text(world.send("r1", &slow(0), LIMIT).await).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_host_costs_its_caller_only() {
    let world = World::new().await;
    let agent = world.agent("agent", 1).await;
    let late = world
        .send("late", &slow(20_000), Duration::from_secs(2))
        .await;
    assert!(matches!(late, Err(GatewayError::Late { .. })), "{late:?}");
    let next = text(world.send("next", &slow(0), Duration::from_secs(15)).await).await;
    assert!(
        next.unwrap().contains("slow/0"),
        "the stream is free again, long before the host answers"
    );
    until("the first one's line is there", || agent.lines().len() == 2).await;
    assert_eq!(agent.lines()[0]["msg"], "Request taken back.");
}
