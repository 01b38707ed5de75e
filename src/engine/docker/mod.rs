//! The Docker Engine API, through bollard; `bollard` is named in this directory only.
//!
//! Takes an engine address, gives a [`Docker`]. Never: an endless wait on a silent engine (see the contract
//! in [`crate::engine`]).

mod containers;
mod convert;
mod disk;
mod errors;
mod images;
mod networks;
mod own_image;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, BollardRequest};

use super::{EngineError, EngineInfo, EngineProxies, ErrorKind, Platform, Remap, Tally};

/// Limit of every call that is answered from the engine's memory.
pub const SHORT: Duration = Duration::from_secs(30);

/// Limit of calls that do work: create, start and remove on a busy host.
pub const LONG: Duration = Duration::from_secs(180);

/// Limit of asking a registry through the engine.
pub const REGISTRY: Duration = Duration::from_secs(60);

/// Where the engine listens unless configured.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// Oldest API that knows all we ask for (Docker 20.10).
const OLDEST_API: (u32, u32) = (1, 41);

/// A connection to a Docker engine. Cheap to clone.
#[derive(Clone)]
pub struct Docker {
    client: bollard::Docker,
    host: String,
    tally: Arc<Tally>,
}

impl std::fmt::Debug for Docker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Docker({})", self.host)
    }
}

impl Docker {
    /// A client for `host` (`unix:///path` or `tcp://host:port`; `None` is [`DEFAULT_HOST`]). Connects lazily.
    ///
    /// # Errors
    /// [`ErrorKind::Address`] when `host` is neither.
    pub fn new(host: Option<&str>) -> Result<Self, EngineError> {
        let host = host.unwrap_or(DEFAULT_HOST);
        let operation = format!("use the container engine at `{host}`");
        let address = || EngineError::new(&operation, ErrorKind::Address { host: host.into() });
        let seconds = LONG.as_secs();
        let client = match host.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => {
                bollard::Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION)
            }
            Some(("tcp" | "http", rest)) if !rest.is_empty() => {
                bollard::Docker::connect_with_http(host, seconds, API_DEFAULT_VERSION)
            }
            _ => return Err(address()),
        };
        // A socket that is missing is found out by the first call, with an error that says more.
        let client = match client {
            Ok(client) => client.with_request_modifier(url_safe_auth),
            Err(error) => {
                let kind = errors::kind(error, host, SHORT);
                return Err(EngineError::new(operation, kind));
            }
        };
        Ok(Self {
            client,
            host: host.to_owned(),
            tally: Arc::default(),
        })
    }

    /// The address in use.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How many calls failed so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Path of the engine's socket, if it listens on one of this host.
    pub fn socket(&self) -> Option<&Path> {
        self.host.strip_prefix("unix://").map(Path::new)
    }

    /// Asks the engine about itself; the first call of a process, because it refuses an engine that is too
    /// old.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`], [`ErrorKind::TooOld`] and what any call may give.
    pub async fn info(&self) -> Result<EngineInfo, EngineError> {
        let operation = format!("ask the container engine at `{}`", self.host);
        let version = self.call(&operation, SHORT, self.client.version()).await?;
        let api = version.api_version.unwrap_or_default();
        if parse_api(&api).is_none_or(|found| found < OLDEST_API) {
            return Err(EngineError::new(
                operation,
                ErrorKind::TooOld { found: api },
            ));
        }
        let info = self.call(&operation, SHORT, self.client.info()).await?;
        Ok(engine_info(
            version.version,
            version.os,
            version.arch,
            api,
            info,
        ))
    }

    /// Performs one call under a deadline.
    async fn call<T>(
        &self,
        operation: &str,
        limit: Duration,
        future: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, EngineError> {
        self.call_mapped(operation, limit, errors::kind, future)
            .await
    }

    async fn call_mapped<T>(
        &self,
        operation: &str,
        limit: Duration,
        kind: fn(bollard::errors::Error, &str, Duration) -> ErrorKind,
        future: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, EngineError> {
        let kind = match tokio::time::timeout(limit, future).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => kind(error, &self.host, limit),
            Err(_) => ErrorKind::Timeout { limit },
        };
        self.tally.note(&kind);
        Err(EngineError::new(operation, kind))
    }
}

/// The engine decodes registry credentials as URL-safe base64 and takes what it can't decode for "no
/// credentials"; bollard sends the standard alphabet. Some passwords would so be lost.
fn url_safe_auth(mut request: BollardRequest) -> BollardRequest {
    if let Some(value) = request.headers_mut().get_mut("X-Registry-Auth") {
        let mapped: Vec<u8> = value
            .as_bytes()
            .iter()
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        if let Ok(mapped) = mapped.as_slice().try_into() {
            *value = mapped;
            value.set_sensitive(true);
        }
    }
    request
}

