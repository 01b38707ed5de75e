//! Every statement of the store finds its rows by an index, whatever the tables have grown to.
//!
//! Takes the texts from the source of the aggregates, so that a new one is looked at without being listed.

use std::path::Path;

use super::Store;

/// Tables that grow with every run, or with every request.
const LARGE: [&str; 17] = [
    "audit",
    "errored_states",
    "inbox",
    "leases",
    "log_chunks",
    "log_sections",
    "policy_samples",
    "run_flags",
    "run_results",
    "run_reviews",
    "run_transitions",
    "runs",
    "stacks",
    "state_versions",
    "used_nonces",
    "vcs_requests",
    "workspaces",
];

/// Beginnings of statements that go through a large table on purpose, and why that is bounded.
const ON_PURPOSE: [(&str, &str); 2] = [
    (
        "SELECT DISTINCT url FROM stacks",
        "every repository is asked for its branches, each once",
    ),
    (
        "SELECT DISTINCT launcher_id FROM inbox",
        "a message goes once it is acknowledged, so there are never many",
    ),
];

#[tokio::test]
async fn no_statement_goes_through_a_large_table() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let mut conn = store.read().await.unwrap();
    let (mut statements, mut pieces) = (0, 0);
    let mut wrong = Vec::new();
    for (file, sql) in statements_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")) {
        statements += 1;
        let plan = format!("EXPLAIN QUERY PLAN {sql}");
        let asked = sqlx::query_as(sqlx::AssertSqlSafe(plan));
        let rows: Vec<(i64, i64, i64, String)> = match asked.fetch_all(&mut *conn).await {
            Ok(rows) => rows,
            // One that is put together of pieces.
            Err(error) if error.to_string().contains("incomplete input") => {
                pieces += 1;
                continue;
            }
            Err(error) => panic!("{file}: {sql}: {error}"),
        };
        for (.., step) in rows {
            let scanned = step
                .strip_prefix("SCAN ")
                .and_then(|rest| rest.split(' ').next());
            let large = scanned.is_some_and(|table| LARGE.contains(&table));
            // A partial index holds only what is asked for.
            let partial = ["runs_behind_gate", "runs_in_review", "runs_lock_holder"];
            let partial = partial.iter().any(|index| step.contains(index));
            let meant = ON_PURPOSE.iter().any(|(start, _)| sql.starts_with(start));
            if large && !partial && !meant {
                wrong.push(format!("{file}: {step}: {sql}"));
            }
        }
    }
    assert!(
        pieces <= 5,
        "{pieces} statements are put together: look at them by hand"
    );
    assert!(statements > 100, "only {statements} statements were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The statements in the string literals of a directory's files, without those that are put together.
fn statements_of(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(statements_of(&path));
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["indexes.rs", "testing.rs", "tests.rs"].contains(&name.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        let pieces = code.split('"').skip(1).step_by(2);
        let is_statement = |piece: &&str| {
            let begins = [
                "SELECT ",
                "UPDATE ",
                "DELETE FROM ",
                "WITH ",
                "INSERT INTO ",
            ];
            begins.iter().any(|begin| piece.starts_with(begin)) && !piece.contains('{')
        };
        let of_file = pieces.filter(is_statement).map(|piece| {
            let words: Vec<&str> = piece.split_whitespace().collect();
            // As `many` writes them; a list of one would be an equation.
            let text = words.join(" ").replace("\\ ", "");
            (
                name.clone(),
                text.replace("$list", "$1, $2").replace("$value", "$3"),
            )
        });
        found.extend(of_file);
    }
    found
}
