//! What a page costs the database: the same number of statements, however many things are on it.
//!
//! Counts the statements that are sent while one operation is answered.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use async_graphql::{Request, Variables};
use gantry_protocol::crypto::EdKey;
use gantry_server::app::App;
use gantry_server::auth::{Role, create_key};
use gantry_server::graphql::{ApiSchema, schema};
use gantry_server::operations::Caller;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Instrument, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::matrix::worker::enrolled;
use crate::world::{KEY_TEXT, World};

/// Of each counted operation, by its span, the statements.
static SENT: LazyLock<Mutex<HashMap<u64, Vec<String>>>> = LazyLock::new(Mutex::default);

/// What a new connection sends before its first statement.
const OPENING: &str = "\"PRAGMA ";

/// The database's connections note each statement on threads of their own, inside the span of who asked.
struct Counting;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Counting {
    fn on_event(&self, event: &tracing::Event<'_>, ctx: Context<'_, S>) {
        if event.metadata().target() != "sqlx::query" {
            return;
        }
        let counted = ctx
            .event_scope(event)
            .and_then(|mut scope| scope.find(|span| span.name() == "counted"));
        if let Some(span) = counted {
            let mut text = Text::default();
            event.record(&mut text);
            if text.0.starts_with(OPENING) {
                return;
            }
            let mut sent = SENT.lock().unwrap();
            sent.entry(span.id().into_u64()).or_default().push(text.0);
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "summary" {
            self.0 = format!("{value:?}");
        }
    }
}

static COUNTED: LazyLock<()> = LazyLock::new(|| {
    let all = tracing_subscriber::registry().with(Counting);
    tracing::subscriber::set_global_default(all).unwrap();
});

/// One who asks, and whose statements are counted.
struct Asker {
    app: Arc<App>,
    schema: ApiSchema,
    caller: Caller,
}

impl Asker {
    async fn new(world: &World) -> Self {
        LazyLock::force(&COUNTED);
        let app = world.app();
        let key = create_key(&app.store, "counted", Role::Admin)
            .await
            .unwrap();
        let variables = json!({ "id": key.id, "secret": key.secret.expose() });
        let session = world.nobody().ok(KEY_TEXT, variables).await;
        let jwt = session["apiKeyUser"]["jwt"].as_str().unwrap();
        let principal = app.tokens.bearer(&app.store, jwt).await.unwrap();
        Self {
            app: Arc::clone(app),
            schema: schema(Arc::clone(app)),
            caller: Caller::new(Arc::clone(app), principal.unwrap()),
        }
    }

    /// The data of an answer, and the statements that it took.
    async fn ask(&self, text: &str, variables: Value) -> (Value, Vec<String>) {
        let request = Request::new(text)
            .variables(Variables::from_json(variables))
            .data(self.caller.clone());
        let counted = tracing::info_span!("counted");
        let id = counted.id().as_ref().map(span::Id::into_u64).unwrap();
        let answer = self.schema.execute(request).instrument(counted).await;
        assert!(answer.errors.is_empty(), "{text}: {:?}", answer.errors);
        let sent = SENT.lock().unwrap().remove(&id).unwrap_or_default();
        (answer.data.into_json().unwrap(), sent)
    }

    /// Asks for a short and a long page, which have to cost the same; gives the long one.
    ///
    /// For the short one a connection is opened, as on a busy server: that is no statement of the page.
    async fn same(&self, text: &str, (short, long): (Value, Value)) -> Value {
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(self.app.store.read().await.unwrap());
        }
        let (few, sent_for_few) = self.ask(text, short).await;
        drop(held);
        let (many, sent_for_many) = self.ask(text, long).await;
        assert!(few.to_string().len() < many.to_string().len());
        assert!(!sent_for_few.is_empty(), "nothing was counted");
        assert_eq!(
            sent_for_few.len(),
            sent_for_many.len(),
            "{sent_for_many:#?}"
        );
        many
    }
}

