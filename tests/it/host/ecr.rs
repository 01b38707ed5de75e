//! Amazon ECR by the launcher's executable: whose credentials, which token, what is said when there is none.
//!
//! Takes moto, metadata services, and a real registry under Amazon's name. Never: variables or files of the one
//! who runs the tests.

use std::process::Command;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use gantry_test_support::{Program, SHORT, wait_for};
use serde_json::{Value, json};

use super::aws::{Metadata, Moto, Name, TOKEN};
use super::front::Front;
use super::world::{LocalImage, Registry, Setup};

/// A registry under an Amazon name, an image in it, a home.
struct World {
    registry: Registry,
    image: String,
    digest: String,
    home: tempfile::TempDir,
    _name: Name,
}

/// What no output may show.
const HIDDEN: &str = "wJalrXUtnFEMI";

const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIAGANTRY"),
    ("AWS_SECRET_ACCESS_KEY", HIDDEN),
];

/// The instance's service is left out unless a test has one.
const NO_INSTANCE: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");

impl World {
    fn new(name: Name, login: bool) -> Self {
        let registry = Registry::start(Setup {
            listen: Some(name.listen()),
            host: Some(name.name.clone()),
            login: login.then_some(TOKEN),
            tls: None,
        });
        let local = LocalImage::new(&[]);
        let (image, digest) = pushed(&registry, &local);
        Self {
            registry,
            image,
            digest,
            home: tempfile::tempdir().expect("temp dir"),
            _name: name,
        }
    }

    fn private() -> Self {
        Self::new(Name::ecr("eu-west-1"), true)
    }

