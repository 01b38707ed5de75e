//! A server with one pool and one stack, and what people would do to it.

use std::sync::{Arc, OnceLock};

use gantry_policy::PolicyKind;
use gantry_protocol::control::inbox::SealedRun;
use gantry_protocol::control::token::PoolToken;
use gantry_protocol::crypto::PoolKey;
use gantry_protocol::payload::{Hooks, RunPayload, ToolKind};
use gantry_protocol::{PoolId, RunId, RunState, RunType, StackId};
use gantry_server::blobs::Blobs;
use gantry_server::clock::UnixMillis;
use gantry_server::domain::stack::{Availability, Code, StackSettings, StateKeeper, Vendor};
use gantry_server::domain::{Actor, Approval, EnrolmentRules, Run, RunEvent, TaskInit};
use gantry_server::pki::{Keyring, PoolCertificate};
use gantry_server::store::Store;
use gantry_server::store::commit::Commit;
use gantry_server::store::policies::{self, Policy};
use gantry_server::store::pool_keys as stored_keys;
use gantry_server::store::pools::{self, Pool};
use gantry_server::store::runs::{self, NewRun, RunRecord, RunSettings};
use gantry_server::store::stack_config::{self, ConfigElement, ConfigKind, StoredValue};
use gantry_server::store::stacks::{self, Stack};
use gantry_server::vault::Vault;
use gantry_server::workers::{self, Control, PeerAddr, Settings};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// A running server. Its loops end with it.
pub(crate) struct World {
    pub(crate) control: Arc<Control>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) pool: PoolId,
    pub(crate) key: &'static PoolKey,
    pub(crate) stack: StackId,
    pub(crate) base: String,
    stopping: CancellationToken,
    _dir: tempfile::TempDir,
}

/// Making an RSA key takes a while: one for all tests, and another one that is wrong everywhere.
pub(crate) fn pool_keys() -> &'static [PoolKey; 2] {
    static KEYS: OnceLock<[PoolKey; 2]> = OnceLock::new();
    KEYS.get_or_init(|| [(); 2].map(|()| PoolKey::generate(2048).unwrap()))
}

pub(crate) fn csr(key: &PoolKey) -> String {
    let key = rsa::RsaPrivateKey::from_pkcs1_pem(key.to_pem().expose()).unwrap();
    let pem = key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    let pair = rcgen::KeyPair::from_pem(&pem).unwrap();
    let request = rcgen::CertificateParams::default()
        .serialize_request(&pair)
        .unwrap();
    request.pem().unwrap()
}

