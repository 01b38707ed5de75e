//! Every root field of the schema × every role × things of one's own space and of another one: all cells executed.

mod rules;
pub(crate) mod worker;

use std::collections::{BTreeMap, BTreeSet};

use gantry_protocol::crypto::EdKey;
use serde_json::{Value, json};

use self::rules::{Least, MUTATIONS, Own, QUERIES, Rule};
use crate::spaces::{limited, pool_in, space, stack_input};
use crate::world::{Client, World};

/// What no space has.
const NOTHING: &str = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C";

/// Stands in every name of the other space.
const MARK: &str = "zebra";

/// Things of one space, by the name that rules have for them.
type Things = BTreeMap<String, String>;

struct Scene {
    world: World,
    url: String,
    pools: BTreeMap<String, Value>,
    made: std::cell::Cell<u32>,
    callers: Vec<(Least, Client)>,
}

impl Scene {
    async fn new() -> Self {
        let world = World::with(&["--api-rate", "0", "--vcs-gateway-listen", "127.0.0.1:0"]).await;
        let (url, _) = world.repository();
        let mut pools = BTreeMap::new();
        for id in ["own", MARK] {
            space(&world, id, "root").await;
            pools.insert(id.to_owned(), pool_in(&world.admin, Some(id)).await);
        }
        let mut callers = vec![(Least::Anyone, world.nobody())];
        // The credential of a pool is none of the API.
        let token = world.pool().await["config"].as_str().unwrap().to_owned();
        callers.push((Least::Anyone, world.nobody().with_token(&token)));
        // Nor is the session of a worker.
        let pool = pools["own"]["id"].as_str().unwrap_or_default();
        let session = worker::session(&world, pool).await;
        callers.push((Least::Anyone, world.nobody().with_token(&session)));
        for (least, role) in [
            (Least::Reader, "READER"),
            (Least::Writer, "WRITER"),
            (Least::Admin, "ADMIN"),
        ] {
            callers.push((least, limited(&world, role, &["own"]).await));
        }
        callers.push((Least::Owner, world.admin.clone()));
        Self {
            world,
            url,
            pools,
            made: std::cell::Cell::default(),
            callers,
        }
    }

    /// Makes what the rest of an operation names.
    async fn things(&self, rest: &str, at: &str) -> Things {
        let mut things = Things::new();
        let wanted = names(rest);
        let wants = |name: &str| wanted.contains(name);
        self.made.set(self.made.get() + 1);
        let fresh = format!("{at}-{}", self.made.get());
        let admin = &self.world.admin;
        if wants("stack") || wants("run") {
            let input = stack_input(&self.url, &fresh, Some(at), &self.pools[at]);
            let text =
                "mutation($input:StackInput!){stackCreate(input: $input, manageState: true){id}}";
            let made = admin.ok(text, json!({ "input": input })).await;
            things.insert("stack".to_owned(), id(&made["stackCreate"]));
        }
        if wants("run") {
            let text = "mutation($stack:ID!){runTrigger(stack: $stack){id}}";
            let made = admin.ok(text, json!({ "stack": things["stack"] })).await;
            things.insert("run".to_owned(), id(&made["runTrigger"]));
        }
        if wants("pool") {
            things.insert("pool".to_owned(), id(&pool_in(admin, Some(at)).await));
        }
        if wants("policy") {
            let text = "mutation($name:String!$space:ID){policyCreate(name: $name, space: $space, type: GIT_PUSH, body: \"package spacelift\\ntrack { true }\"){id}}";
            let made = admin.ok(text, json!({ "name": fresh, "space": at })).await;
            things.insert("policy".to_owned(), id(&made["policyCreate"]));
        }
        if wants("context") {
            let text =
                "mutation($name:String!$space:ID){contextCreate(name: $name, space: $space){id}}";
            let made = admin.ok(text, json!({ "name": fresh, "space": at })).await;
            things.insert("context".to_owned(), id(&made["contextCreate"]));
        }
        if wants("vcspool") {
            let text = "mutation($name:String!$space:ID){vcsAgentPoolCreate(name: $name, space: $space){id}}";
            let made = admin.ok(text, json!({ "name": fresh, "space": at })).await;
            things.insert("vcspool".to_owned(), id(&made["vcsAgentPoolCreate"]));
        }
        if wants("integration") {
            let text = "mutation($name:String!$space:ID){vcsIntegrationCreate(input: {name: $name, space: $space, vendor: GITHUB, urlPrefix: \"https://git.example/\"}){integration{id}}}";
            let made = admin.ok(text, json!({ "name": fresh, "space": at })).await;
            let made = &made["vcsIntegrationCreate"]["integration"];
            things.insert("integration".to_owned(), id(made));
        }
        if wants("target") {
            let text = "mutation($name:String!$space:ID){notificationTargetCreate(name: $name, space: $space, url: \"https://hooks.example/\"){target{id}}}";
            let made = admin.ok(text, json!({ "name": fresh, "space": at })).await;
            let made = &made["notificationTargetCreate"]["target"];
            things.insert("target".to_owned(), id(made));
        }
        if wants("child") {
            let made = space(&self.world, &format!("{fresh}-child"), at).await;
            things.insert("child".to_owned(), id(&made));
        }
        if wants("key") {
            let text =
                "mutation($name:String!){apiKeyCreate(input: {name: $name, role: READER}){id}}";
            let made = admin.ok(text, json!({ "name": fresh })).await;
            things.insert("key".to_owned(), id(&made["apiKeyCreate"]));
        }
        things.insert("space".to_owned(), at.to_owned());
        if wants("worker") {
            let key = EdKey::generate();
            let made = worker::enrolled(&self.world, &things["pool"], &key).await;
            things.insert("worker".to_owned(), made.to_string());
        }
        things.insert("fresh".to_owned(), format!("{fresh}-new"));
        things
    }

