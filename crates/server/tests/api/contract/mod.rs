//! The operations of real clients, text for text, against the server: no error, the selected keys and no others,
//! and the rules about order, null and refusals that those clients rely on.

mod selection;
mod texts;

use gantry_server::domain::RunEvent;
use serde_json::{Value, json};

use crate::runs::{CANCEL, CONFIRM, DISCARD, STOP, TASK, TRIGGER, deploy, of, trigger};
use crate::world::{Client, World};

async fn sent(client: &Client, text: &str, variables: Value) -> Value {
    let data = client.ok(text, variables).await;
    selection::check(text, &data);
    data
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn every_question_of_known_clients_is_answered_with_what_it_selects() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    world.plans_changes(&run).await;
    let set = "mutation($config:ConfigInput!$stack:ID!){stackConfigAdd(stack: $stack, config: $config){id,writeOnly,value}}";
    for write_only in [true, false] {
        let config = json!({ "id": format!("A_{write_only}"), "type": "ENVIRONMENT_VARIABLE", "value": "1", "writeOnly": write_only });
        let set = sent(
            &world.writer,
            set,
            json!({ "config": config, "stack": "net" }),
        )
        .await;
        let value = if write_only { Value::Null } else { json!("1") };
        assert_eq!(set["stackConfigAdd"]["value"], value);
    }
    for (text, variables) in texts::QUESTIONS {
        sent(&world.admin, text, json_of(variables)).await;
    }
    let pools = world.reader.ok("{workerPools{id}}", json!({})).await;
    let pool = &pools["workerPools"][0]["id"];
    for text in texts::OF_POOL {
        let found = sent(&world.reader, text, json!({ "workerPool": pool })).await;
        assert!(found["workerPool"].is_object(), "{text}");
        let missing = sent(&world.reader, text, json!({ "workerPool": "nope" })).await;
        assert_eq!(missing["workerPool"], Value::Null);
    }
    let stack = sent(
        &world.reader,
        "query($runId:ID!){runStack(runId: $runId){id,name}}",
        json!({ "runId": run }),
    )
    .await;
    assert_eq!(stack["runStack"]["id"], "net");
    let history = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){history{hasLogs,note,state,stateVersion,terminal,timestamp,username}}}}";
    let history = sent(&world.reader, history, of(&run)).await;
    let states = history["stack"]["run"]["history"].as_array().unwrap();
    let newest_first = states.windows(2).all(|pair| {
        pair[0]["stateVersion"].as_i64().unwrap() > pair[1]["stateVersion"].as_i64().unwrap()
    });
    assert!(
        newest_first && states[0]["state"] == "UNCONFIRMED",
        "{history}"
    );
    let changes = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){changesV3(input: {}){resources{address,previousAddress,metadata{type}}}}}}";
    sent(&world.reader, changes, of(&run)).await;
    // What does not exist.
    for (text, variables) in [
        (
            "query($id:ID!){stack(id: $id){id,name}}",
            json!({ "id": "none" }),
        ),
        (
            "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){history{state}}}}",
            json!({ "stack": "none", "run": run }),
        ),
    ] {
        let found = sent(&world.reader, text, variables).await;
        assert_eq!(found["stack"], Value::Null);
    }
}