/// Fifty-five stacks in two spaces and two pools, each with sixty runs and one of every other thing.
async fn filled(world: &World) {
    world.stack().await;
    let ok = |text: &'static str, variables: Value| world.admin.ok(text, variables);
    let other = ok(
        "mutation{spaceCreate(input:{name:\"Other\",parentSpace:\"root\",inheritEntities:true}){id}}",
        json!({}),
    );
    assert_eq!(other.await["spaceCreate"]["id"], "other");
    let run = ok(
        "mutation{runTrigger(stack:\"net\",runType:TRACKED){id}}",
        json!({}),
    )
    .await;
    let run = run["runTrigger"]["id"].as_str().unwrap().to_owned();
    let second = world.pool().await;
    for n in 0..54 {
        let input = json!({
            "name": format!("many {n:02}"), "repository": format!("file://{}/code", world.dir.path().display()),
            "branch": "main", "workerPool": second["id"], "space": if n % 2 == 0 { "root" } else { "other" },
            "labels": ["shared"], "vendorConfig": { "openTofu": { "version": "1.8.2" } },
        });
        ok(
            "mutation($input:StackInput!){stackCreate(input: $input, manageState: true){id}}",
            json!({ "input": input }),
        )
        .await;
        let stack = format!("many-{n:02}");
        ok("mutation($stack:ID!$input:DriftDetectionInput!){stackDriftDetectionSet(stack: $stack, input: $input){timezone}}", json!({
            "stack": stack, "input": { "schedule": ["0 3 * * *"], "timezone": "UTC" } })).await;
        ok("mutation($stack:ID!$config:ConfigInput!){stackConfigAdd(stack: $stack, config: $config){id}}", json!({
            "stack": stack, "config": { "id": "A", "type": "ENVIRONMENT_VARIABLE", "value": "1", "writeOnly": false } })).await;
        ok(
            "mutation($name:String!){contextCreate(name: $name){id}}",
            json!({ "name": format!("of {stack}") }),
        )
        .await;
        ok(
            "mutation($id:ID!$stack:ID!){contextAttach(id: $id, stack: $stack, priority: 1){id}}",
            json!({ "id": format!("of-{stack}"), "stack": stack }),
        )
        .await;
    }
    let mut tx = world.app().store.begin().await.unwrap();
    let columns: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM pragma_table_info('runs') WHERE name NOT IN ('id', 'stack_id', 'holds_lock', 'run_type')",
    )
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    let columns: Vec<String> = columns.into_iter().map(|(name,)| name).collect();
    let of_run: Vec<String> = columns.iter().map(|name| format!("r.{name}")).collect();
    let (columns, of_run) = (columns.join(", "), of_run.join(", "));
    let copies = format!(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 59)
         INSERT INTO runs (id, stack_id, holds_lock, run_type, {columns})
         SELECT printf('01BENCH%019d', n.i * 100 + s.rowid), s.id, n.i = 0,
           CASE n.i % 3 WHEN 0 THEN 'TRACKED' WHEN 1 THEN 'PROPOSED' ELSE 'TASK' END, {of_run}
         FROM n, stacks s, (SELECT * FROM runs WHERE id = '{run}') r WHERE s.id <> 'net'"
    );
    sqlx::query(sqlx::AssertSqlSafe(copies))
        .execute(&mut *tx)
        .await
        .unwrap();
    let transitions = "INSERT INTO run_transitions (run_id, state_version, state, entered_at)
                       SELECT id, 1, 'QUEUED', 1 FROM runs WHERE id LIKE '01BENCH%'";
    sqlx::query(transitions).execute(&mut *tx).await.unwrap();
    world.app().store.commit(tx).await.unwrap();
}

const SEARCH: &str = "query($n:Int!){searchStacks(input:{first:$n,fullTextSearch:\"many\"}){edges{node{
    id state stateSetAt blocker{id isMostRecent needsApproval history{state} reviews{author}}
    spaceDetails{id} driftDetection{timezone} config{id} attachedPolicies{policyId} runtimeConfig{element{id}}
    attachedContexts{contextId config{id}}
    workerPool{id busyWorkers workersCount pendingRuns schedulable keys{id} spaceDetails{id} workers{id busy}}}}}}";

