//! The routes of the server.
//!
//! Takes the shared parts, gives one router. Never: a route that needs no proof of who asks, but the API's
//! own exchange, the launchers' enrolment, the proven messages of code hosts and the two health checks.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use crate::app::{App, fault_text};
use crate::error::chain;
use crate::{commits, download, graphql, peer, uploads, workers};

/// How long an answer about readiness is good for.
const FRESH: Duration = Duration::from_secs(1);

/// Everything that the server answers: below its public URL's path, and without it, for a proxy in front may pass that
/// path on or take it away.
pub fn router(app: Arc<App>) -> Router {
    let proxies = Arc::clone(&app.trusted_proxies);
    let prefix = prefix(&app.base_url).to_owned();
    let routes = routes(app);
    let all = match prefix.as_str() {
        "" => routes,
        prefix => Router::new().nest(prefix, routes.clone()).merge(routes),
    };
    all.layer(middleware::from_fn_with_state(proxies, peer::recognise))
}

/// The path of a base URL, with a slash before it and none behind; empty for none.
fn prefix(base_url: &str) -> &str {
    let authority = base_url
        .split_once("://")
        .map_or(base_url, |(_, rest)| rest);
    let path = authority.find('/').map_or("", |slash| &authority[slash..]);
    path.trim_end_matches('/')
}

fn routes(app: Arc<App>) -> Router {
    let schema = graphql::schema(Arc::clone(&app));
    let api = post(graphql::http::answer).layer(DefaultBodyLimit::max(graphql::http::BODY_LIMIT));
    let api = Router::new()
        .route("/graphql", api)
        .with_state((Arc::clone(&app), schema));
    let control = workers::router(Arc::clone(&app.control));
    let files = download::router(Arc::clone(&app));
    let hooks = commits::router(Arc::clone(&app));
    let uploads = uploads::router(Arc::clone(&app));
    health(app)
        .merge(api)
        .merge(control)
        .merge(files)
        .merge(hooks)
        .merge(uploads)
}

/// Whether the process answers, and whether it can serve: for probes, with no login.
pub fn health(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Readiness {
            app,
            last: Arc::default(),
        })
}

/// Status and text.
type Answer = (StatusCode, String);

/// What was found last, and when: anybody may ask, so the database is asked once a second at most.
#[derive(Clone)]
struct Readiness {
    app: Arc<App>,
    last: Arc<Mutex<Option<(Instant, Answer)>>>,
}

/// Ready means: the database can be written.
async fn ready(State(readiness): State<Readiness>) -> Answer {
    let mut last = readiness.last.lock().await;
    match &*last {
        Some((at, answer)) if at.elapsed() < FRESH => answer.clone(),
        _ => {
            let answer = look(&readiness.app).await;
            *last = Some((Instant::now(), answer.clone()));
            answer
        }
    }
}

async fn look(app: &App) -> Answer {
    let Err(error) = app.store.check().await else {
        return (StatusCode::OK, "ready\n".to_owned());
    };
    tracing::error!(error = chain(&error), "the database can't be written");
    // What is shown to anybody names no path.
    let reason = match error.storage_fault() {
        Some(fault) => format!("the data directory {}\n", fault_text(fault)),
        None => "the database can't be written: see the server's log\n".to_owned(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, reason)
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn a_base_urls_path_is_its_prefix() {
        for (url, expected) in [
            ("https://gantry.example", ""),
            ("https://gantry.example/", ""),
            ("https://gantry.example:8443/gantry", "/gantry"),
            ("http://[::1]:4000/tools/gantry/", "/tools/gantry"),
        ] {
            assert_eq!(prefix(url), expected, "{url}");
        }
    }
}
