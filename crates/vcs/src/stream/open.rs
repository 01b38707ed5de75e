//! One stream, from the dial to its end.
//!
//! Takes the agent, gives why the stream ended. Never: HTTP/2 pings to a gateway that closes connections for them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gantry_vcs_wire::wire::{self, gateway_client::GatewayClient};
use gantry_vcs_wire::{Features, metadata};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue, errors::InvalidMetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::info;

use super::live::Live;
use super::{Agent, Ended, Kind};
use crate::forward::chain;

/// A gateway of ours hears a ping this often, and has [`PONG`] to answer.
const PING: Duration = Duration::from_secs(20);
/// The published gateway's library allows a ping every five minutes.
const RARE_PING: Duration = Duration::from_secs(6 * 60);
const PONG: Duration = Duration::from_secs(10);
/// The published gateway answers with its first request. One that is silent for this long hasn't refused us.
const NOT_REFUSED: Duration = Duration::from_secs(3);
/// Ours answers at once: one that is silent for this long is the published one.
const NOT_OURS: Duration = Duration::from_secs(30);
/// Messages on their way out. Each is at most one part of a body, so this bounds what a slow gateway makes us hold.
const OUTGOING: usize = 2;
/// Largest request, in bytes: what the published agent takes.
const REQUEST_LIMIT: usize = 4 * 1024 * 1024;

/// What the gateway answers to `Connect`.
type Answer = Result<Response<Streaming<wire::Request>>, Status>;

/// Opens a stream and serves what comes, until it ends.
pub(super) async fn stream(agent: &Arc<Agent>, slot: usize, drain: &CancellationToken) -> Ended {
    let opening = async {
        let channel = dial(agent).await?;
        let metadata = request(agent).map_err(|error| Ended::Failed(chain(&error)))?;
        Ok::<_, Ended>((channel, metadata))
    };
    let opened = tokio::select! {
        opened = opening => opened,
        () = drain.cancelled() => return Ended::Drained,
    };
    let (channel, (request, out)) = match opened {
        Ok(opened) => opened,
        Err(ended) => return ended,
    };
    let mut client = GatewayClient::new(channel).max_decoding_message_size(REQUEST_LIMIT);
    let answer = Box::pin(client.connect(request));
    let answer = match answered(agent, slot, answer, drain).await {
        Ok(answer) => answer,
        Err(ended) => return ended,
    };
    let features = answer.metadata().get(metadata::FEATURES);
    let named = features
        .and_then(|value| value.to_str().ok())
        .map(Features::parse);
    agent.gateway.is(match named {
        Some(_) => Kind::Ours,
        None => Kind::Published,
    });
    let common = Features::OURS.and(named.unwrap_or_default());
    let _up = agent.tally.up();
    let live = Live::new(Arc::clone(agent), slot, answer.into_inner(), out, common);
    live.run(drain).await
}

async fn dial(agent: &Agent) -> Result<Channel, Ended> {
    let quick = agent.gateway.kind() != Kind::Published;
    let endpoint = Endpoint::from(agent.dialler.origin())
        .user_agent(concat!("gantry-vcs-agent/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| Ended::Failed(chain(&error)))?
        .http2_keep_alive_interval(if quick { PING } else { RARE_PING })
        .keep_alive_timeout(PONG)
        .keep_alive_while_idle(true);
    let channel = endpoint.connect_with_connector(agent.dialler.clone()).await;
    channel.map_err(|error| Ended::Failed(chain(&error)))
}

/// Waits for the answer to `Connect`. The published gateway's comes with its first request.
async fn answered(
    agent: &Agent,
    slot: usize,
    mut answer: impl Future<Output = Answer> + Unpin,
    drain: &CancellationToken,
) -> Result<Response<Streaming<wire::Request>>, Ended> {
    let first = tokio::select! {
        first = tokio::time::timeout(NOT_REFUSED, &mut answer) => first,
        () = drain.cancelled() => return Err(Ended::Drained),
    };
    if let Ok(answer) = first {
        let answer = answer.map_err(|status| refused(agent, &status))?;
        connected(agent, slot);
        return Ok(answer);
    }
    // Seen from outside, a stream that is not refused is up.
    let _up = agent.tally.up();
    connected(agent, slot);
    let unknown = agent.gateway.kind() == Kind::Unknown;
    tokio::select! {
        answer = &mut answer => answer.map_err(|status| refused(agent, &status)),
        () = tokio::time::sleep(NOT_OURS), if unknown => {
            agent.gateway.is(Kind::Published);
            Err(Ended::Again)
        }
        () = drain.cancelled() => Err(Ended::Drained),
    }
}

fn connected(agent: &Agent, slot: usize) {
    if agent.gateway.let_in.swap(true, Relaxed) {
        info!(slot, "the stream is up");
    } else {
        info!(slot, gateway = %agent.dialler.origin(), "successfully connected to the gateway");
    }
}

/// What a status that ends a stream means.
pub(super) fn refused(agent: &Agent, status: &Status) -> Ended {
    if status.code() == Code::Unauthenticated {
        return Ended::NotLetIn(status.message().to_owned());
    }
    let text = chain(status);
    // How HTTP/2 says "too many pings".
    if text.contains("excessive load") || text.contains("too_many_pings") {
        agent.gateway.is(Kind::Published);
    }
    Ended::Failed(text)
}

/// The call's metadata, and where responses go.
fn request(
    agent: &Agent,
) -> Result<
    (
        Request<ReceiverStream<wire::Response>>,
        mpsc::Sender<wire::Response>,
    ),
    InvalidMetadataValue,
> {
    let (out, outgoing) = mpsc::channel(OUTGOING);
    let mut request = Request::new(ReceiverStream::new(outgoing));
    let pairs = [
        (metadata::POOL, agent.token.pool.as_str()),
        (metadata::TAGS, agent.tags.as_str()),
        (metadata::FEATURES, &Features::OURS.to_string()),
        (metadata::VERSION, env!("CARGO_PKG_VERSION")),
        (metadata::PROCESS, agent.process.as_str()),
    ];
    for (name, value) in pairs {
        let value: MetadataValue<Ascii> = value.parse()?;
        request.metadata_mut().insert(name, value);
    }
    let mut key: MetadataValue<Ascii> = agent.token.key.expose().parse()?;
    key.set_sensitive(true);
    request.metadata_mut().insert(metadata::KEY, key);
    Ok((request, out))
}