fn parse_api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn engine_info(
    version: Option<String>,
    os: Option<String>,
    arch: Option<String>,
    api_version: String,
    info: bollard::models::SystemInfo,
) -> EngineInfo {
    let options = info.security_options.unwrap_or_default();
    let root = info.docker_root_dir.unwrap_or_default();
    let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
    runtimes.sort();
    EngineInfo {
        version: version.unwrap_or_default(),
        api_version,
        platform: Platform {
            os: os.unwrap_or_default(),
            architecture: arch.unwrap_or_default(),
        },
        remap: remap(&options, &root),
        root_dir: PathBuf::from(root),
        cgroup_driver: info
            .cgroup_driver
            .map(|driver| driver.to_string())
            .unwrap_or_default(),
        runtimes,
        live_restore: info.live_restore_enabled.unwrap_or(false),
        memory: info.mem_total.and_then(|n| n.try_into().ok()).unwrap_or(0),
        proxies: EngineProxies {
            https: without_login(info.https_proxy),
            http: without_login(info.http_proxy),
            none: info.no_proxy.unwrap_or_default(),
        },
        cpus: info.ncpu.and_then(|n| n.try_into().ok()).unwrap_or(0),
    }
}

/// Newer engines leave the login out by themselves.
fn without_login(url: Option<String>) -> String {
    let url = url.unwrap_or_default();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        (None, Some((_, place))) => place.to_owned(),
        _ => url,
    }
}

/// With `userns-remap` the engine keeps its data in `<root>/<uid>.<gid>`: the only place where its API tells
/// the base ids.
fn remap(security_options: &[String], root_dir: &str) -> Option<Remap> {
    let on = security_options
        .iter()
        .any(|option| option.split(',').any(|part| part == "name=userns"));
    let (uid, gid) = root_dir.rsplit('/').next()?.split_once('.')?;
    on.then_some(Remap {
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for host in [
            "unix:///run/docker.sock",
            "tcp://127.0.0.1:2375",
            "http://h:1",
        ] {
            assert!(Docker::new(Some(host)).is_ok(), "{host}");
        }
        for host in [
            "",
            "/run/docker.sock",
            "unix://relative",
            "ssh://x",
            "tcp://",
        ] {
            let error = Docker::new(Some(host)).expect_err(host);
            assert!(matches!(error.kind(), ErrorKind::Address { .. }), "{host}");
        }
    }

    #[tokio::test]
    async fn an_absent_engine_is_unreachable() {
        let docker = Docker::new(Some("unix:///nonexistent/docker.sock"));
        let error = match docker {
            Ok(docker) => docker.info().await.expect_err("no engine there"),
            Err(error) => error,
        };
        assert!(
            matches!(error.kind(), ErrorKind::Unreachable { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("/nonexistent/docker.sock"));
    }

    /// An engine that gives this one answer to whatever is asked, and tells what was.
    fn engine_that_says(
        status: &str,
        body: &str,
    ) -> (tempfile::TempDir, Docker, std::thread::JoinHandle<String>) {
        use std::io::{Read as _, Write as _};
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("docker.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 1024];
            let read = stream.read(&mut request).expect("a request");
            stream.write_all(answer.as_bytes()).expect("answered");
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let docker = Docker::new(Some(&format!("unix://{}", path.display()))).expect("an address");
        (dir, docker, asked)
    }

    /// Requests name no version, so that each engine serves its own newest: one that was made after this client does
    /// not find it too old, and one that was made before does not find it too new.
    #[tokio::test]
    async fn an_engine_is_asked_in_its_own_version() {
        let body = r#"{"Version":"19.3","ApiVersion":"1.40","Os":"linux","Arch":"amd64"}"#;
        let (_dir, docker, asked) = engine_that_says("200 OK", body);
        let error = docker.info().await.expect_err("too old");
        assert!(
            matches!(error.kind(), ErrorKind::TooOld { .. }),
            "{error:?}"
        );
        assert!(
            crate::report::Chain(&error)
                .to_string()
                .contains("speaks API 1.40")
        );
        let asked = asked.join().expect("asked");
        assert!(asked.starts_with("GET /version "), "{asked}");
    }

    #[tokio::test]
    async fn an_engine_that_refuses_the_version_says_so_in_one_error() {
        let body = r#"{"message":"client version 1.41 is too old. Minimum supported API version is 1.44"}"#;
        let (_dir, docker, _asked) = engine_that_says("400 Bad Request", body);
        let error = docker.info().await.expect_err("refused");
        let said = crate::report::Chain(&error).to_string();
        assert!(
            said.contains("Minimum supported API version is 1.44") && said.contains("docker.sock"),
            "{said}"
        );
    }

    #[test]
    fn api_versions_compare_as_numbers() {
        assert!(parse_api("1.9") < parse_api("1.41"));
        assert_eq!(parse_api("1.41"), Some((1, 41)));
        assert_eq!(parse_api("x"), None);
    }

    #[test]
    fn the_remap_is_read_from_the_root_directory() {
        let on = [
            "name=seccomp,profile=default".to_owned(),
            "name=userns".to_owned(),
        ];
        let cases = [
            (
                &on[..],
                "/var/lib/docker/231072.231072",
                Some((231_072, 231_072)),
            ),
            (
                &on[..],
                "/var/lib/docker/100000.200000",
                Some((100_000, 200_000)),
            ),
            (&on[..], "/var/lib/docker", None),
            (&on[..1], "/var/lib/docker/1.2", None),
        ];
        for (options, root, expected) in cases {
            let found = remap(options, root).map(|r| (r.uid, r.gid));
            assert_eq!(found, expected, "{root}");
        }
    }
}
