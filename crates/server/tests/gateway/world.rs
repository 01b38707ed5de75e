//! A gateway on a free port with one pool, and agents whose words the test chooses.
//!
//! Takes settings, gives both ends. Never: an agent that answers by itself, unless it was told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use futures_util::stream;
use gantry_protocol::Digest;
use gantry_server::clock::UnixMillis;
use gantry_server::domain::VcsPoolId;
use gantry_server::gateway::{Answer, Ask, Gateway, GatewayError, Settings, serve};
use gantry_server::store::Store;
use gantry_server::store::vcs_pools::{self, VcsPool, VcsPoolKey};
use gantry_server::store::vcs_requests::{self, AccessLine};
use gantry_vcs_wire::wire::gateway_client::GatewayClient;
use gantry_vcs_wire::wire::request::Request as Kind;
use gantry_vcs_wire::wire::response::Content;
use gantry_vcs_wire::wire::{
    Header, HttpRequest, HttpResponse, PingResponse, Request, Response, ResponseEnd, ResponseHead,
};
use gantry_vcs_wire::{Features, metadata};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) const KEY: &str = "the-key-of-the-pool";

pub(crate) struct World {
    pub(crate) store: Arc<Store>,
    pub(crate) gateway: Gateway,
    pub(crate) pool: VcsPoolId,
    pub(crate) address: SocketAddr,
    pub(crate) stopping: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|settings| settings).await
    }

    pub(crate) async fn with(change: impl FnOnce(Settings) -> Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path()).await.unwrap());
        let pool = a_pool(&store).await;
        let stopping = CancellationToken::new();
        let settings = change(Settings::default());
        let gateway = Gateway::open(Arc::clone(&store), settings, stopping.clone())
            .await
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taking = (listener, gateway.clone());
        let connections = stream::unfold(taking, |(listener, gateway)| async move {
            let accepted = listener.accept().await;
            let peer = accepted.map(|(io, address)| {
                io.set_nodelay(true).unwrap();
                gateway.peer(io, address)
            });
            Some((peer, (listener, gateway)))
        });
        let served = gateway.clone();
        let serving = tokio::spawn(async move { serve(served, connections).await.unwrap() });
        Self {
            store,
            gateway,
            pool,
            address,
            stopping,
            serving,
            dir,
        }
    }

    /// An agent with the pool's key, as published.
    pub(crate) async fn legacy(&self) -> Agent {
        self.agent(Who::default()).await.unwrap()
    }

    /// An agent of ours: it sends parts.
    pub(crate) async fn ours(&self, process: &'static str) -> Agent {
        let who = Who {
            process,
            features: "chunks",
            ..Who::default()
        };
        self.agent(who).await.unwrap()
    }

    /// Once it is connected, its stream has a seat.
    pub(crate) async fn agent(&self, who: Who) -> Result<Agent, Status> {
        Agent::connect(self, who).await
    }

    pub(crate) fn streams(&self) -> usize {
        let agents = self.gateway.agents(&self.pool);
        agents.iter().map(|agent| agent.streams).sum()
    }

    pub(crate) fn strays(&self) -> u64 {
        let agents = self.gateway.agents(&self.pool);
        agents.iter().map(|agent| agent.strays).sum()
    }

    /// Asks in the background.
    pub(crate) fn ask(&self, ask: Ask) -> JoinHandle<Result<Answer, GatewayError>> {
        let (gateway, pool) = (self.gateway.clone(), self.pool);
        tokio::spawn(async move { gateway.send(&pool, ask).await })
    }

    pub(crate) fn get(&self, target: &str) -> JoinHandle<Result<Answer, GatewayError>> {
        self.ask(ask(Method::GET, target))
    }

    /// The access log, newest first, once it has this many lines.
    pub(crate) async fn log(&self, lines: usize) -> Vec<AccessLine> {
        let deadline = tokio::time::Instant::now() + LONG;
        loop {
            let mut conn = self.store.read().await.unwrap();
            let found = vcs_requests::newest(&mut conn, self.pool, 2000)
                .await
                .unwrap();
            if found.len() >= lines {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "{found:?}");
            drop(conn);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LONG;
    while !holds() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "it never came to that"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn ask(method: Method, target: &str) -> Ask {
    Ask {
        purpose: "test",
        method,
        target: target.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        limit: LONG,
    }
}

pub(crate) async fn body(answer: Answer) -> Vec<u8> {
    answer.body.collect(usize::MAX).await.unwrap().to_vec()
}

pub(crate) fn key(id: &str, text: &str, retires_at: Option<UnixMillis>) -> VcsPoolKey {
    VcsPoolKey {
        id: id.parse().unwrap(),
        hash: Digest::of(text.as_bytes()),
        created_by: "ann".to_owned(),
        created_at: UnixMillis::now(),
        retires_at,
    }
}

async fn a_pool(store: &Store) -> VcsPoolId {
    let pool = VcsPool {
        id: "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap(),
        name: "git".parse().unwrap(),
        description: None,
        space: "root".to_owned(),
        created_by: "ann".to_owned(),
        created_at: UnixMillis::now(),
        updated_at: UnixMillis::now(),
    };
    let mut tx = store.begin().await.unwrap();
    vcs_pools::insert(&mut tx, &pool).await.unwrap();
    let key = key("01JB8M6Q7N4T0V2X5Y8Z9A1B2D", KEY, None);
    vcs_pools::insert_key(&mut tx, pool.id, &key).await.unwrap();
    store.commit(tx).await.unwrap();
    pool.id
}

/// Who an agent says it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    pub(crate) pool: &'static str,
    pub(crate) key: &'static str,
    pub(crate) tags: &'static str,
    pub(crate) process: &'static str,
    pub(crate) features: &'static str,
}

impl Default for Who {
    fn default() -> Self {
        Self {
            pool: "01JB8M6Q7N4T0V2X5Y8Z9A1B2C",
            key: KEY,
            tags: "{}",
            process: "",
            features: "",
        }
    }
}

/// One stream of an agent.
pub(crate) struct Agent {
    pub(crate) says: mpsc::Sender<Response>,
    pub(crate) hears: Streaming<Request>,
    pub(crate) agreed: Features,
}

impl Agent {
    async fn connect(world: &World, who: Who) -> Result<Self, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{}", world.address)).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let (says, said) = mpsc::channel::<Response>(1);
        let said = stream::unfold(said, |mut said| async move {
            said.recv().await.map(|response| (response, said))
        });
        let mut request = tonic::Request::new(said);
        let given = request.metadata_mut();
        for (name, value) in [
            (metadata::POOL, who.pool),
            (metadata::KEY, who.key),
            (metadata::TAGS, who.tags),
            (metadata::PROCESS, who.process),
            (metadata::FEATURES, who.features),
        ] {
            if !value.is_empty() {
                given.insert(name, value.parse().unwrap());
            }
        }
        let response = GatewayClient::new(channel)
            .max_decoding_message_size(4 * 1024 * 1024)
            .connect(request)
            .await?;
        let agreed = response.metadata().get(metadata::FEATURES);
        let agreed = agreed.map_or("", |value| value.to_str().unwrap());
        Ok(Self {
            agreed: Features::parse(agreed),
            says,
            hears: response.into_inner(),
        })
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Result<Option<(String, Kind)>, Status> {
        let heard = tokio::time::timeout(LONG, self.hears.message());
        let heard = heard.await.expect("the gateway says something");
        Ok(heard?.map(|request| (request.id, request.request.unwrap())))
    }

    /// The next request.
    pub(crate) async fn asked(&mut self) -> (String, HttpRequest) {
        match self.hear().await.unwrap() {
            Some((id, Kind::HttpRequest(request))) => (id, request),
            other => panic!("{other:?}"),
        }
    }

    /// The cancellation of a request.
    pub(crate) async fn told_to_stop(&mut self) -> String {
        match self.hear().await.unwrap() {
            Some((id, Kind::CancelRequest(_))) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn say(&self, id: &str, content: Content) {
        let response = Response {
            id: id.to_owned(),
            content: Some(content),
        };
        self.says.send(response).await.unwrap();
    }

    /// Answers in one piece.
    pub(crate) async fn answer(&self, id: &str, body: impl Into<Vec<u8>>) {
        self.say(id, whole(body)).await;
    }

    /// Answers each request with its path, until the stream ends.
    pub(crate) fn echo(self) -> JoinHandle<u64> {
        self.slowly(Duration::ZERO)
    }

    /// The same, after a while.
    pub(crate) fn slowly(mut self, pause: Duration) -> JoinHandle<u64> {
        tokio::spawn(async move {
            let mut count = 0;
            while let Ok(Some(request)) = self.hears.message().await {
                let content = match request.request {
                    Some(Kind::HttpRequest(asked)) => {
                        tokio::time::sleep(pause).await;
                        count += 1;
                        whole(asked.path)
                    }
                    _ => Content::PingResponse(PingResponse {}),
                };
                let response = Response {
                    id: request.id,
                    content: Some(content),
                };
                if self.says.send(response).await.is_err() {
                    break;
                }
            }
            count
        })
    }
}

pub(crate) fn whole(body: impl Into<Vec<u8>>) -> Content {
    Content::HttpResponse(HttpResponse {
        status: 200,
        headers: [("x-from".to_owned(), "host".to_owned())].into(),
        body: body.into(),
    })
}

pub(crate) fn head(status: i64) -> Content {
    let header = |name: &str, value: &[u8]| Header {
        name: name.to_owned(),
        value: value.to_vec(),
    };
    Content::ResponseHead(ResponseHead {
        status,
        headers: vec![header("x-a", b"1"), header("x-a", b"2")],
    })
}

pub(crate) fn chunk(body: impl Into<Vec<u8>>) -> Content {
    Content::ResponseChunk(body.into())
}

pub(crate) fn end(error: &str) -> Content {
    Content::ResponseEnd(ResponseEnd {
        error: error.to_owned(),
    })
}