fn ann() -> Actor {
    Actor::User("ann".to_owned())
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let store = Arc::new(Store::open(dir.path()).await.unwrap());
        let master = dir.path().join("master-key");
        std::fs::write(&master, Vault::generate().expose()).unwrap();
        let vault = Arc::new(Vault::from_file(&master).unwrap());
        let blobs = dir.path().join("blobs");
        std::fs::create_dir(&blobs).unwrap();
        let blobs = Arc::new(Blobs::open(&blobs).unwrap());
        let keys = Arc::new(Keyring::open(&store, &vault).await.unwrap());
        let settings = Settings {
            policy_program: Some(env!("CARGO_BIN_EXE_gantry-server").into()),
            ..Settings::new(&base)
        };
        let control = Control::new(store, Arc::clone(&vault), blobs, keys, settings);
        let stopping = CancellationToken::new();
        let dispatcher = control.dispatcher.clone();
        let stop = stopping.clone();
        tokio::spawn(async move { dispatcher.run(stop).await });
        serve(listener, &control);
        let key = &pool_keys()[0];
        let pool = add_pool(&control, key).await;
        let stack: StackId = "net".parse().unwrap();
        let world = Self {
            control,
            vault,
            pool,
            key,
            stack,
            base,
            stopping,
            _dir: dir,
        };
        world.add_stack(&world.stack, Approval::Person).await;
        world
    }

    /// Another pool with its own key.
    pub(crate) async fn other_pool(&self) -> PoolId {
        add_pool(&self.control, &pool_keys()[1]).await
    }

    pub(crate) async fn token(&self) -> PoolToken {
        let pool = pools::get(&mut self.control.store.read().await.unwrap(), self.pool).await;
        self.control
            .keys
            .token(self.pool, &pool.unwrap().key.certificate, &self.base)
    }

    /// Gives the pool the other key; the one before counts until `retires_at`.
    pub(crate) async fn reset(&self, retires_at: UnixMillis) {
        let issued = self.control.keys.issue(&csr(&pool_keys()[1]), self.pool);
        let key = stored_key(&self.control, issued.unwrap());
        let mut tx = self.control.store.begin().await.unwrap();
        stored_keys::retire(&mut tx, self.pool, retires_at)
            .await
            .unwrap();
        stored_keys::insert(&mut tx, self.pool, &key).await.unwrap();
        self.control.store.commit(tx).await.unwrap();
    }

    /// Other rules for newcomers.
    pub(crate) async fn set_enrolment(&self, enrolment: EnrolmentRules) {
        let mut tx = self.control.store.begin().await.unwrap();
        let pool = pools::get(&mut tx, self.pool).await.unwrap();
        let pool = Pool { enrolment, ..pool };
        pools::update(&mut tx, &pool).await.unwrap();
        self.control.store.commit(tx).await.unwrap();
    }

    /// A launcher with a session that takes runs.
    pub(crate) async fn launcher(&self) -> Client {
        let mut client = Client::enrolled(self).await;
        client.take_over("first").await.unwrap();
        client
    }

    pub(crate) async fn add_stack(&self, id: &StackId, approval: Approval) {
        let settings = StackSettings {
            name: id.to_string(),
            description: None,
            space: "root".to_owned(),
            labels: vec!["team:net".to_owned(), "eu".to_owned()],
            code: Code {
                url: "https://git.example/acme/net.git".to_owned(),
                namespace: "acme".to_owned(),
                repository: "net".to_owned(),
                branch: "main".to_owned(),
                project_root: "prod".to_owned(),
            },
            runner_image: Some("registry.example/runner:1".to_owned()),
            vendor: Vendor::Terraform {
                version: None,
                workflow: ToolKind::Terraform,
            },
            pool: Some(self.pool),
            approval,
            hooks: Hooks {
                before_plan: vec!["echo plan".to_owned()],
                ..Hooks::default()
            },
            administrative: false,
            local_preview: false,
        };
        let stack = Stack {
            id: id.clone(),
            settings,
            state_keeper: StateKeeper::Server,
            tracked: None,
            locked_by: None,
            availability: Availability::Enabled,
            deleted_by: None,
            created_at: UnixMillis::now(),
        };
        let mut tx = self.control.store.begin().await.unwrap();
        stacks::insert(&mut tx, &stack).await.unwrap();
        self.control.store.commit(tx).await.unwrap();
    }

    /// Autodeploy on or off, from now on.
    pub(crate) async fn set_approval(&self, approval: Approval) {
        let mut tx = self.control.store.begin().await.unwrap();
        let stack = stacks::get(&mut tx, &self.stack).await.unwrap();
        let settings = StackSettings {
            approval,
            ..stack.settings
        };
        stacks::update(&mut tx, &self.stack, &settings)
            .await
            .unwrap();
        self.control.store.commit(tx).await.unwrap();
    }

    /// A policy on every stack.
    pub(crate) async fn add_policy(&self, id: &str, kind: PolicyKind, body: &str) {
        let now = UnixMillis::now();
        let policy = Policy {
            id: id.parse().unwrap(),
            name: id.to_owned(),
            description: None,
            kind,
            body: body.to_owned(),
            labels: vec!["autoattach:*".to_owned()],
            space: "root".to_owned(),
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.control.store.begin().await.unwrap();
        policies::insert(&mut tx, &policy).await.unwrap();
        self.control.store.commit(tx).await.unwrap();
    }

    pub(crate) async fn set_variable(&self, name: &str, value: StoredValue) {
        let element = ConfigElement {
            id: name.to_owned(),
            kind: ConfigKind::Variable,
            value,
            checksum: String::new(),
            description: None,
            created_at: UnixMillis::now(),
        };
        let mut tx = self.control.store.begin().await.unwrap();
        stack_config::set(&mut tx, &self.stack, &element)
            .await
            .unwrap();
        self.control.store.commit(tx).await.unwrap();
    }

    pub(crate) async fn trigger(&self, run_type: RunType) -> RunId {
        self.trigger_on(&self.stack, run_type, Approval::Person)
            .await
    }

    pub(crate) async fn trigger_on(
        &self,
        stack: &StackId,
        run_type: RunType,
        approval: Approval,
    ) -> RunId {
        let store = &self.control.store;
        let id = RunId::from_ulid(store.new_id());
        let mut tx = store.begin().await.unwrap();
        let settings = stacks::get(&mut tx, stack).await.unwrap().settings;
        let new = NewRun {
            run: Run::queued(id, stack.clone(), run_type, approval, TaskInit::Run),
            pool: self.pool,
            title: "a change".to_owned(),
            commit: Commit {
                hash: "a".repeat(40),
                branch: "main".to_owned(),
                author_name: "Ada".to_owned(),
                message: "one\n\nand why".to_owned(),
                timestamp: 1_760_000_000,
                ..Commit::default()
            },
            triggered_by: Some("ann".to_owned()),
            command: (run_type == RunType::Task).then(|| "terraform state list".to_owned()),
            metadata: vec!["ticket 7".to_owned()],
            settings: RunSettings {
                space: settings.space.clone(),
                labels: settings.labels.clone(),
                url: settings.code.url.clone(),
                repository: settings.code.full_name(),
                stack_branch: settings.code.branch.clone(),
                project_root: settings.code.project_root.clone(),
                runner_image: settings.runner_image.clone(),
                tool: settings.vendor.tool(),
                hooks: settings.hooks.clone(),
                managed_state: true,
                archive: None,
                environment: std::collections::BTreeMap::new(),
            },
            gate: gantry_server::domain::Gate::Open,
            cause: gantry_server::domain::Cause::Asked,
            overrides: Vec::new(),
            note: None,
        };
        runs::create(&mut tx, &new, &ann(), UnixMillis::now())
            .await
            .unwrap();
        store.commit(tx).await.unwrap();
        id
    }

    /// A person decides.
    pub(crate) async fn decide(&self, run: RunId, event: RunEvent, note: Option<&str>) {
        let mut tx = self.control.store.begin().await.unwrap();
        runs::apply(&mut tx, run, &event, &ann(), note, UnixMillis::now())
            .await
            .unwrap();
        self.control.store.commit(tx).await.unwrap();
    }

    pub(crate) async fn run(&self, run: RunId) -> RunRecord {
        runs::get(&mut self.control.store.read().await.unwrap(), run)
            .await
            .unwrap()
    }

    pub(crate) async fn state(&self, run: RunId) -> RunState {
        self.run(run).await.run.state
    }

    /// The states of the run's history, oldest first.
    pub(crate) async fn history(&self, run: RunId) -> Vec<RunState> {
        let rows = runs::history(&mut self.control.store.read().await.unwrap(), run)
            .await
            .unwrap();
        rows.into_iter().rev().map(|row| row.state).collect()
    }

    /// Opens an envelope as the launcher would.
    pub(crate) async fn open(&self, client: &Client, sealed: &SealedRun) -> RunPayload {
        self.open_with(client, sealed, self.key).await
    }

    /// The same with one of the pool's keys.
    pub(crate) async fn open_with(
        &self,
        client: &Client,
        sealed: &SealedRun,
        key: &PoolKey,
    ) -> RunPayload {
        use gantry_protocol::control::envelope::{Expected, verify};
        let token = self.token().await;
        let expected = Expected {
            server_keys: &token.server_keys,
            pool: self.pool,
            launcher: client.id,
            now: Some(UnixMillis::now().seconds()),
        };
        verify(sealed, &expected).unwrap().open(key).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

fn serve(listener: TcpListener, control: &Arc<Control>) {
    let routes = workers::router(Arc::clone(control));
    let service = routes.into_make_service_with_connect_info::<PeerAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
}

fn stored_key(control: &Control, issued: PoolCertificate) -> stored_keys::PoolKey {
    stored_keys::PoolKey {
        id: control.store.new_id(),
        csr: issued.csr_pem,
        certificate: issued.pem,
        public_key: issued.public_key_pem,
        created_by: "ann".to_owned(),
        created_at: UnixMillis::now(),
        retires_at: None,
    }
}

async fn add_pool(control: &Control, key: &PoolKey) -> PoolId {
    let id = PoolId::from_ulid(control.store.new_id());
    let issued = control.keys.issue(&csr(key), id).unwrap();
    let pool = Pool {
        id,
        name: "dock".to_owned(),
        description: None,
        labels: Vec::new(),
        space: "root".to_owned(),
        key: stored_key(control, issued),
        enrolment: EnrolmentRules::default(),
        drift_limit: None,
        created_by: "ann".to_owned(),
        created_at: UnixMillis::now(),
    };
    let mut tx = control.store.begin().await.unwrap();
    pools::insert(&mut tx, &pool).await.unwrap();
    control.store.commit(tx).await.unwrap();
    id
}
