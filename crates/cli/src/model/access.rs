//! Spaces and API keys as the server gives them.

use gantry_protocol::Secret;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct Spaces {
    pub spaces: Vec<Space>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpaceCreate {
    pub space_create: Space,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpaceDelete {
    pub space_delete: Space,
}

/// Where stacks, pools, policies and contexts belong.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Space {
    pub id: String,
    pub name: String,
    pub description: String,
    pub parent_space: Option<String>,
    pub inherit_entities: bool,
    pub access_level: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeys {
    pub api_keys: Vec<ApiKey>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyCreate {
    pub api_key_create: NewApiKey,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyDelete {
    pub api_key_delete: ApiKey,
}

/// A key of the API.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    pub id: String,
    pub name: String,
    pub role: String,
    /// None is all spaces.
    pub spaces: Option<Vec<String>>,
    pub creator: String,
    pub created_at: i64,
    pub last_used_at: Option<i64>,
    pub expires_at: Option<i64>,
}

/// A key that was just made.
#[derive(Debug, Deserialize)]
pub struct NewApiKey {
    pub id: String,
    pub secret: Option<Secret>,
}