#[tokio::test]
async fn every_change_of_known_clients_is_done() {
    let world = World::new().await;
    let head = world.stack().await;
    let writer = &world.writer;
    let id = |data: &Value, field: &str| data[field]["id"].as_str().unwrap().to_owned();
    let older = "mutation($runtimeConfig:RuntimeConfigInput$sha:String$stack:ID!$type:RunType){runTrigger(stack: $stack, commitSha: $sha, runType: $type, runtimeConfig: $runtimeConfig){id}}";
    let preview = json!({ "runtimeConfig": null, "sha": null, "stack": "net", "type": "PROPOSED" });
    let preview = id(&sent(writer, older, preview).await, "runTrigger");
    let promote = "mutation($run:ID!$stack:ID!){runPromote(stack: $stack, run: $run){id}}";
    let prioritize = "mutation($prioritize:Boolean!$runId:ID!$stackId:ID!){runPrioritizeSet(stack: $stackId, run: $runId, prioritize: $prioritize){id}}";
    let variables = json!({ "prioritize": true, "runId": preview, "stackId": "net" });
    sent(writer, prioritize, variables).await;
    let promoted = id(&sent(writer, promote, of(&preview)).await, "runPromote");
    world.plans_changes(&promoted).await;
    let review = "mutation($decision:RunReviewDecision!$note:String!$run:ID$stack:ID!){runReview(stack: $stack, run: $run, decision: $decision, note: $note){id}}";
    let variables = json!({ "decision": "APPROVE", "note": "", "run": null, "stack": "net" });
    sent(writer, review, variables).await;
    sent(writer, CONFIRM, of(&promoted)).await;
    let again = json!({ "runtimeConfig": null, "sha": null, "stack": "net", "type": "PROPOSED" });
    let leased = id(&sent(writer, older, again).await, "runTrigger");
    world.happens(&leased, RunEvent::Leased).await;
    let stop = json!({ "note": "Stopped by spacectl", "run": leased, "stack": "net" });
    sent(writer, STOP, stop).await;
    sent(writer, CANCEL, of(&preview)).await;
    let retry = "mutation($run:ID!$stack:ID!){runRetry(stack: $stack, run: $run){id}}";
    sent(writer, retry, of(&preview)).await;
    let noinit = json!({ "command": "echo a", "noinit": false, "stack": "net" });
    sent(writer, TASK, noinit).await;
    let made = sent(
        writer,
        TRIGGER,
        trigger(gantry_protocol::RunType::Tracked, None),
    )
    .await;
    let waiting = id(&made, "runTrigger");
    let refused = writer.refused(DISCARD, of(&waiting)).await;
    assert!(refused.contains("cannot discard"), "{refused}");

    for (text, variables) in [
        (
            "mutation($note:String!$stack:ID!){stackLock(id: $stack, note: $note){id}}",
            json!({ "note": "", "stack": "net" }),
        ),
        (
            "mutation($stack:ID!){stackUnlock(id: $stack){id}}",
            json!({ "stack": "net" }),
        ),
        (
            "mutation($stack:ID!){stackDisable(id: $stack){id,isDisabled}}",
            json!({ "stack": "net" }),
        ),
        (
            "mutation($stack:ID!){stackEnable(id: $stack){id,isDisabled}}",
            json!({ "stack": "net" }),
        ),
        (
            "mutation($stack:ID!){stackSyncCommit(id: $stack){id}}",
            json!({ "stack": "net" }),
        ),
        (
            "mutation($sha:String!$stack:ID!){stackSetCurrentCommit(id: $stack, sha: $sha){trackedCommit{hash,message}}}",
            json!({ "sha": head, "stack": "net" }),
        ),
        (
            "mutation($config:ConfigInput!$stack:ID!){stackConfigAdd(stack: $stack, config: $config){id,writeOnly,type}}",
            json!({ "config": { "id": "a/b", "type": "FILE_MOUNT", "value": "YQ==", "writeOnly": false }, "stack": "net" }),
        ),
    ] {
        sent(writer, text, variables).await;
    }
    let remove = "mutation($id:ID!$stack:ID!){stackConfigDelete(stack: $stack, id: $id){id}}";
    let removed = sent(writer, remove, json!({ "id": "a/b", "stack": "net" })).await;
    assert_eq!(removed["stackConfigDelete"]["id"], "a/b");
    let again = sent(writer, remove, json!({ "id": "a/b", "stack": "net" })).await;
    assert_eq!(again["stackConfigDelete"], Value::Null);
}

