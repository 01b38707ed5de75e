//! AWS as a host sees it: moto for the services, small servers for metadata, names of registries that lead here.
//!
//! Takes nothing, gives addresses and variables. Never: a request to the real AWS, a line that stays in
//! `/etc/hosts`.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use gantry_test_support::{Process, find_program, wait_for};
use rand_suffix::number;
use serde_json::json;

use super::front::Front;
use super::world::free_address;

/// What moto gives for everybody's private registries, and its bcrypt hash.
pub(crate) const TOKEN: (&str, &str, &str) = (
    "AWS",
    "123456789012-auth-token",
    "$2y$05$tSDOXaNlShjVwQ82unVjSe4qNR2DBntGdDLbw9Dj3b6VaRiAAaouW",
);

/// The version that the tests were written with.
const MOTO: &str = "moto[server]==5.2.5";

static SHARED: Mutex<Weak<Moto>> = Mutex::new(Weak::new());

/// A running moto, shared by the tests of this process.
pub(crate) struct Moto {
    address: String,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Moto {
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moto) = shared.upgrade() {
            return moto;
        }
        let moto = Arc::new(Self::start());
        *shared = Arc::downgrade(&moto);
        moto
    }

    fn start() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        let address = free_address();
        let port = address.rsplit_once(':').expect("a port").1;
        let mut command = Command::new(installed());
        command.args(["-H", "127.0.0.1", "-p", port]);
        let mut process = Process::start("moto_server", command, &dir.path().join("moto.log"));
        wait_for("moto to listen", gantry_test_support::LONG, || {
            assert!(process.running(), "moto ended: {}", process.log_text());
            std::net::TcpStream::connect(&address).map_err(|error| error.to_string())
        });
        Self {
            address,
            _process: process,
            _dir: dir,
        }
    }

    /// For `AWS_ENDPOINT_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// `moto_server` in a virtual environment that is kept between test runs.
fn installed() -> PathBuf {
    let version = MOTO.rsplit('=').next().expect("a version");
    let place = std::env::temp_dir().join(format!("gantry-it-moto-{version}"));
    let lock = format!("{}.lock", place.display());
    let lock = File::create(lock).expect("make the lock");
    lock.lock().expect("lock the environment");
    let (ready, server) = (place.join("ready"), place.join("bin/moto_server"));
    if !ready.is_file() {
        let python = find_program("python3", "python3 and python3-venv");
        run(Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(&place));
        run(Command::new(place.join("bin/pip")).args(["install", "--quiet", MOTO]));
        fs::write(ready, MOTO).expect("mark the environment");
    }
    server
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the tests of Amazon ECR need {MOTO} from PyPI (python3, python3-venv and a network, once): {command:?}: {said}"
    );
}

/// A name that leads to a loopback address of its own, port 80, for this host and its container engine.
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    mark: String,
}

impl Name {
    /// A private registry of an account that no other test has.
    pub(crate) fn ecr(region: &str) -> Self {
        let account = format!("{:012}", number() % 1_000_000_000_000);
        Self::of(&format!("{account}.dkr.ecr.{region}.amazonaws.com"))
    }

    pub(crate) fn of(name: &str) -> Self {
        let [.., a, b] = number().to_be_bytes();
        let address = Ipv4Addr::new(127, 83, a, b.clamp(1, 254));
        let mark = format!("# gantry-it {}", super::world::unique());
        let new = Self {
            name: name.to_owned(),
            address,
            mark,
        };
        edit_hosts(|text| format!("{}\n{address} {name} {}\n", text.trim_end(), new.mark));
        new
    }

    /// Where the registry has to listen.
    pub(crate) fn listen(&self) -> String {
        format!("{}:80", self.address)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        edit_hosts(|text| {
            let lines = text.lines().filter(|line| !line.ends_with(&self.mark));
            lines.map(|line| format!("{line}\n")).collect()
        });
    }
}

/// In place: in a container the file is a mount.
fn edit_hosts(change: impl Fn(&str) -> String) {
    let lock = File::create(std::env::temp_dir().join("gantry-it-hosts.lock")).expect("a lock");
    lock.lock().expect("locked");
    let path = Path::new("/etc/hosts");
    let text = fs::read_to_string(path).expect("readable");
    fs::write(path, change(&text)).expect("these tests run as root");
}

mod rand_suffix {
    //! Numbers that differ between tests and processes.

    use std::hash::{BuildHasher as _, RandomState};

    pub(super) fn number() -> u64 {
        RandomState::new().hash_one(0)
    }
}

/// Credentials as the metadata services give them.
fn credentials() -> String {
    json!({ "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": "ASIAGANTRY", "SecretAccessKey": "wJalrXUtnFEMI", "Token": "session",
        "Expiration": "2099-01-01T00:00:00Z" })
    .to_string()
}

/// IMDSv2: a session token by PUT first, then role and credentials with it.
async fn instance(
    State(asked): State<Arc<AtomicUsize>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    const SESSION: &str = "session-of-the-instance";
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    if (&method, uri.path()) == (&Method::PUT, "/latest/api/token") {
        let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", "21600")];
        return (ttl, SESSION).into_response();
    }
    let proved = headers.get("x-aws-ec2-metadata-token");
    if proved.is_none_or(|token| token != SESSION) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match uri.path().strip_prefix(ROLES) {
        Some("") => "runner-role".into_response(),
        Some("runner-role") => {
            asked.fetch_add(1, Ordering::SeqCst);
            credentials().into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The endpoint of ECS and EKS agents: credentials for who has the authorisation.
async fn task(State(asked): State<Arc<AtomicUsize>>, uri: Uri, headers: HeaderMap) -> Response {
    let proved = headers
        .get("authorization")
        .is_some_and(|value| value == "of-the-task");
    match (uri.path(), proved) {
        ("/v2/credentials/some-id", true) => {
            asked.fetch_add(1, Ordering::SeqCst);
            credentials().into_response()
        }
        _ => StatusCode::FORBIDDEN.into_response(),
    }
}

/// A metadata service and how often it gave credentials.
pub(crate) struct Metadata {
    pub(crate) front: Front,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Metadata {
    pub(crate) fn instance() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(instance).with_state(asked.clone());
        let front = Front::start(router);
        Self { front, asked }
    }

    pub(crate) fn task() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(task).with_state(asked.clone());
        let front = Front::start(router);
        Self { front, asked }
    }
}