    async fn ask(&self, kind: &str, rule: &Rule, client: &Client, things: &Things) -> Value {
        let wanted = names(rule.rest);
        let mut head = String::new();
        let mut variables = json!({});
        for name in &wanted {
            let of = if *name == "fresh" { "String" } else { "ID" };
            head.push_str(&format!("${name}:{of}!"));
            variables[name] = things[*name].clone().into();
        }
        let head = if head.is_empty() {
            head
        } else {
            format!("({head})")
        };
        let text = format!("{kind}{head}{{{}{}}}", rule.field, rule.rest);
        client.post(&text, variables).await
    }

    async fn check(&self, kind: &str, rule: &Rule) {
        let mut own = self.things(rule.rest, "own").await;
        for (who, client) in &self.callers {
            let cell = format!("{} by {who:?}", rule.field);
            let answer = self.ask(kind, rule, client, &own).await;
            let refused = message(&answer);
            if *who < rule.least {
                let expected = match (who, rule.least) {
                    (Least::Anyone, _) => "unauthorized",
                    (Least::Admin, Least::Owner) => {
                        "unauthorized: this needs an API key for all spaces"
                    }
                    _ => "unauthorized: this needs an API key with the role",
                };
                let right = refused.is_some_and(|text| {
                    text.starts_with(expected) && (*who != Least::Anyone || text == expected)
                });
                assert!(right, "{cell}: {answer}");
                continue;
            }
            // What an allowed change did is not there to be done again.
            own = self.things(rule.rest, "own").await;
            match rule.own {
                Own::Done => assert_eq!(refused, None, "{cell}: {answer}"),
                Own::Says(words) => {
                    let text = refused.unwrap_or_else(|| panic!("{cell}: {answer}"));
                    assert!(text.contains(words), "{cell}: {text}");
                }
            }
            if *who != Least::Owner {
                assert!(
                    !answer["data"].to_string().contains(MARK),
                    "{cell}: {answer}"
                );
                self.check_other(kind, rule, client, &cell).await;
            }
        }
    }

    /// What lies in the other space is answered as what does not exist.
    async fn check_other(&self, kind: &str, rule: &Rule, client: &Client, cell: &str) {
        let things = names(rule.rest);
        if things.iter().all(|name| *name == "fresh") {
            return;
        }
        let other = self.things(rule.rest, MARK).await;
        let mut nothing = other.clone();
        for (name, id) in &mut nothing {
            let ulid = ["run", "pool", "worker", "key", "vcspool"].contains(&name.as_str());
            if name != "fresh" {
                *id = if ulid { NOTHING } else { "nothing" }.to_owned();
            }
        }
        let blank = |answer: &Value, things: &Things| {
            let mut text = json!([answer["data"], message(answer)]).to_string();
            for (name, id) in things {
                if name != "fresh" {
                    text = text.replace(&format!("`{id}`"), "`…`");
                }
            }
            text
        };
        let found = self.ask(kind, rule, client, &other).await;
        let missing = self.ask(kind, rule, client, &nothing).await;
        assert_eq!(
            blank(&found, &other),
            blank(&missing, &nothing),
            "{cell} of another space"
        );
        let data = &found["data"][rule.field];
        assert!(data.is_null(), "{cell} of another space: {found}");
    }
}

/// The `$names` in the rest of an operation.
fn names(rest: &str) -> BTreeSet<&str> {
    let ends = |c: char| !c.is_ascii_alphanumeric();
    rest.split('$')
        .skip(1)
        .map(|text| text.split(ends).next().unwrap_or(""))
        .collect()
}

fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap().to_owned()
}

fn message(answer: &Value) -> Option<&str> {
    answer["errors"][0]["message"].as_str()
}

#[tokio::test]
async fn every_field_of_the_schema_has_a_rule() {
    let world = World::new().await;
    let text = "{__schema{queryType{fields{name}},mutationType{fields{name}}}}";
    let schema = world.reader.ok(text, json!({})).await["__schema"].clone();
    for (root, rules) in [("queryType", QUERIES), ("mutationType", MUTATIONS)] {
        let fields = schema[root]["fields"].as_array().unwrap().iter();
        let fields: BTreeSet<&str> = fields.map(|f| f["name"].as_str().unwrap()).collect();
        let known: BTreeSet<&str> = rules.iter().map(|rule| rule.field).collect();
        let without: Vec<_> = fields.difference(&known).collect();
        assert!(
            without.is_empty(),
            "no rule says who may call {without:?}: add a row to tests/api/matrix/rules.rs"
        );
        let gone: Vec<_> = known.difference(&fields).collect();
        assert!(gone.is_empty(), "these fields are no more: {gone:?}");
        assert_eq!(known.len(), rules.len(), "a field has two rules");
    }
}

#[tokio::test]
async fn every_question_is_answered_by_role_and_space() {
    let scene = Scene::new().await;
    // Lists have something to hide.
    scene
        .things(
            "$stack $run $pool $policy $context $integration $vcspool $target $child",
            MARK,
        )
        .await;
    for rule in QUERIES {
        scene.check("query", rule).await;
    }
}

#[tokio::test]
async fn every_change_is_refused_by_role_and_space() {
    let scene = Scene::new().await;
    for rule in MUTATIONS {
        scene.check("mutation", rule).await;
    }
}