const SEARCH_RUNS: &str =
    "query($n:Int!){searchStacks(input:{first:$n,fullTextSearch:\"many\"}){edges{node{
    id runs{id isMostRecent needsApproval} proposedRuns{id} tasks{id type}}}}}";

#[tokio::test]
async fn a_page_of_fifty_costs_what_a_page_of_five_costs() {
    let world = World::with(&["--api-rate", "0"]).await;
    filled(&world).await;
    let asker = Asker::new(&world).await;
    let pages = || (json!({ "n": 5 }), json!({ "n": 50 }));

    let found = asker.same(SEARCH, pages()).await;
    let edges = found["searchStacks"]["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 50);
    for (n, edge) in edges.iter().enumerate() {
        let node = &edge["node"];
        let id = format!("many-{n:02}");
        assert_eq!(node["id"], *id);
        assert_eq!(
            node["attachedContexts"][0]["contextId"],
            *format!("of-{id}"),
            "{node}"
        );
        assert_eq!(node["config"][0]["id"], "A", "{node}");
        assert_eq!(node["driftDetection"]["timezone"], "UTC", "{node}");
        assert_eq!(node["blocker"]["history"][0]["state"], "QUEUED", "{node}");
        let space = if n % 2 == 0 { "root" } else { "other" };
        assert_eq!(node["spaceDetails"]["id"], space, "{node}");
    }

    let found = asker.same(SEARCH_RUNS, pages()).await;
    for edge in found["searchStacks"]["edges"].as_array().unwrap() {
        let node = &edge["node"];
        let length = |list: &str| node[list].as_array().unwrap().len();
        assert_eq!(
            (length("runs"), length("proposedRuns"), length("tasks")),
            (50, 20, 20)
        );
        assert!(
            node["tasks"]
                .as_array()
                .unwrap()
                .iter()
                .all(|run| run["type"] == "TASK")
        );
        let ids: Vec<&str> = node["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["id"].as_str().unwrap())
            .collect();
        assert!(ids.is_sorted_by(|a, b| a > b), "newest first: {ids:?}");
        assert_eq!(node["runs"][0]["isMostRecent"], true, "{node}");
        assert_eq!(node["runs"][49]["isMostRecent"], false, "{node}");
    }
}

#[tokio::test]
async fn a_list_of_runs_costs_the_same_whatever_its_length() {
    let world = World::with(&["--api-rate", "0"]).await;
    filled(&world).await;
    let text = "query($stack:ID!){stack(id:$stack){runs{id history{state} reviews{author} isMostRecent needsApproval}}}";
    let asker = Asker::new(&world).await;
    asker
        .same(
            text,
            (json!({ "stack": "net" }), json!({ "stack": "many-00" })),
        )
        .await;
}

#[tokio::test]
async fn a_pool_of_twenty_costs_what_a_pool_of_two_costs() {
    let world = World::with(&["--api-rate", "0"]).await;
    let text = "query($id:ID!){workerPool(id:$id){busyWorkers workersCount schedulable workers{id busy status}}}";
    let asker = Asker::new(&world).await;
    let (small, large) = (world.pool().await, world.pool().await);
    for (pool, count) in [(&small, 2), (&large, 20)] {
        for _ in 0..count {
            enrolled(&world, pool["id"].as_str().unwrap(), &EdKey::generate()).await;
        }
    }
    let found = asker.same(
        text,
        (json!({ "id": small["id"] }), json!({ "id": large["id"] })),
    );
    assert_eq!(found.await["workerPool"]["workersCount"], 20);
    let (_, sent) = asker.ask(text, json!({ "id": large["id"] })).await;
    assert!(
        sent.len() <= 3,
        "the launchers are asked for once: {sent:#?}"
    );
}