#[tokio::test]
async fn lists_page_until_they_are_empty() {
    let world = World::new().await;
    world.stack().await;
    let mut made = Vec::new();
    for _ in 0..53 {
        made.push(deploy(&world.writer).await);
    }
    made.reverse();
    let text = "query($before:ID$stackId:ID!){stack(id: $stackId){runs(before: $before){id}}}";
    let (mut seen, mut before) = (Vec::new(), Value::Null);
    loop {
        let variables = json!({ "before": before, "stackId": "net" });
        let page = sent(&world.reader, text, variables).await["stack"]["runs"].clone();
        let ids = page.as_array().unwrap().iter();
        let ids: Vec<String> = ids
            .map(|run| run["id"].as_str().unwrap().to_owned())
            .collect();
        let Some(last) = ids.last() else { break };
        before = last.clone().into();
        seen.extend(ids);
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn policies_and_refusals_have_the_words_that_clients_look_for() {
    let world = World::new().await;
    world.stack().await;
    let create = "mutation{policyCreate(name: \"p\", type: GIT_PUSH, body: \"package spacelift\\ntrack { true }\"){id}}";
    world.admin.ok(create, json!({})).await;
    for text in texts::OF_POLICY {
        let found = sent(&world.reader, text, json!({ "policyId": "p" })).await;
        assert_eq!(found["policy"]["id"], "p");
    }
    let sample = "query($key:String!$policyId:ID!){policy(id: $policyId){evaluationSample(key: $key){input,body}}}";
    sent(
        &world.reader,
        sample,
        json!({ "key": "k", "policyId": "p" }),
    )
    .await;
    let records = "query($id:ID!$input:SearchInput!){policy(id: $id){id,searchEvaluationRecords(input: $input){edges{node{key,outcome,timestamp}},pageInfo{endCursor,hasNextPage,hasPreviousPage}}}}";
    let outcome = json!([{ "field": "outcome", "constraint": { "booleanEquals": null, "enumEquals": null, "stringMatches": ["allow"] }, "exclude": false }]);
    let input = json!({ "first": 50, "after": null, "fullTextSearch": null, "predicates": outcome, "orderBy": { "field": "createdAt", "direction": "DESC" } });
    sent(&world.reader, records, json!({ "id": "p", "input": input })).await;
    let simulate = "mutation($body:String!$input:String!$type:PolicyType!){policySimulate(body: $body, input: $input, type: $type)}";
    let variables =
        json!({ "body": "package spacelift\ntrack { true }", "input": "{}", "type": "GIT_PUSH" });
    let said = sent(&world.writer, simulate, variables).await;
    assert!(json_of(said["policySimulate"].as_str().unwrap()).is_object());

    for (text, variables) in texts::NOT_KEPT {
        let refused = world.admin.refused(text, json_of(variables)).await;
        assert!(
            refused.ends_with("is not supported by this server"),
            "{refused}"
        );
        let refused = world.nobody().refused(text, json_of(variables)).await;
        assert_eq!(refused, "unauthorized", "{text}");
    }
    let dependency = "mutation($dependency:ID!$status:RunExternalDependencyStatus!){runExternalDependencyMarkAsCompleted(dependency: $dependency, status: $status){phantom}}";
    let variables = json!({ "dependency": "d", "status": "FINISHED" });
    let refused = world.writer.refused(dependency, variables).await;
    assert!(refused.contains("`d` does not exist"), "{refused}");
    // Clients compare these words.
    let run_stack = "query($runId:ID!){runStack(runId: $runId){id,name}}";
    let missing = world
        .reader
        .refused(run_stack, json!({ "runId": "nope" }))
        .await;
    assert_eq!(missing, "not found");
    let unknown = world.reader.refused("{viewer{id,colour}}", json!({})).await;
    assert!(unknown.contains("colour"), "{unknown}");
    let introspection = "query IntrospectionQuery{__schema{queryType{name}mutationType{name}types{...FullType}}}fragment FullType on __Type{kind name fields(includeDeprecated:true){name args{...InputValue}type{...TypeRef}}inputFields{...InputValue}enumValues(includeDeprecated:true){name}possibleTypes{...TypeRef}}fragment InputValue on __InputValue{name type{...TypeRef}defaultValue}fragment TypeRef on __Type{kind name ofType{kind name ofType{kind name ofType{kind name ofType{kind name ofType{kind name ofType{kind name ofType{kind name ofType{kind name}}}}}}}}}";
    let schema = world.reader.ok(introspection, json!({})).await;
    assert_eq!(schema["__schema"]["queryType"]["name"], "Query");
}
