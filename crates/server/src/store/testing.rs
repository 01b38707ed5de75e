//! A database in a temporary directory with one pool and one stack, for tests of the store's users.
//!
//! Takes nothing, gives an open store. Never used outside tests.

use std::sync::Arc;

use gantry_protocol::control::session::About;
use gantry_protocol::crypto::EdKey;
use gantry_protocol::payload::{Hooks, ToolKind};
use gantry_protocol::{Digest, LauncherId, PoolId, RunId, RunType, StackId};
use ulid::Ulid;

use super::launchers::{Launcher, Newcomer};
use super::pool_keys::PoolKey;
use super::pools::Pool;
use super::runs::{NewRun, RunRecord, RunSettings};
use super::stacks::Stack;
use super::{Store, pools, runs, stacks};
use crate::clock::UnixMillis;
use crate::domain::stack::{Code, StackSettings, StateKeeper, Vendor};
use crate::domain::{Actor, Approval, EnrolmentRules, Run, TaskInit};

/// An open store, its directory, its pool and its stack.
pub(crate) struct World {
    pub(crate) store: Arc<Store>,
    pub(crate) pool: PoolId,
    pub(crate) stack: StackId,
    dir: tempfile::TempDir,
}

pub(crate) fn ann() -> Actor {
    Actor::User("ann".to_owned())
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path()).await.unwrap());
        let pool = PoolId::from_ulid(store.new_id());
        let stack: StackId = "net".parse().unwrap();
        let mut tx = store.begin().await.unwrap();
        pools::insert(&mut tx, &sample_pool(pool)).await.unwrap();
        stacks::insert(&mut tx, &sample_stack(&stack, pool))
            .await
            .unwrap();
        store.commit(tx).await.unwrap();
        Self {
            store,
            pool,
            stack,
            dir,
        }
    }

    /// Where the database is.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Adds a run of the stack.
    pub(crate) async fn run(&self, run_type: RunType) -> RunRecord {
        let id = RunId::from_ulid(self.store.new_id());
        let run = Run::queued(
            id,
            self.stack.clone(),
            run_type,
            Approval::Person,
            TaskInit::Run,
        );
        let new = NewRun {
            run,
            pool: self.pool,
            title: "try it".to_owned(),
            commit: super::commit::Commit {
                hash: "a".repeat(40),
                ..Default::default()
            },
            triggered_by: Some("ann".to_owned()),
            command: None,
            metadata: Vec::new(),
            settings: sample_run_settings(),
            gate: crate::domain::Gate::Open,
            cause: crate::domain::Cause::Asked,
            overrides: Vec::new(),
            note: None,
        };
        let mut tx = self.store.begin().await.unwrap();
        let record = runs::create(&mut tx, &new, &ann(), UnixMillis::now())
            .await
            .unwrap();
        self.store.commit(tx).await.unwrap();
        record
    }
}

fn sample_run_settings() -> RunSettings {
    RunSettings {
        space: "root".to_owned(),
        labels: Vec::new(),
        url: "https://git.example/acme/net.git".to_owned(),
        repository: "acme/net".to_owned(),
        stack_branch: "main".to_owned(),
        project_root: String::new(),
        runner_image: None,
        tool: Vendor::OpenTofu { version: None }.tool(),
        hooks: Hooks::default(),
        managed_state: true,
        archive: None,
        environment: std::collections::BTreeMap::new(),
    }
}

pub(crate) fn sample_pool(id: PoolId) -> Pool {
    Pool {
        id,
        name: "dock".to_owned(),
        description: None,
        labels: vec!["eu".to_owned()],
        space: "root".to_owned(),
        key: sample_key(id),
        enrolment: EnrolmentRules::default(),
        drift_limit: None,
        created_by: "ann".to_owned(),
        created_at: UnixMillis(5),
    }
}

fn sample_key(pool: PoolId) -> PoolKey {
    PoolKey {
        id: pool.to_string().parse().unwrap(),
        csr: "csr".to_owned(),
        certificate: "certificate".to_owned(),
        public_key: "public key".to_owned(),
        created_by: "ann".to_owned(),
        created_at: UnixMillis(5),
        retires_at: None,
    }
}

pub(crate) fn sample_stack(id: &StackId, pool: PoolId) -> Stack {
    let settings = StackSettings {
        name: "Net".to_owned(),
        description: Some("the network".to_owned()),
        space: "root".to_owned(),
        labels: vec!["a".to_owned(), "b".to_owned()],
        code: Code {
            url: "https://git.example/acme/net.git".to_owned(),
            namespace: "acme".to_owned(),
            repository: "net".to_owned(),
            branch: "main".to_owned(),
            project_root: "prod".to_owned(),
        },
        runner_image: Some("registry.example/runner:1".to_owned()),
        vendor: Vendor::Terraform {
            version: Some("1.9.0".to_owned()),
            workflow: ToolKind::OpenTofu,
        },
        pool: Some(pool),
        approval: Approval::Automatic,
        hooks: Hooks {
            before_init: vec!["echo hi".to_owned()],
            ..Hooks::default()
        },
        administrative: true,
        local_preview: false,
    };
    Stack {
        id: id.clone(),
        settings,
        state_keeper: StateKeeper::Server,
        tracked: None,
        locked_by: None,
        availability: crate::domain::stack::Availability::Enabled,
        deleted_by: None,
        created_at: UnixMillis(7),
    }
}

/// A launcher that just enrolled.
pub(crate) fn newcomer(pool: PoolId) -> Launcher {
    Newcomer {
        id: LauncherId::from_ulid(Ulid::generate()),
        pool,
        public_key: EdKey::generate().public(),
        pool_key: pool.to_string().parse().unwrap(),
        machine: Digest::of(b"machine"),
        about: About::default(),
        address: "192.0.2.1".to_owned(),
    }
    .enrolled(UnixMillis::now())
}
