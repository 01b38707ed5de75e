//! An image that differs from another in its configuration alone, made through the registry's API.
//!
//! Takes repository and tag, gives a second tag whose image no engine has yet. Never: a layer pushed twice.

use gantry_protocol::Digest;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

use crate::api::plain_http;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Makes `repository:name` out of `repository:tag`.
pub(super) fn make(registry: &str, repository: &str, tag: &str, name: &str) -> Result<(), String> {
    let (runtime, client) = plain_http();
    let base = format!("http://{registry}/v2/{repository}");
    runtime.block_on(push(&client, &base, tag, name))
}

async fn push(client: &Client, base: &str, tag: &str, name: &str) -> Result<(), String> {
    let manifest = client.get(format!("{base}/manifests/{tag}"));
    let mut manifest = json(manifest.header("accept", MANIFEST)).await?;
    let config = manifest["config"]["digest"].as_str().unwrap_or_default();
    let mut config = json(client.get(format!("{base}/blobs/{config}"))).await?;
    config["config"]["Labels"]["variant"] = Value::from(name);
    let config = config.to_string();
    let digest = Digest::of(config.as_bytes()).to_string();
    let begun = answered(client.post(format!("{base}/blobs/uploads/"))).await?;
    let place = begun.headers().get("location");
    let place = place.and_then(|place| place.to_str().ok()).unwrap_or("");
    manifest["config"]["size"] = Value::from(config.len());
    manifest["config"]["digest"] = Value::from(digest.clone());
    let upload = client.put(place).query(&[("digest", digest)]);
    answered(upload.body(config)).await?;
    let put = client.put(format!("{base}/manifests/{name}"));
    let put = put.header("content-type", MANIFEST);
    answered(put.body(manifest.to_string())).await?;
    Ok(())
}

async fn answered(request: RequestBuilder) -> Result<Response, String> {
    let answer = request.send().await.map_err(|error| error.to_string())?;
    answer.error_for_status().map_err(|error| error.to_string())
}

async fn json(request: RequestBuilder) -> Result<Value, String> {
    let answer = answered(request).await?;
    answer.json().await.map_err(|error| error.to_string())
}
