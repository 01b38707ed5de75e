//! A launcher's side of the control channel, and nothing more.

use bytes::Bytes;
use gantry_protocol::control::inbox::{Batch, Content, Message, Poll, SealedRun};
use gantry_protocol::control::run::{
    EnterPhase, Entered, GrantAnswer, GrantRequest, Lease, LogStored, Outcome, PlanTaken, Renew,
    Renewed, ResultTaken, RunResult,
};
use gantry_protocol::control::session::{
    About, Claim, EnrolProof, EnrolRequest, Enrolled, Nonce, Session, SessionProof, SessionRequest,
    Takeover,
};
use gantry_protocol::control::workspace::{HEADER, WorkspaceAttestation};
use gantry_protocol::control::{Problem, ProblemCode};
use gantry_protocol::crypto::{EdKey, PoolKey, jws};
use gantry_protocol::plan::PlanData;
use gantry_protocol::socket::PlanSummary;
use gantry_protocol::version::{CONTROL, CONTROL_HEADER};
use gantry_protocol::{Attempt, Digest, LauncherId, RunState};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::world::World;

/// An answer, or the server's refusal.
pub(crate) type Answer<T> = Result<T, Problem>;

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) id: LauncherId,
    pub(crate) key: EdKey,
    /// What the data directory would hold.
    pub(crate) epoch: u64,
    pub(crate) token: String,
}

pub(crate) fn http(base: &str) -> reqwest::Client {
    let url = base.parse().unwrap();
    let options = gantry_net::ClientOptions::new(
        gantry_net::egress::LauncherPurpose::Server,
        "test",
        &gantry_net::Outside::default(),
    );
    gantry_net::client_builder(&url, &options)
        .unwrap()
        .build()
        .unwrap()
}

pub(crate) fn proof(world: &World, nonce: String, key: &EdKey) -> EnrolProof {
    EnrolProof {
        nonce,
        audience: world.base.clone(),
        pool: world.pool,
        launcher_key: key.public(),
        machine: Digest::of(b"machine"),
    }
}

pub(crate) async fn nonce(http: &reqwest::Client, base: &str) -> String {
    let request = post(http, base, "/v1/nonce").json(&());
    answer::<Nonce>(request).await.unwrap().nonce
}

pub(crate) fn post(http: &reqwest::Client, base: &str, path: &str) -> RequestBuilder {
    http.request(Method::POST, format!("{base}{path}"))
        .header(CONTROL_HEADER, CONTROL)
}

pub(crate) async fn enrol(
    world: &World,
    http: &reqwest::Client,
    proof: &EnrolProof,
    key: &PoolKey,
) -> Answer<Enrolled> {
    let proof = jws::sign_pool(proof, key).unwrap();
    let about = About {
        host: "host".into(),
        arch: "x86_64".into(),
        ..About::default()
    };
    answer(post(http, &world.base, "/v1/enrol").json(&EnrolRequest { proof, about })).await
}

