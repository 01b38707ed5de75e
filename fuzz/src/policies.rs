//! Policies, what they are asked about, and the tokens in it.

use gantry_policy::{
    EvalError, Evaluation, Limits, Policy, PolicyKind, Verdict, evaluate_here, without_signatures,
};
use serde_json::json;

/// Admits nobody who does not know the secret, whatever the document.
const SIGNED: &str = r#"package spacelift
default authorised = false
authorised {
  [valid, _, claims] := io.jwt.decode_verify(input.run.user_provided_metadata[0], {"secret": "1f8a40c2b7d95e63a0f1c24e7b8d9a56", "alg": "HS256"})
  valid
  claims.exp > 0
  claims.spacelift_stack == input.static_run_environment.stack_slug
}
deny["this run is not signed"] { not authorised }
deny[msg] { label := input.static_run_environment.stack_labels[_]; not startswith(label, "x"); msg := sprintf("%v", [label]) }
"#;

/// What is known about tokens and keys of anybody's choosing: they can't verify each other.
const TOKENS: &str = r#"package spacelift
deny["decoded"] { io.jwt.decode(input.token, [_, _, _]) }
sample { [valid, _, _] := io.jwt.decode_verify(input.token, {"secret": "1f8a40c2b7d95e63a0f1c24e7b8d9a56"}); valid }
sample { io.jwt.verify_hs512(input.token, "1f8a40c2b7d95e63a0f1c24e7b8d9a56") }
"#;

/// Reads keys that anybody wrote.
const KEYS: &str = r#"package spacelift
sample { io.jwt.verify_rs256(input.token, input.key) }
sample { io.jwt.verify_es256(input.token, input.key) }
sample { io.jwt.verify_eddsa(input.token, input.key) }
"#;

fn compiled(text: &str) -> Policy {
    let policy = Policy::compile(PolicyKind::Initialization, "fuzzed", text);
    policy.expect("a policy of ours")
}

fn said(policy: &Policy, document: &str) -> Result<Evaluation, EvalError> {
    evaluate_here(policy, document, Limits::default())
}

/// Texts of policies: reading one ends (in time only with `Sandbox`), and what is wrong is said without the secret that stands in it.
pub fn policy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let with_secret = text.replace("SECRET", "hunter2hunter2");
    for kind in PolicyKind::ALL {
        match Policy::compile(kind, "fuzzed", &with_secret) {
            Ok(policy) => assert_eq!(policy.text(), with_secret),
            Err(error) => {
                let quoted = with_secret.contains("\"hunter2hunter2\"");
                let shown = error.to_string().contains("hunter2hunter2");
                // As a name it may be shown: names are no constants.
                assert!(!(quoted && shown && !names(&with_secret)), "{error}");
            }
        }
    }
}

/// Whether the secret also stands somewhere else than between quotes.
fn names(text: &str) -> bool {
    let quoted = text.matches("\"hunter2hunter2\"").count();
    text.matches("hunter2hunter2").count() > quoted
}

/// Input documents: a policy that fails closed denies every one that was not signed.
pub fn policy_input(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let verdict = Verdict::of(&said(&compiled(SIGNED), &text));
    assert!(verdict.is_denied(), "nobody signed this: {text}");
}

/// Tokens and keys: nothing is valid that nobody signed.
pub fn jwt(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (token, key) = text.split_once('\n').unwrap_or((&text, ""));
    let document = json!({ "token": token, "key": key }).to_string();
    let _ = said(&compiled(KEYS), &document);
    if let Ok(evaluation) = said(&compiled(TOKENS), &document) {
        assert!(!evaluation.flag("sample"), "nobody signed this: {token}");
        let hidden = without_signatures(token);
        let signature = token.rsplit('.').next().unwrap_or_default();
        // It was read as a token: what is signed stays, the signature goes.
        let shown = token.starts_with("eyJ") && signature.len() > 20 && hidden.ends_with(signature);
        assert!(!shown, "{hidden}");
    }
}
