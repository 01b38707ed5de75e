//! A Git host on loopback: the real `git http-backend` behind a header that has to be right.
//!
//! Takes a directory, serves the one repository `acme/sub/net.git` below it, reading only.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::world::git;

/// The host.
#[derive(Clone)]
pub(crate) struct GitHost {
    pub(crate) url: String,
    root: PathBuf,
    proof: &'static str,
}

impl GitHost {
    /// Serves an empty repository to who has this `Authorization`.
    pub(crate) async fn new(dir: &Path, proof: &'static str) -> Self {
        let root = dir.join("served");
        let repository = root.join("acme/sub/net.git");
        std::fs::create_dir_all(&repository).unwrap();
        git(&repository, &["init", "-q", "--bare"]);
        git(&repository, &["config", "uploadpack.allowFilter", "true"]);
        let work = dir.join("work");
        std::fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q"]);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            root,
            proof,
        };
        let router = Router::new().fallback(serve).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        host
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.root.join("acme/sub/net.git")
    }

    /// Commits a file to `main` and pushes it; the commit.
    pub(crate) fn commit(&self, path: &str, text: &str) -> String {
        let work = self.root.with_file_name("work");
        let file = work.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "-m", "a change"]);
        let to = self.repository().display().to_string();
        git(&work, &["push", "-q", &to, "HEAD:refs/heads/main"]);
        git(&work, &["rev-parse", "HEAD"])
    }
}

async fn serve(
    State(host): State<GitHost>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if header("authorization") != Some(host.proof) {
        let refused = Response::builder().status(StatusCode::UNAUTHORIZED);
        return refused.body(Body::empty()).unwrap();
    }
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("GIT_PROJECT_ROOT", &host.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or(""))
        .env("CONTENT_TYPE", header("content-type").unwrap_or(""))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_PROTOCOL", header("git-protocol").unwrap_or(""))
        .env(
            "HTTP_CONTENT_ENCODING",
            header("content-encoding").unwrap_or(""),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = backend.stdin.take().unwrap();
    let fed = async move {
        stdin.write_all(&body).await.unwrap();
        drop(stdin);
    };
    let (output, ()) = tokio::join!(backend.wait_with_output(), fed);
    answer(&output.unwrap().stdout)
}

/// What a CGI program says, as HTTP.
fn answer(said: &[u8]) -> Response<Body> {
    let end = said
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = std::str::from_utf8(&said[..end]).unwrap();
    let mut response = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            name => response.header(name, value),
        };
    }
    response.body(Body::from(said[end + 4..].to_vec())).unwrap()
}
