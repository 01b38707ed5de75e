//! A private runner image in Amazon ECR over a launcher's life: one token for many runs, renewed when the
//! registry refuses it and before it ends, and no run with a cached image that the host has no right to.
//!
//! Takes a registry under Amazon's name that lets in one token at a time, and an AWS that issues them. Never: a
//! token that is given twice.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use gantry_test_support::{Docker, SHORT, Stack, World, wait_for};
use serde_json::json;

use super::CODE;
use crate::host::aws::Name;
use crate::host::front::{Front, challenge, client, pass_on};

/// Tokens are not used in their last five minutes.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// How long a token lasts that is soon to be renewed.
const SHORT_LIFE: Duration = Duration::from_secs(2);

/// What the registry and AWS share.
struct Amazon {
    registry: String,
    client: reqwest::Client,
    /// Tokens issued so far; the last one is valid.
    issued: AtomicUsize,
    /// The token that the registry takes; none is 0.
    taken: Mutex<usize>,
    /// How long the next token lasts.
    life: Mutex<Duration>,
    /// Whether the registry takes the newest token at all.
    open: AtomicBool,
    /// Requests with a token that was not taken.
    refused: AtomicUsize,
}

fn login(number: usize) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("AWS:token-{number}"))
}

async fn gate(
    State(amazon): State<Arc<Amazon>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let taken = *amazon.taken.lock().expect("a lock");
    let expected = format!("Basic {}", login(taken));
    match headers.get("authorization") {
        Some(given) if *given == *expected && amazon.open.load(Ordering::SeqCst) => {
            pass_on(
                &amazon.client,
                &amazon.registry,
                method,
                &uri,
                &headers,
                body,
            )
            .await
        }
        Some(_) => {
            amazon.refused.fetch_add(1, Ordering::SeqCst);
            let message = "Your authorization token has expired. Reauthenticate and try again.";
            let body = json!({ "errors": [{ "code": "DENIED", "message": message }] });
            let kind = [("content-type", "application/json")];
            (StatusCode::FORBIDDEN, kind, body.to_string()).into_response()
        }
        None => challenge(r#"Basic realm="https://ecr.example/",service="ecr.amazonaws.com""#),
    }
}

async fn issue(State(amazon): State<Arc<Amazon>>, headers: HeaderMap) -> Response {
    let signed = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if !signed.is_some_and(|value| value.contains("/eu-central-1/ecr/aws4_request")) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let number = amazon.issued.fetch_add(1, Ordering::SeqCst) + 1;
    *amazon.taken.lock().expect("a lock") = number;
    let end = SystemTime::now() + *amazon.life.lock().expect("a lock");
    let end = end
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs_f64();
    let data = json!([{ "authorizationToken": login(number), "expiresAt": end }]);
    let kind = [("content-type", "application/x-amz-json-1.1")];
    (kind, json!({ "authorizationData": data }).to_string()).into_response()
}

impl Amazon {
    fn issued(&self) -> usize {
        self.issued.load(Ordering::SeqCst)
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    fn set_life(&self, life: Duration) {
        *self.life.lock().expect("a lock") = life;
    }

    /// The registry takes none of the tokens so far.
    fn revoke(&self) {
        *self.taken.lock().expect("a lock") = 0;
    }
}

/// A preview runs in the image and changes nothing.
fn previewed(stack: &Stack<'_>, digest: &str) {
    let seen = stack.preview().wait("FINISHED");
    assert_eq!(seen.image, digest, "the run executed exactly this digest");
}

#[test]
fn one_token_serves_many_runs_and_is_renewed_once_when_it_must_be() {
    let world = World::start();
    let name = Name::ecr("eu-central-1");
    let amazon = Arc::new(Amazon {
        registry: world.registry().to_owned(),
        client: client(),
        issued: AtomicUsize::new(0),
        taken: Mutex::new(0),
        life: Mutex::new(Duration::from_secs(12 * 3600)),
        open: AtomicBool::new(true),
        refused: AtomicUsize::new(0),
    });
    let gate = Router::new().fallback(gate).with_state(amazon.clone());
    let _registry = Front::on(&name.listen(), gate);
    let aws = Front::start(Router::new().fallback(issue).with_state(amazon.clone()));
    let own = &world.images().busybox.digest;
    let path = own.split_once('/').expect("registry/repository").1;
    let digest = format!("{}/{path}", name.name);
    let _cleanup = Pulled(&digest);
    known(&digest);
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("ecr", &repo).create();
    let _launcher = world
        .launcher("a")
        .env("GANTRY_ALLOWED_REGISTRIES", "")
        .env(
            "SPACELIFT_DEFAULT_RUNNER_IMAGE",
            &format!("{}/it/busybox:1", name.name),
        )
        .env("AWS_ENDPOINT_URL", &aws.url())
        .env("AWS_ACCESS_KEY_ID", "AKIAGANTRY")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .start();

    previewed(&stack, &digest);
    previewed(&stack, &digest);
    assert_eq!(
        (amazon.issued(), amazon.refused()),
        (1, 0),
        "the token is kept"
    );

    amazon.revoke();
    amazon.set_life(MARGIN + SHORT_LIFE);
    previewed(&stack, &digest);
    assert_eq!(amazon.issued(), 2, "a refused token is renewed once");
    assert!(amazon.refused() > 0);

    let (renewed, before) = (SystemTime::now(), amazon.refused());
    amazon.set_life(Duration::from_secs(12 * 3600));
    wait_for("the token's end to be near", SHORT, || {
        let age = renewed.elapsed().map_err(|error| error.to_string())?;
        if age > SHORT_LIFE {
            Ok(())
        } else {
            Err(format!("{age:?}"))
        }
    });
    previewed(&stack, &digest);
    assert_eq!(
        (amazon.issued(), amazon.refused()),
        (3, before),
        "renewed before its end"
    );

    // The image is cached; the right to it is gone.
    amazon.open.store(false, Ordering::SeqCst);
    let seen = stack.preview().wait_end();
    assert_eq!((seen.state.as_str(), seen.finished), ("FAILED", true));
    assert!(
        seen.note.contains("the registry refused the credentials"),
        "{}",
        seen.note
    );
    assert!(
        seen.note.contains("the access key in the environment"),
        "{}",
        seen.note
    );
    assert_eq!(amazon.issued(), 4, "tried again once, and not more");
}

/// Removes what was pulled under Amazon's name.
struct Pulled<'a>(&'a str);

impl Drop for Pulled<'_> {
    fn drop(&mut self) {
        Docker.tries(&["image", "rm", "--force", self.0]);
    }
}

/// The engine keeps what it read of `/etc/hosts` for some seconds.
fn known(digest: &str) {
    wait_for("the engine to know the name", SHORT, || {
        let command = std::process::Command::new("docker")
            .args(["pull", digest])
            .output();
        let said = String::from_utf8_lossy(&command.expect("docker").stderr).into_owned();
        if said.contains("no basic auth credentials") {
            Ok(())
        } else {
            Err(said)
        }
    });
}
