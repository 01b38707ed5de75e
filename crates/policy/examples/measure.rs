//! Measures what a policy adds to a run: `cargo run --release -p gantry-policy --example measure [LAUNCHER]`.
//!
//! Takes a number of rounds' worth of time, gives a table in Markdown: reading and checking, the rules, and the whole
//! evaluation with its process, of this program or of LAUNCHER (a larger executable starts slower). Never: a number
//! that was not measured.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement ends where it can't measure, and prints what it measured"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use gantry_policy::{Limits, Policy, PolicyKind, Sandbox, User, enter_if_asked, evaluate_here};
use serde_json::Value;

const ROUNDS: usize = 500;

const POLICIES: [(&str, &str); 4] = [
    ("sample only", "package spacelift\nsample { true }\n"),
    (
        "tasks are off",
        "package spacelift\ndeny[msg] {\n  input.static_run_environment.run_type == \"TASK\"\n  msg := sprintf(\"tasks are off on this pool: %s\", [input.static_run_environment.command])\n}\nsample { count(deny) > 0 }\n",
    ),
    (
        "tasks are off, v1",
        "package spacelift\ndeny contains msg if {\n  input.static_run_environment.run_type == \"TASK\"\n  msg := sprintf(\"tasks are off on this pool: %s\", [input.static_run_environment.command])\n}\nsample if count(deny) > 0\n",
    ),
    (
        "signed run, fails closed",
        "package spacelift\ndefault authorised = false\nauthorised {\n  [valid, _, claims] := io.jwt.decode_verify(input.run.user_provided_metadata[0], {\"secret\": \"0123456789abcdef0123456789abcdef\", \"alg\": \"HS256\"})\n  valid\n  claims.exp > 0\n  claims.spacelift_stack == input.static_run_environment.stack_slug\n  claims.sub == input.static_run_environment.commit_sha\n}\ndeny[\"this run is not signed\"] { not authorised }\n",
    ),
];

/// Signed with another secret: the work of verifying is the same.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIyYjFmNmE5YyIsImV4cCI6OTAwMDAwMDAwMH0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn main() -> ExitCode {
    if let Some(ended) = enter_if_asked() {
        return ended;
    }
    let input = include_str!("../tests/corpus/input.json").replace("@TOKEN", TOKEN);
    let document: Value = serde_json::from_str(&input).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let user = User {
        uid: 1984,
        gid: 1984,
    };
    let mut sandbox = Sandbox::new(user, Limits::default());
    if let Some(program) = std::env::args_os().nth(1) {
        sandbox = sandbox.with_program(program.into());
    }
    println!(
        "| policy | read and checked p50 / p99 | rules p50 / p99 | with its process p50 / p99 |\n|---|---|---|---|"
    );
    for (name, text) in POLICIES {
        let policy = Policy::compile(PolicyKind::Initialization, name, text).unwrap();
        let (mut compile, mut rules, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            Policy::compile(PolicyKind::Initialization, name, text).unwrap();
            compile.push(begun.elapsed());
            let evaluation = evaluate_here(&policy, &input, Limits::default()).unwrap();
            rules.push(evaluation.evaluated_in);
            let begun = Instant::now();
            runtime
                .block_on(sandbox.evaluate(&policy, &document))
                .unwrap();
            whole.push(begun.elapsed());
        }
        let columns = [compile, rules, whole].map(|mut times| summary(&mut times));
        println!("| {name} | {} |", columns.join(" | "));
    }
    ExitCode::SUCCESS
}

fn summary(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    format!("{:.2} / {:.2} ms", at(0.5), at(0.99))
}