    /// `image check --json` with these variables and nothing else: exit code and report.
    fn check(&self, variables: &[(&str, &str)]) -> (i32, Value) {
        let mut command = Command::new(Program::Launcher.path());
        command
            .args(["image", "check", "--json", &self.image])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env(
                "GANTRY_LOG",
                "trace,aws_smithy_runtime::client::orchestrator=trace",
            )
            .envs(variables.iter().copied());
        let output = command.output().expect("the launcher");
        let report = serde_json::from_slice(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let token = base64_of(&format!("{}:{}", TOKEN.0, TOKEN.1));
        for secret in [TOKEN.1, &token, HIDDEN] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
        let code = output.status.code().expect("an exit");
        (
            code,
            report.unwrap_or_else(|error| panic!("{error}: {said}")),
        )
    }

    /// Checks that the image is usable, and gives how the registry was asked.
    fn usable(&self, variables: &[(&str, &str)]) -> String {
        let (code, report) = self.check(variables);
        assert_eq!(
            (code, &report["verdict"]),
            (0, &json!("usable")),
            "{report}"
        );
        assert_eq!(report["digest"], *self.digest);
        assert_eq!(report["present"], false);
        report["login"].as_str().expect("a text").to_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The engine keeps what it read of `/etc/hosts` for some seconds.
fn pushed(registry: &Registry, local: &LocalImage) -> (String, String) {
    let config = registry.docker_config(true).to_owned();
    let probe = format!("{}/absent:1", registry.host);
    wait_for("the engine to know the name", SHORT, || {
        let output = Command::new("docker")
            .arg("--config")
            .arg(&config)
            .args(["pull", &probe])
            .output();
        let said = String::from_utf8_lossy(&output.expect("docker").stderr).into_owned();
        if said.contains("not found") || said.contains("manifest unknown") {
            Ok(())
        } else {
            Err(said)
        }
    });
    registry.push(local, "team/runner:1")
}

#[test]
fn each_source_of_aws_credentials_gives_a_token() {
    let world = World::private();
    let moto = Moto::shared();
    let url = moto.url();
    let endpoint = ("AWS_ENDPOINT_URL", url.as_str());
    let [id, key] = KEYS;
    let login = world.usable(&[endpoint, NO_INSTANCE, id, key]);
    assert_eq!(
        login,
        "with an ECR token of eu-west-1 for the access key in the environment"
    );

    world.file(
        ".aws/credentials",
        "[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = wJalrXUtnFEMI\n",
    );
    let login = world.usable(&[endpoint, NO_INSTANCE, ("AWS_PROFILE", "other")]);
    assert!(login.ends_with("for the AWS profile"), "{login}");
    std::fs::remove_dir_all(world.home.path().join(".aws")).expect("removed");

    let file = world.file("web-token", "header.payload.signature");
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/runner");
    let login = world.usable(&[
        endpoint,
        NO_INSTANCE,
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
        role,
    ]);
    assert!(login.ends_with("for the web identity token"), "{login}");

    let task = Metadata::task();
    let full = format!("{}/v2/credentials/some-id", task.front.url());
    let place = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str());
    let proof = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-the-task");
    // A proxy must never see the request for a role's credentials.
    let proxy = ("HTTP_PROXY", "http://127.0.0.1:1");
    let login = world.usable(&[endpoint, NO_INSTANCE, place, proof, proxy]);
    assert!(login.ends_with("for the task's role"), "{login}");
    assert_eq!(task.asked.load(Ordering::SeqCst), 1);

    let instance = Metadata::instance();
    let service = instance.front.url();
    let service = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.as_str());
    let login = world.usable(&[endpoint, service, proxy]);
    assert!(login.ends_with("for the instance's role"), "{login}");
    assert_eq!(instance.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn without_credentials_it_says_where_it_looked_and_what_is_needed() {
    let world = World::private();
    let (code, report) = world.check(&[NO_INSTANCE]);
    assert_eq!(
        (code, &report["verdict"]),
        (69, &json!("unknown")),
        "{report}"
    );
    assert_eq!(report["allowed_by"], "dkr.ecr.<region>.amazonaws.com");
    let why = report["why"].as_str().expect("a reason");
    for part in [
        world.image.as_str(),
        "instance role",
        "ecr:GetAuthorizationToken",
        "ecr:BatchGetImage",
        "SPACELIFT_DOCKER_CONFIG_DIR",
    ] {
        assert!(why.contains(part), "{why}");
    }
    // A source that is configured and broken is not passed over.
    let missing = ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token");
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/runner");
    let (code, report) = world.check(&[NO_INSTANCE, missing, role]);
    let why = report["why"].as_str().expect("a reason");
    assert!(
        code == 69 && why.contains("the credentials of the web identity token"),
        "{why}"
    );
}

#[test]
fn a_login_of_the_docker_configuration_comes_first() {
    let world = World::private();
    let config = world.registry.docker_config(true).display().to_string();
    let config = ("SPACELIFT_DOCKER_CONFIG_DIR", config.as_str());
    let login = world.usable(&[NO_INSTANCE, config]);
    assert_eq!(login, "with the login of the docker configuration");
    let [id, key] = KEYS;
    let nobody = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    assert_eq!(
        world.usable(&[nobody, id, key, config]),
        login,
        "AWS was not asked"
    );
}

#[test]
fn what_aws_refuses_is_told_with_its_reason() {
    let world = World::private();
    let refuse = |headers: HeaderMap| async move {
        let target = headers
            .get("x-amz-target")
            .and_then(|value| value.to_str().ok());
        assert_eq!(
            target,
            Some("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
        );
        let body =
            json!({ "__type": "AccessDeniedException", "message": "User: x is not authorized" });
        answered(StatusCode::BAD_REQUEST, body)
    };
    let aws = Front::start(Router::new().fallback(refuse));
    let url = aws.url();
    let [id, key] = KEYS;
    let (code, report) = world.check(&[("AWS_ENDPOINT_URL", &url), NO_INSTANCE, id, key]);
    let why = report["why"].as_str().expect("a reason");
    assert_eq!(code, 69, "{report}");
    for part in [
        "eu-west-1",
        "the access key in the environment",
        "AccessDeniedException: User: x is not authorized",
        "ecr:GetAuthorizationToken",
    ] {
        assert!(why.contains(part), "{why}");
    }
    // AWS itself is never asked in clear text.
    let (_, report) = world.check(&[
        ("AWS_ENDPOINT_URL", "http://192.0.2.1"),
        NO_INSTANCE,
        id,
        key,
    ]);
    let why = report["why"].as_str().expect("a reason");
    assert!(why.contains("is not encrypted"), "{why}");
}

fn answered(status: StatusCode, body: Value) -> Response {
    let kind = [("content-type", "application/x-amz-json-1.1")];
    (status, kind, body.to_string()).into_response()
}

#[test]
fn public_ecr_gets_a_token_where_there_is_one_and_nobody_needs_it() {
    let world = World::new(Name::of("public.ecr.aws"), false);
    assert_eq!(world.usable(&[NO_INSTANCE]), "without a login");
    let token = base64_of("AWS:public-token");
    let give = |headers: HeaderMap| async move {
        let target = headers
            .get("x-amz-target")
            .and_then(|value| value.to_str().ok());
        assert_eq!(target, Some("SpencerFrontendService.GetAuthorizationToken"));
        let scope = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        assert!(
            scope.is_some_and(|scope| scope.contains("/us-east-1/ecr-public/")),
            "{scope:?}"
        );
        answered(
            StatusCode::OK,
            json!({ "authorizationData": { "authorizationToken": token, "expiresAt": 4e9 } }),
        )
    };
    let aws = Front::start(Router::new().fallback(give));
    let url = aws.url();
    let [id, key] = KEYS;
    let login = world.usable(&[("AWS_ENDPOINT_URL", &url), NO_INSTANCE, id, key]);
    assert_eq!(
        login,
        "with an ECR Public token for the access key in the environment"
    );
    // Credentials that get no token do not close a registry that is open to all.
    let (code, report) = world.check(&[
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_MAX_ATTEMPTS", "1"),
        NO_INSTANCE,
        id,
        key,
    ]);
    assert_eq!(
        (code, &report["login"]),
        (0, &json!("without a login")),
        "{report}"
    );
}

#[test]
fn a_refused_image_is_told_by_text_and_exit_code() {
    let home = tempfile::tempdir().expect("temp dir");
    let check = |image: &str, variables: &[(&str, &str)]| {
        let mut command = Command::new(Program::Launcher.path());
        command.args(["image", "check", image]).env_clear();
        command
            .env("HOME", home.path())
            .envs(variables.iter().copied());
        let output = command.output().expect("the launcher");
        let told = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), told)
    };
    let (code, told) = check("docker.io.evil.example/x", &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains(
            "verdict     refused: image `docker.io.evil.example/x:latest` is not allowed"
        ),
        "{told}"
    );
    let (code, told) = check("Ghcr.io/x", &[]);
    assert!(
        code == Some(1) && told.contains("is not an image reference"),
        "{told}"
    );
    let (code, told) = check("ghcr.io/x", &[("GANTRY_PULL_POLICY", "sometimes")]);
    assert_eq!(
        (code, told.as_str()),
        (Some(64), ""),
        "a mistake in the configuration is none of the image"
    );
}
