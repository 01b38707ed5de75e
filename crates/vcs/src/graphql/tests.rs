//! Queries that are let through and queries that are not.

use serde_json::json;

use super::*;

fn of(query: &str) -> Result<Option<String>, GraphqlError> {
    project(json!({ "query": query }).to_string().as_bytes())
}

#[test]
fn what_is_asked_of_one_repository_is_let_through() {
    let branches = r#"query Branches($o: String!, $n: String!, $after: String) {
        repository(owner: $o, name: $n) {
            nameWithOwner
            refs(refPrefix: "refs/heads/", first: 100, after: $after) {
                nodes { name target { oid ... on Commit { message author { name user { login } } } } }
                pageInfo { hasNextPage endCursor }
            }
        }
        rateLimit { remaining }
    }"#;
    let body = json!({ "query": branches, "operationName": "Branches",
        "variables": { "o": "team", "n": "app", "after": null } });
    assert_eq!(
        project(body.to_string().as_bytes()),
        Ok(Some("team/app".into()))
    );
    assert_eq!(of("{ viewer { login } }"), Ok(None));
    assert_eq!(
        of(
            r#"{ a: repository(owner: "t", name: "x.y") { object(expression: "main") { ... on Commit { oid } } } }"#
        ),
        Ok(Some("t/x.y".into()))
    );
}

#[test]
fn everything_else_is_refused() {
    use GraphqlError as E;
    let field = |shape, field: &str| E::Field {
        shape,
        field: field.into(),
    };
    let repo = |inner: &str| format!(r#"{{ repository(owner: "t", name: "a") {{ {inner} }} }}"#);
    for (query, why) in [
        ("mutation { addStar(input: {}) { clientMutationId } }".into(), E::NotReading),
        ("subscription { x }".into(), E::NotReading),
        ("query A { viewer { login } } query B { viewer { login } }".into(), E::ManyOperations),
        ("query A { viewer { login } } mutation B { x }".into(), E::ManyOperations),
        ("{ viewer { repositories(first: 9) { nodes { name } } } }".into(), field("Viewer", "repositories")),
        ("{ node(id: \"x\") { id } }".into(), field("Query", "node")),
        ("{ __schema { types { name } } }".into(), field("Query", "__schema")),
        ("{ viewer { login { x } } }".into(), field("Viewer", "login")),
        (repo("owner { login }"), field("Repository", "owner")),
        (repo("object(expression: \"m:f\") { ... on Blob { text } }"), E::Indirect),
        (repo("object(expression: \"m:f\") { ... on Commit { tree { oid } } }"), field("Commit", "tree")),
        (repo("object(expression: \"m\") { ...F } } fragment F on Commit { oid"), E::Indirect),
        ("{ ...F } fragment F on Query { viewer { login } }".into(), E::Indirect),
        ("{ viewer { ...F } }".into(), E::Indirect),
        ("{ ... on Query { repository(owner: \"t\", name: \"a\") { id } } }".into(), E::Indirect),
        ("{ viewer @include(if: true) { login } }".into(), E::Indirect),
        ("query ($o: String = \"t\") { repository(owner: $o, name: \"a\") { id } }".into(), E::NoProject),
        ("query ($o: String) { repository(owner: $o, name: \"a\") { id } }".into(), E::NoProject),
        ("{ repository(owner: \"t\") { id } }".into(), E::NoProject),
        ("{ repository(owner: \"t\", owner: \"u\", name: \"a\") { id } }".into(), E::NoProject),
        ("{ repository(owner: \"t/u\", name: \"a\") { id } }".into(), E::NoProject),
        ("{ a: repository(owner: \"t\", name: \"a\") { id } b: repository(owner: \"t\", name: \"b\") { id } }".into(),
            E::ManyProjects),
        ("{ repository(owner: \"t\", name: \"a\", followRenames: true) { id } }".into(),
            E::Argument { field: "repository".into(), argument: "followRenames".into() }),
        ("{ viewer { login".into(), E::NotAQuery),
        ("{".repeat(DEPTH + 1), E::TooDeep),
        ("[".repeat(20_000), E::TooDeep),
    ] {
        assert_eq!(of(&query), Err(why), "{query}");
    }
}

#[test]
fn bodies_that_two_readers_may_read_differently_are_refused() {
    let long = format!(r#"{{"query":"{}"}}"#, " ".repeat(BODY_LIMIT));
    assert_eq!(project(long.as_bytes()), Err(GraphqlError::TooLong));
    for body in [
        "",
        "[]",
        "{ viewer { login } }",
        r#"[{"query":"{ viewer { login } }"}]"#,
        r#"{"query":"{ viewer { login } }","query":"mutation { x }"}"#,
        r#"{"query":"{ viewer { login } }","extensions":{}}"#,
        r#"{"query":"{ viewer { login } }"} {"query":"mutation { x }"}"#,
    ] {
        assert_eq!(
            project(body.as_bytes()),
            Err(GraphqlError::NotARequest),
            "{body}"
        );
    }
}
