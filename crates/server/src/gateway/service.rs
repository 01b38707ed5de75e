//! The listener for agents: who is let in, and what they get to know.
//!
//! Takes connections, gives each stream that proves its pool's key a seat. Never: a key in a log or an answer, or a word
//! that tells a pool that does not exist from a key that is wrong.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use gantry_protocol::Digest;
use gantry_vcs_wire::wire::gateway_server::{Gateway as Served, GatewayServer};
use gantry_vcs_wire::wire::{Request as Asked, Response as Said};
use gantry_vcs_wire::{Features, metadata};
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tonic::metadata::MetadataMap;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use ulid::Ulid;

use super::Gateway;
use super::registry::About;
use super::stream::{Line, OUTBOX, Parts};
use crate::auth::Limits;
use crate::clock::UnixMillis;
use crate::domain::VcsPoolId;
use crate::error::chain;
use crate::store::vcs_pools;

/// The largest answer in one piece; a code host's larger ones need an agent that sends parts.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// The largest metadata of an agent, in bytes.
const TAGS_LIMIT: usize = 8 * 1024;

/// How many tags are kept.
const TAGS: usize = 32;

/// Characters of a tag's name or value.
const TAG_LIMIT: usize = 256;

/// What an agent may send before it has to wait for us.
const WINDOW: u32 = 1024 * 1024;

/// How long who sends many wrong tokens waits for each answer.
const TARRY: Duration = Duration::from_secs(1);

/// What every refusal says, whatever was wrong.
const REFUSED: &str = "the token of this VCS agent is not valid: its pool is gone, or was reset; give it the pool's new token";

/// A connection, decrypted. It ends by itself unless a stream on it proves in time whose agent it is.
pub struct Peer<Io> {
    io: Io,
    origin: Origin,
    patience: Pin<Box<Sleep>>,
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Origin {
    address: SocketAddr,
    proven: Arc<AtomicBool>,
}

impl<Io> Peer<Io> {
    /// A connection that was just accepted; it has `within` to prove itself.
    pub fn new(io: Io, address: SocketAddr, within: Duration) -> Self {
        let proven = Arc::default();
        Self {
            io,
            origin: Origin { address, proven },
            patience: Box::pin(tokio::time::sleep(within)),
        }
    }
}

impl<Io> Connected for Peer<Io> {
    type ConnectInfo = Origin;

    fn connect_info(&self) -> Origin {
        self.origin.clone()
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Peer<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let proven = self.origin.proven.load(Ordering::Relaxed);
        if !proven && self.patience.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Peer<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Serves agents on these connections until the gateway stops and the last stream has ended.
///
/// # Errors
/// If serving fails as a whole.
pub async fn serve<Io>(
    gateway: Gateway,
    connections: impl Stream<Item = io::Result<Peer<Io>>>,
) -> Result<(), tonic::transport::Error>
where
    Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (every, within) = gateway.shared.settings.keepalive;
    let stopping = gateway.shared.stopping.clone();
    let service = GatewayServer::new(Service {
        gateway,
        limits: Limits::new(0),
    })
    .max_decoding_message_size(ANSWER_LIMIT);
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(every))
        .http2_keepalive_timeout(Some(within))
        .http2_max_header_list_size(Some(32 * 1024))
        .initial_stream_window_size(Some(WINDOW))
        .initial_connection_window_size(Some(2 * WINDOW))
        .add_service(service)
        .serve_with_incoming_shutdown(connections, stopping.cancelled_owned())
        .await
}

struct Service {
    gateway: Gateway,
    limits: Limits,
}

/// The pool and key that a stream proved.
struct Proven {
    pool: VcsPoolId,
    name: String,
    key: Ulid,
}

#[tonic::async_trait]
impl Served for Service {
    type ConnectStream = Outgoing;

    async fn connect(
        &self,
        request: Request<Streaming<Said>>,
    ) -> Result<Response<Outgoing>, Status> {
        let shared = &self.gateway.shared;
        if shared.stopping.is_cancelled() {
            return Err(Status::unavailable(
                "the server stops: connect again in a moment",
            ));
        }
        let address = self.address(&request);
        let proven = self.prove(request.metadata(), address).await?;
        if let Some(origin) = request.extensions().get::<Origin>() {
            origin.proven.store(true, Ordering::Relaxed);
        }
        let about = about(request.metadata(), address)?;
        let agreed = Features::OURS.and(Features::parse(text(
            request.metadata(),
            metadata::FEATURES,
        )));
        let parts = Parts {
            pool: proven.pool,
            agent: about.agent.clone(),
            key: proven.key,
            chunks: agreed.chunks,
        };
        let seat = shared
            .registry
            .join(proven.pool, about, shared.settings.streams);
        let seat = seat.ok_or_else(|| {
            Status::resource_exhausted("this VCS agent pool has as many streams as it may have")
        })?;
        tracing::info!(
            pool = proven.name,
            agent = parts.agent,
            "a VCS agent opened a stream"
        );
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let line = Line::new(
            Arc::clone(shared),
            parts,
            seat,
            request.into_inner(),
            outbox,
        );
        tokio::spawn(line.run());
        let mut response = Response::new(Outgoing(messages));
        if let Ok(value) = agreed.to_string().parse()
            && agreed != Features::default()
        {
            response.metadata_mut().insert(metadata::FEATURES, value);
        }
        Ok(response)
    }
}

impl Service {
    fn address<T>(&self, request: &Request<T>) -> Option<IpAddr> {
        let peer = request.extensions().get::<Origin>()?.address.ip();
        let headers = request.metadata().clone().into_headers();
        let trusted = &self.gateway.shared.settings.trusted_proxies;
        Some(crate::peer::client(peer, &headers, trusted))
    }