/// Sends, and reads JSON of the one kind or of the other.
pub(crate) async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Answer<T> {
    let (status, body) = bytes(request).await;
    if status.is_success() {
        return Ok(serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}: {body:?}")));
    }
    Err(serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{status} {e}: {body:?}")))
}

pub(crate) async fn bytes(request: RequestBuilder) -> (StatusCode, Bytes) {
    let response = request.send().await.unwrap();
    (response.status(), response.bytes().await.unwrap())
}

pub(crate) fn code<T: std::fmt::Debug>(answer: Answer<T>) -> ProblemCode {
    answer.unwrap_err().code
}

pub(crate) fn changes() -> PlanSummary {
    PlanSummary {
        has_changes: true,
        add: 2,
        change: 1,
        delete: 0,
        plan: None,
        rendered: None,
    }
}

pub(crate) fn ended(outcome: Outcome) -> RunResult {
    let image = format!("registry.example/runner@{}", Digest::of(b"image"));
    RunResult {
        outcome,
        plan: None,
        image: Some(image),
        worker: Some(Digest::of(b"worker")),
    }
}

impl Client {
    pub(crate) async fn enrolled(world: &World) -> Self {
        let (http, key) = (http(&world.base), EdKey::generate());
        let nonce = nonce(&http, &world.base).await;
        let enrolled = enrol(world, &http, &proof(world, nonce, &key), world.key)
            .await
            .unwrap();
        let base = world.base.clone();
        let id = enrolled.launcher;
        Self {
            http,
            base,
            id,
            key,
            epoch: 0,
            token: String::new(),
        }
    }

    pub(crate) async fn claim(&self, claim: Claim) -> Answer<Session> {
        let nonce = nonce(&self.http, &self.base).await;
        self.claim_with(nonce, self.base.clone(), claim).await
    }

    pub(crate) async fn claim_with(
        &self,
        nonce: String,
        audience: String,
        claim: Claim,
    ) -> Answer<Session> {
        let proof = SessionProof {
            nonce,
            audience,
            launcher: self.id,
            claim,
        };
        let proof = jws::sign_ed(&proof, &self.key).unwrap();
        let request = SessionRequest {
            proof,
            about: About::default(),
        };
        answer(post(&self.http, &self.base, "/v1/session").json(&request)).await
    }

    /// What a process does first; keeps the epoch as its data directory would.
    pub(crate) async fn take_over(&mut self, process: &str) -> Answer<Session> {
        let claim = Takeover {
            previous_epoch: self.epoch,
            process: process.to_owned(),
        };
        let session = self.claim(Claim::Takeover(claim)).await?;
        self.epoch = session.epoch;
        self.token = session.token.expose().to_owned();
        Ok(session)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.http
            .request(method, url)
            .header(CONTROL_HEADER, CONTROL)
            .bearer_auth(&self.token)
    }

    async fn ask<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Answer<T> {
        answer(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn poll(
        &self,
        acknowledge: &[u64],
        free_slots: u32,
        wait_seconds: u32,
    ) -> Answer<Batch> {
        let acknowledge = acknowledge.to_vec();
        self.ask(
            "/v1/inbox",
            &Poll {
                acknowledge,
                free_slots,
                wait_seconds,
                condition: None,
            },
        )
        .await
    }

    /// The next message, waited for as launchers wait.
    pub(crate) async fn next(&self, free_slots: u32) -> Message {
        let batch = self.poll(&[], free_slots, 30).await.unwrap();
        batch
            .messages
            .into_iter()
            .next()
            .expect("a message within the wait")
    }

    /// The next run, acknowledged.
    pub(crate) async fn next_run(&self) -> SealedRun {
        let message = self.next(1).await;
        self.poll(&[message.id], 0, 0).await.unwrap();
        match message.content {
            Content::Run(run) => *run,
            other => panic!("no run: {other:?}"),
        }
    }

    /// Takes the next run and opens it.
    pub(crate) async fn lease(&self, world: &World) -> Lease {
        let sealed = self.next_run().await;
        let payload = world.open(self, &sealed).await;
        Lease {
            run: payload.run,
            attempt: payload.attempt,
        }
    }

    pub(crate) async fn renew(&self, leases: &[Lease]) -> Answer<Renewed> {
        self.ask(
            "/v1/leases",
            &Renew {
                leases: leases.to_vec(),
            },
        )
        .await
    }

    pub(crate) async fn enter(
        &self,
        lease: Lease,
        section: u32,
        state: RunState,
    ) -> Answer<Entered> {
        self.ask(&path(lease, "phase"), &EnterPhase { section, state })
            .await
    }

    /// Init and plan, as sections 1 and 2.
    pub(crate) async fn plan(&self, lease: Lease) {
        self.enter(lease, 1, RunState::Initializing).await.unwrap();
        self.enter(lease, 2, RunState::Planning).await.unwrap();
    }

    pub(crate) async fn grant(
        &self,
        lease: Lease,
        section: u32,
        state: RunState,
    ) -> Answer<GrantAnswer> {
        let request = GrantRequest {
            section,
            state,
            plan: Some(changes()),
        };
        self.ask(&path(lease, "grant"), &request).await
    }

    pub(crate) async fn log(
        &self,
        lease: Lease,
        section: u32,
        range: (u64, u64),
        bytes: &[u8],
    ) -> Answer<LogStored> {
        let path = path(
            lease,
            &format!("log/{section}?from={}&to={}", range.0, range.1),
        );
        answer(self.request(Method::POST, &path).body(bytes.to_vec())).await
    }

    pub(crate) async fn stored(&self, lease: Lease, section: u32) -> Answer<LogStored> {
        answer(self.request(Method::GET, &path(lease, &format!("log/{section}")))).await
    }

    pub(crate) async fn result(&self, lease: Lease, result: &RunResult) -> Answer<ResultTaken> {
        self.ask(&path(lease, "result"), result).await
    }

    pub(crate) async fn state(&self, lease: Lease, op: &str, body: &str) -> (u16, String) {
        let request = self.request(Method::POST, &path(lease, &format!("state/{op}")));
        let (status, body) = bytes(request.body(body.to_owned())).await;
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    /// Sends a plan as data.
    pub(crate) async fn put_plan(&self, lease: Lease, plan: &PlanData) -> Answer<PlanTaken> {
        answer(self.request(Method::PUT, &path(lease, "plan")).json(plan)).await
    }

    pub(crate) fn attestation(
        &self,
        world: &World,
        lease: Lease,
        sealed: &[u8],
    ) -> WorkspaceAttestation {
        WorkspaceAttestation {
            v: 1,
            run: lease.run,
            stack: world.stack.clone(),
            attempt: lease.attempt,
            sealed: Digest::of(sealed),
            plan: Digest::of(b"plan file"),
            rendered: Digest::of(b"plan text"),
            image: "registry.example/runner@sha256:0".to_owned(),
            worker: Digest::of(b"worker"),
            tool: None,
            document: None,
            changes: None,
        }
    }

    pub(crate) async fn put_workspace(
        &self,
        lease: Lease,
        attestation: &str,
        sealed: &[u8],
    ) -> Answer<()> {
        let request = self.request(Method::PUT, &path(lease, "workspace"));
        let request = request.header(HEADER, attestation).body(sealed.to_vec());
        let (status, body) = bytes(request).await;
        if status.is_success() {
            Ok(())
        } else {
            Err(serde_json::from_slice(&body).unwrap())
        }
    }

    /// Packs and parks a planned run.
    pub(crate) async fn park(&self, world: &World, lease: Lease) -> ResultTaken {
        let sealed = b"sealed workspace";
        let attestation = self.attestation(world, lease, sealed);
        let attestation = jws::sign_pool(&attestation, world.key).unwrap();
        self.put_workspace(lease, &attestation, sealed)
            .await
            .unwrap();
        let result = RunResult {
            plan: Some(changes()),
            ..ended(Outcome::Parked { attestation })
        };
        self.result(lease, &result).await.unwrap()
    }
}

pub(crate) fn path(lease: Lease, what: &str) -> String {
    format!("/v1/runs/{}/{}/{what}", lease.run, lease.attempt)
}

/// The same run under another attempt number.
pub(crate) fn attempt(lease: Lease, attempt: u32) -> Lease {
    Lease {
        attempt: Attempt(attempt),
        ..lease
    }
}
