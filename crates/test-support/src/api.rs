//! The GraphQL API, as a client without our own command line sees it.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A session with a server.
#[derive(Debug)]
pub struct Api {
    url: String,
    key: (String, String),
    runtime: Runtime,
    client: Client,
    jwt: Mutex<Option<String>>,
}

impl Api {
    pub(crate) fn new(url: String, key: (String, String)) -> Self {
        let (runtime, client) = plain_http();
        Self {
            url,
            key,
            runtime,
            client,
            jwt: Mutex::default(),
        }
    }

    /// Whether the server says that it is ready.
    pub(crate) fn ready(url: &str) -> Result<(), String> {
        let (runtime, client) = plain_http();
        runtime.block_on(async {
            let answer = client.get(format!("{url}/readyz")).send().await;
            let answer = answer.map_err(|error| error.to_string())?;
            answer
                .error_for_status()
                .map(drop)
                .map_err(|error| error.to_string())
        })
    }

    /// The data of an operation.
    ///
    /// # Errors
    /// What the server says is wrong, or that it does not answer.
    pub fn ask(&self, query: &str, variables: Value) -> Result<Value, String> {
        let jwt = self.jwt()?;
        self.send(query, variables, Some(&jwt))
    }

    fn jwt(&self) -> Result<String, String> {
        let mut kept = self.jwt.lock().expect("no test panics with this lock held");
        if let Some(jwt) = &*kept {
            return Ok(jwt.clone());
        }
        let query =
            "mutation($id: ID!, $secret: String!) { apiKeyUser(id: $id, secret: $secret) { jwt } }";
        let data = self.send(
            query,
            json!({ "id": self.key.0, "secret": self.key.1 }),
            None,
        )?;
        let jwt = data["apiKeyUser"]["jwt"]
            .as_str()
            .ok_or("no session for the API key")?;
        Ok(kept.insert(jwt.to_owned()).clone())
    }

    fn send(&self, query: &str, variables: Value, jwt: Option<&str>) -> Result<Value, String> {
        let mut request = self.client.post(format!("{}/graphql", self.url));
        request = request.json(&json!({ "query": query, "variables": variables }));
        if let Some(jwt) = jwt {
            request = request.bearer_auth(jwt);
        }
        let answer = self.runtime.block_on(async {
            let answer = request.send().await.map_err(|error| error.to_string())?;
            answer
                .json::<Value>()
                .await
                .map_err(|error| error.to_string())
        })?;
        match answer["errors"]
            .as_array()
            .and_then(|errors| errors.first())
        {
            Some(error) => Err(error["message"].to_string()),
            None => Ok(answer["data"].clone()),
        }
    }

    /// The body of a file that the server serves.
    ///
    /// # Errors
    /// When it does not answer, or not with success.
    pub fn download(&self, path: &str) -> Result<Vec<u8>, String> {
        let jwt = self.jwt()?;
        let request = self
            .client
            .get(format!("{}{path}", self.url))
            .bearer_auth(jwt);
        self.runtime.block_on(async {
            let answer = request.send().await.map_err(|error| error.to_string())?;
            let answer = answer
                .error_for_status()
                .map_err(|error| error.to_string())?;
            let body = answer.bytes().await.map_err(|error| error.to_string())?;
            Ok(body.to_vec())
        })
    }

    /// The launchers of all pools: `id`, `busy`, `drained`, `status`, `statusReason`, `quarantine`.
    ///
    /// # Errors
    /// As [`Api::ask`].
    pub fn workers(&self) -> Result<Vec<Value>, String> {
        let query = "{ workerPools { workers { id busy drained status statusReason quarantine metadata } } }";
        let data = self.ask(query, json!({}))?;
        let pools = data["workerPools"].as_array().cloned().unwrap_or_default();
        let workers = pools.iter().filter_map(|pool| pool["workers"].as_array());
        Ok(workers.flatten().cloned().collect())
    }
}

pub(crate) fn plain_http() -> (Runtime, Client) {
    // The client wants a TLS provider even where it speaks plain HTTP on loopback.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let client = Client::builder().no_proxy().timeout(TIMEOUT).build();
    (runtime.expect("a runtime"), client.expect("an HTTP client"))
}
