//! Policies in files, each evaluated in a process of its own, and what has to become of them.
//!
//! Takes the corpus beside this file, gives a failure for every policy that does something else. It has its own `main`
//! because the processes are this very program, as they are in every program of ours. Never: an expectation that is
//! computed instead of written down.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helper may panic like the test, and a test without the harness tells itself what it did"
)]

mod escapes;
mod tokens;

use std::process::ExitCode;
use std::time::Duration;

use gantry_policy::{
    CompileError, Evaluation, ExecLimits, Limits, PolicyKind, Sandbox, User, Verdict,
    enter_if_asked,
};
use serde_json::{Value, json};

const FILES: [(&str, &str); 5] = [
    ("rules", include_str!("rules.txt")),
    ("invalid", include_str!("invalid.txt")),
    ("functions", include_str!("functions.txt")),
    ("exec", include_str!("exec.txt")),
    ("tokens", include_str!("tokens.txt")),
];

/// What examples say of a run that their program, or their key, does not know.
const SIGNED: &str = "denied this run is not signed";

/// One policy of the corpus.
struct Case {
    name: String,
    expected: Vec<String>,
    token: Option<String>,
    over: Option<Value>,
    text: String,
}

/// Short enough for a test, long enough for a debug build on a busy host.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(3),
    memory: 512 << 20,
    exec: ExecLimits {
        calls: 3,
        each: Duration::from_secs(10),
        total: Duration::from_secs(20),
        output: 64 << 10,
        memory: 1 << 30,
    },
};

fn main() -> ExitCode {
    if let Some(ended) = enter_if_asked() {
        return ended;
    }
    let cases: Vec<_> = FILES
        .iter()
        .flat_map(|(file, text)| cases(file, text))
        .collect();
    assert!(
        cases.len() >= 100,
        "the corpus has {} policies",
        cases.len()
    );
    let mut cases = cases;
    cases.extend(examples());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut failures = 0;
    for case in &cases {
        let found = runtime.block_on(evaluate(case));
        if let Err(found) = found {
            failures += 1;
            println!(
                "{}: expected {:?}, found {found:?}",
                case.name, case.expected
            );
        }
    }
    for left in runtime.block_on(escapes::left_behind()) {
        failures += 1;
        println!("{left}");
    }
    println!(
        "{} policies, {failures} of them did something else",
        cases.len()
    );
    match failures {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn cases(file: &str, text: &str) -> Vec<Case> {
    let blocks = text.split("\n== ").skip(1);
    blocks.map(|block| case(file, block)).collect()
}

/// The examples of the documentation: a launcher takes them, and they come to a decision about a well signed run.
fn examples() -> Vec<Case> {
    let page = include_str!("../../../../docs/POLICIES.md");
    let blocks = page.split("```rego\n").skip(1);
    let blocks: Vec<_> = blocks
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let expected = ["allowed", "allowed", "allowed", SIGNED, "allowed", SIGNED];
    assert_eq!(
        blocks.len(),
        expected.len(),
        "each example has an expectation"
    );
    let examples = blocks.iter().zip(expected).enumerate();
    let examples = examples.map(|(number, (block, expected))| {
        case(
            "docs/POLICIES.md",
            &format!("{}\n> {expected}\n{block}", number + 1),
        )
    });
    examples.collect()
}

fn case(file: &str, block: &str) -> Case {
    let (name, rest) = block.split_once('\n').unwrap();
    let mut case = Case {
        name: format!("{file}: {name}"),
        expected: Vec::new(),
        token: Some("good".to_owned()),
        over: None,
        text: String::new(),
    };
    let mut lines = rest.lines().peekable();
    while let Some(line) = lines.next_if(|line| line.starts_with("> ")) {
        let line = &line[2..];
        if let Some(token) = line.strip_prefix("token ") {
            case.token = (token != "-").then(|| token.to_owned());
        } else if let Some(over) = line.strip_prefix("with ") {
            case.over = Some(serde_json::from_str(over).unwrap());
        } else {
            case.expected.push(line.to_owned());
        }
    }
    case.text = lines.collect::<Vec<_>>().join("\n") + "\n";
    for name in [
        "rsa", "p256", "p384", "ed", "crt", "weak", "private", "jwks",
    ] {
        let quoted = json!(tokens::key(name)).to_string();
        case.text = case.text.replace(&format!("@KEY:{name}"), &quoted);
    }
    case.text = case.text.replace("@SECRET", tokens::SECRET);
    case
}

fn document(case: &Case) -> Value {
    let mut document: Value = serde_json::from_str(include_str!("input.json")).unwrap();
    let entries = case.token.as_deref().map(tokens::token);
    document["run"]["user_provided_metadata"] = entries.into_iter().collect();
    if let Some(over) = &case.over {
        lay(&mut document, over);
    }
    document
}

fn lay(document: &mut Value, over: &Value) {
    match (document, over) {
        (Value::Object(document), Value::Object(over)) => {
            for (name, value) in over {
                lay(document.entry(name).or_insert(Value::Null), value);
            }
        }
        (document, over) => *document = over.clone(),
    }
}

/// What became of it, where that is not what is expected.
async fn evaluate(case: &Case) -> Result<(), Vec<String>> {
    let user = User {
        uid: 1984,
        gid: 1984,
    };
    let sandbox = Sandbox::new(user, LIMITS).with_exec();
    let compiled = sandbox.compile(PolicyKind::Initialization, "corpus", &case.text);
    let found = match compiled.await {
        Err(error) => invalid(&error),
        Ok(policy) => {
            let result = sandbox.evaluate(&policy, &document(case)).await;
            told(&Verdict::of(&result), result.as_ref().ok())
        }
    };
    assert!(
        !found.iter().any(|line| line.contains(tokens::SECRET)),
        "{}: a secret is shown",
        case.name
    );
    let all = found.len() == case.expected.len();
    let fits = case.expected.iter().zip(&found).all(|(expected, found)| {
        match expected.split_once(" ~ ") {
            None => expected == found,
            Some((verdict, part)) => found.starts_with(verdict) && found.contains(part),
        }
    });
    // One part is enough of many messages.
    let part = case.expected.iter().any(|expected| {
        expected.split_once(" ~ ").is_some_and(|(verdict, part)| {
            found
                .iter()
                .any(|found| found.starts_with(verdict) && found.contains(part))
        })
    });
    match (all && fits) || part {
        true => Ok(()),
        false => Err(found),
    }
}

fn invalid(error: &CompileError) -> Vec<String> {
    vec![format!("invalid {error}")]
}

fn told(verdict: &Verdict, said: Option<&Evaluation>) -> Vec<String> {
    match verdict {
        Verdict::Denied { messages } => {
            let messages = messages.iter().map(|message| format!("denied {message}"));
            messages
                .map(|message| message.trim_end().to_owned())
                .collect()
        }
        Verdict::Allowed if said.is_some_and(|said| said.flag("sample")) => {
            vec!["sampled".to_owned()]
        }
        Verdict::Allowed => vec!["allowed".to_owned()],
    }
}