    /// Whose stream it is.
    async fn prove(
        &self,
        metadata: &MetadataMap,
        address: Option<IpAddr>,
    ) -> Result<Proven, Status> {
        let now = UnixMillis::now();
        let id = text(metadata, metadata::POOL);
        let given = Digest::of(text(metadata, metadata::KEY).as_bytes()).hex();
        let found = self.matching(id, &given, now).await;
        let found = found.map_err(|error| {
            tracing::error!(
                error = chain(&error),
                "could not look at the key of a VCS agent"
            );
            Status::unavailable("the server can't look at its pools: connect again in a moment")
        })?;
        match found {
            // Whoever has the key is not kept out by another at the same address who has not.
            Some(proven) => Ok(proven),
            None => Err(self.refuse(id, address, now).await),
        }
    }

    /// What a wrong token gets; somebody who sends many gets it late.
    async fn refuse(&self, id: &str, address: Option<IpAddr>, now: UnixMillis) -> Status {
        if let Err(error) = self.limits.may_guess(id, address, now) {
            tokio::time::sleep(TARRY).await;
            return Status::resource_exhausted(error.to_string());
        }
        self.limits.guessed(id, address, now);
        tracing::warn!(
            pool = plain(id).chars().take(32).collect::<String>(),
            address = address.map(|ip| ip.to_string()),
            "a VCS agent with a wrong token was refused"
        );
        Status::unauthenticated(REFUSED)
    }

    async fn matching(
        &self,
        id: &str,
        given: &str,
        now: UnixMillis,
    ) -> Result<Option<Proven>, crate::store::StoreError> {
        let Ok(id) = id.parse::<VcsPoolId>() else {
            return Ok(None);
        };
        let mut conn = self.gateway.shared.store.read().await?;
        let pool = vcs_pools::find(&mut conn, id).await?;
        let keys = vcs_pools::valid_keys(&mut conn, id, now).await?;
        let mut right = None;
        for key in keys {
            let same = key.hash.hex().as_bytes().ct_eq(given.as_bytes());
            if bool::from(same) {
                right = Some(key.id);
            }
        }
        Ok(pool.zip(right).map(|(pool, key)| Proven {
            pool: pool.id,
            name: pool.name.to_string(),
            key,
        }))
    }
}

/// What an agent says of itself.
fn about(given: &MetadataMap, address: Option<IpAddr>) -> Result<About, Status> {
    let written = text(given, metadata::TAGS);
    if written.len() > TAGS_LIMIT {
        return Err(Status::invalid_argument(
            "the agent's tags (SPACELIFT_METADATA_…) are longer than 8 KiB",
        ));
    }
    // Tags are for people: what can't be read is as good as none.
    let tags: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(written).unwrap_or_default();
    let tags: BTreeMap<String, String> = tags
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
        .map(|(name, value)| (plain(&name), plain(&value)))
        .take(TAGS)
        .collect();
    let process = plain(text(given, metadata::PROCESS));
    let agent = if process.is_empty() {
        // Streams that come from one place with the same tags are taken for one agent's.
        let place = address.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        let digest = Digest::of(format!("{place} {written}").as_bytes()).hex();
        format!("{place}-{}", &digest[..8])
    } else {
        process
    };
    let version = Some(plain(text(given, metadata::VERSION))).filter(|text| !text.is_empty());
    let features = Features::OURS.and(Features::parse(text(given, metadata::FEATURES)));
    Ok(About {
        agent,
        version,
        tags,
        address,
        connected_at: UnixMillis::now(),
        parts: features.chunks,
    })
}

fn text<'a>(metadata: &'a MetadataMap, name: &str) -> &'a str {
    let value = metadata.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or("")
}

fn plain(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(TAG_LIMIT).collect()
}

/// What goes to an agent.
pub(super) struct Outgoing(mpsc::Receiver<Result<Asked, Status>>);

impl Stream for Outgoing {
    type Item = Result<Asked, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
