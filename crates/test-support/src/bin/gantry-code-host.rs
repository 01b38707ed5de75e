//! A Git host for tests: real `git http-backend`, and as much of GitLab's API as a control plane asks for.
//!
//! Takes an address, a directory of bare repositories and a file; writes a line into the file for every request that
//! arrives: its id, a space, its path. What the name of a project says is done: `bytes/N` has an archive of N kilobytes,
//! `slow/N` answers after N milliseconds. Never: a write to a repository.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::io::ReaderStream;

/// What a piece of a made-up archive is.
const PIECE: usize = 64 * 1024;

struct Host {
    repos: PathBuf,
    log: Mutex<File>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || {
        arguments
            .next()
            .ok_or("usage: gantry-code-host ADDRESS REPOSITORIES LOG")
    };
    let (address, repos, log) = (next()?, next()?, next()?);
    let log = OpenOptions::new().append(true).create(true).open(log)?;
    let host = Host {
        repos: repos.into(),
        log: Mutex::new(log),
    };
    let router = Router::new().fallback(answer).with_state(Arc::new(host));
    axum::serve(TcpListener::bind(address).await?, router).await?;
    Ok(())
}

async fn answer(State(host): State<Arc<Host>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let id = head
        .headers
        .get("x-request-id")
        .and_then(|id| id.to_str().ok());
    {
        let mut log = host.log.lock().unwrap_or_else(PoisonError::into_inner);
        // One write: lines of requests that come together stay whole.
        let line = format!("{} {path}\n", id.unwrap_or("-"));
        log.write_all(line.as_bytes())
            .expect("the log can be written");
    }
    let answered = match path.strip_prefix("/api/v4/projects") {
        Some(rest) => Ok(api(rest).await),
        None => {
            git(
                &host,
                &head.method,
                &path,
                head.uri.query(),
                &head.headers,
                body,
            )
            .await
        }
    };
    answered.unwrap_or_else(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
    })
}

async fn api(rest: &str) -> Response {
    let Some((project, rest)) = rest
        .strip_prefix('/')
        .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    else {
        return axum::Json(json!([described("team/app")])).into_response();
    };
    let project = project.replace("%2F", "/").replace("%2f", "/");
    if let Some(wait) = number(&project, "slow/") {
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    match rest {
        "" => axum::Json(described(&project)).into_response(),
        "repository/branches" => {
            let branch = json!({ "name": "main", "commit": { "id": "a".repeat(40) } });
            axum::Json(json!([branch])).into_response()
        }
        _ if rest.starts_with("repository/archive") => {
            archive(number(&project, "bytes/").unwrap_or(1))
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn described(project: &str) -> Value {
    json!({
        "id": 1,
        "path_with_namespace": project,
        "http_url_to_repo": format!("http://code.test/{project}.git"),
        "default_branch": "main",
    })
}

fn number(project: &str, kind: &str) -> Option<u64> {
    project.strip_prefix(kind)?.parse().ok()
}

/// So many kilobytes, made as they are sent.
fn archive(kilobytes: u64) -> Response {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::unfold(kilobytes * 1024, move |left| {
        let part = piece.slice(..PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
        async move {
            (left > 0).then(|| {
                (
                    Ok::<_, std::io::Error>(part.clone()),
                    left - part.len() as u64,
                )
            })
        }
    });
    Body::from_stream(pieces).into_response()
}

/// `git http-backend`, as a web server runs it.
async fn git(
    host: &Host,
    method: &axum::http::Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let body = axum::body::to_bytes(body, usize::MAX).await?;
    let value = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &host.repos)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", path)
        .env("REQUEST_METHOD", method.as_str())
        .env("QUERY_STRING", query.unwrap_or_default())
        .env("CONTENT_TYPE", value("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", value("content-encoding"))
        .env("GIT_PROTOCOL", value("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    tokio::spawn(async move {
        // A backend that wants no more of it has said why in its answer.
        let _ = stdin.write_all(&body).await;
    });
    let mut stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
    let mut response = Response::new(Body::empty());
    loop {
        let mut line = String::new();
        stdout.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            *response.status_mut() = StatusCode::from_bytes(code.as_bytes())?;
        } else {
            response
                .headers_mut()
                .append(header::HeaderName::try_from(name)?, value.parse()?);
        }
    }
    tokio::spawn(async move { child.wait().await });
    *response.body_mut() = Body::from_stream(ReaderStream::new(stdout));
    Ok(response)
}
