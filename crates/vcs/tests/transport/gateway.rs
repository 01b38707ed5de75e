//! A gateway that a test plays by hand: the published one, or one that knows parts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use gantry_protocol::Secret;
use gantry_vcs_wire::wire::gateway_server::{Gateway as Service, GatewayServer};
use gantry_vcs_wire::wire::request::Request as Kind;
use gantry_vcs_wire::wire::response::Content;
use gantry_vcs_wire::wire::{HttpRequest, Request, Response};
use gantry_vcs_wire::{Features, PoolToken, metadata};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::tokio_stream::{Stream, StreamExt as _};
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};

/// Longest wait for anything in these tests.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Which wire is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Answers to `Connect` with its first request, and knows no parts.
    Published,
    /// Answers at once, and names what it knows.
    Ours,
}

/// A gateway.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    streams: Mutex<mpsc::Receiver<Played>>,
    pub(crate) refuses: Arc<AtomicBool>,
    serving: JoinHandle<()>,
}

/// One stream of an agent.
pub(crate) struct Played {
    pub(crate) metadata: MetadataMap,
    say: mpsc::Sender<Result<Request, Status>>,
    heard: Streaming<Response>,
}

/// An answer in parts, put together.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: i64,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) error: String,
}

struct Handler {
    wire: Wire,
    streams: mpsc::Sender<Played>,
    refuses: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl Service for Handler {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<Request, Status>> + Send>>;

    async fn connect(
        &self,
        request: tonic::Request<Streaming<Response>>,
    ) -> Result<tonic::Response<Self::ConnectStream>, Status> {
        if self.refuses.load(Relaxed) {
            return Err(Status::unauthenticated("no such pool or key"));
        }
        let (metadata, _, heard) = request.into_parts();
        let (say, mut said) = mpsc::channel(16);
        let played = Played {
            metadata,
            say,
            heard,
        };
        self.streams
            .send(played)
            .await
            .map_err(|_| Status::unavailable("the test is over"))?;
        if self.wire == Wire::Published {
            let first = said.recv().await.ok_or_else(|| Status::ok(""))?;
            let all = tonic::codegen::tokio_stream::once(first).chain(ReceiverStream::new(said));
            return Ok(tonic::Response::new(Box::pin(all)));
        }
        let stream: Self::ConnectStream = Box::pin(ReceiverStream::new(said));
        let mut answer = tonic::Response::new(stream);
        let ours = Features::OURS.to_string().parse().unwrap();
        answer.metadata_mut().insert(metadata::FEATURES, ours);
        Ok(answer)
    }
}

impl Gateway {
    pub(crate) async fn start(wire: Wire) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, wire)
    }

    pub(crate) fn on(listener: TcpListener, wire: Wire) -> Self {
        let address = listener.local_addr().unwrap();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        Self::serve(address, incoming, wire)
    }

    pub(crate) fn serve<I, IO>(address: SocketAddr, incoming: I, wire: Wire) -> Self
    where
        I: Stream<Item = std::io::Result<IO>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + tonic::transport::server::Connected + Unpin + Send + 'static,
    {
        let (sender, streams) = mpsc::channel(300);
        let refuses = Arc::new(AtomicBool::new(false));
        let handler = Handler {
            wire,
            streams: sender,
            refuses: Arc::clone(&refuses),
        };
        let service = GatewayServer::new(handler).max_decoding_message_size(128 << 20);
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming);
        let serving = tokio::spawn(async move { server.await.unwrap() });
        Self {
            address,
            streams: Mutex::new(streams),
            refuses,
            serving,
        }
    }

    pub(crate) fn token(&self) -> String {
        token(&self.address.to_string())
    }

    /// The next stream that an agent opens.
    pub(crate) async fn stream(&self) -> Played {
        let mut streams = self.streams.lock().await;
        timeout(SOON, streams.recv())
            .await
            .expect("a stream in time")
            .unwrap()
    }

    /// Whether no agent opens a stream within `wait`.
    pub(crate) async fn silent_for(&self, wait: Duration) -> bool {
        timeout(wait, self.streams.lock().await.recv())
            .await
            .is_err()
    }

    /// Gone at once, with all its connections.
    pub(crate) async fn vanish(self) -> SocketAddr {
        self.serving.abort();
        let _ = self.serving.await;
        self.address
    }
}

impl Played {
    pub(crate) async fn ask(&mut self, id: &str, method: &str, path: &str) {
        self.ask_with(id, method, path, &[], b"").await;
    }

    pub(crate) async fn ask_with(
        &mut self,
        id: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let pairs = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let http = HttpRequest {
            path: path.to_owned(),
            method: method.to_owned(),
            headers: pairs.collect::<HashMap<_, _>>(),
            body: body.to_vec(),
        };
        self.say(id, Some(Kind::HttpRequest(http))).await;
    }

    pub(crate) async fn say(&mut self, id: &str, request: Option<Kind>) {
        let id = id.to_owned();
        self.say.send(Ok(Request { id, request })).await.unwrap();
    }

    /// The next message; `None` when the agent has ended the stream.
    pub(crate) async fn heard(&mut self) -> Option<Response> {
        let heard = timeout(SOON, self.heard.message())
            .await
            .expect("a message in time");
        heard.unwrap_or_default()
    }

    pub(crate) async fn content(&mut self, id: &str) -> Content {
        let response = self.heard().await.expect("a message");
        assert_eq!(response.id, id, "{response:?}");
        response.content.expect("a content")
    }

    /// A whole answer, on either wire.
    pub(crate) async fn answer(&mut self, id: &str) -> Answer {
        let mut answer = match self.content(id).await {
            Content::HttpResponse(whole) => {
                return Answer {
                    status: whole.status,
                    headers: whole.headers.into_iter().collect(),
                    body: whole.body,
                    error: String::new(),
                };
            }
            Content::Error(error) => {
                return Answer {
                    status: 0,
                    headers: vec![],
                    body: vec![],
                    error,
                };
            }
            Content::ResponseHead(head) => {
                let header = |header: gantry_vcs_wire::wire::Header| {
                    (
                        header.name,
                        String::from_utf8_lossy(&header.value).into_owned(),
                    )
                };
                Answer {
                    status: head.status,
                    headers: head.headers.into_iter().map(header).collect(),
                    body: vec![],
                    error: String::new(),
                }
            }
            other => panic!("{other:?}"),
        };
        loop {
            match self.content(id).await {
                Content::ResponseChunk(chunk) => {
                    assert!(
                        !chunk.is_empty() && chunk.len() <= 256 * 1024,
                        "{}",
                        chunk.len()
                    );
                    answer.body.extend(chunk);
                }
                Content::ResponseEnd(end) => {
                    answer.error = end.error;
                    return answer;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Answer {
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let same = self
            .headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) fn token(host: &str) -> String {
    let token = PoolToken {
        host: host.to_owned(),
        key: Secret::new("key-hunter2"),
        pool: "01POOL".into(),
    };
    token.encode().expose().to_owned()
}
