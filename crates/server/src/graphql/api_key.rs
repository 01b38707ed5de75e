//! API keys in the API.
//!
//! Takes a key's record, gives its fields. The secret stands only in the answer that made it.

use async_graphql::{Enum, ID, InputObject, Object, SimpleObject};
use gantry_protocol::Secret;

use super::space::SpaceAccessLevel;
use crate::auth::{NewKey, Role};
use crate::clock::UnixMillis;
use crate::store::api_keys::{self, Reach};

pub(super) struct ApiKey {
    key: api_keys::ApiKey,
    secret: Option<Secret>,
}

/// What the bearer of a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum ApiKeyRole {
    /// Look.
    Reader,
    /// Also move runs.
    Writer,
    /// Also make and change.
    Admin,
}

/// How a key is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum ApiKeyType {
    /// By a secret.
    Secret,
}

/// A key to make.
#[derive(Debug, InputObject)]
pub(super) struct ApiKeyInput {
    name: String,
    description: Option<String>,
    role: ApiKeyRole,
    /// The spaces that it is limited to, with all below them. All spaces when it is left out.
    spaces: Option<Vec<ID>>,
    /// When it stops to work, in Unix seconds. Never when it is left out.
    expires_at: Option<i64>,
}

/// What a key may do in one space and all below it.
#[derive(SimpleObject)]
pub(super) struct ApiKeyAccessRule {
    space: ID,
    space_access_level: SpaceAccessLevel,
}

impl From<ApiKeyRole> for Role {
    fn from(role: ApiKeyRole) -> Self {
        match role {
            ApiKeyRole::Reader => Self::Reader,
            ApiKeyRole::Writer => Self::Writer,
            ApiKeyRole::Admin => Self::Admin,
        }
    }
}

impl From<Role> for ApiKeyRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Reader => Self::Reader,
            Role::Writer => Self::Writer,
            Role::Admin => Self::Admin,
        }
    }
}

impl From<ApiKeyInput> for NewKey {
    fn from(input: ApiKeyInput) -> Self {
        let reach = match input.spaces {
            None => Reach::All,
            Some(ids) => {
                let mut ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
                ids.sort();
                ids.dedup();
                Reach::Spaces(ids)
            }
        };
        let millis = |seconds: i64| UnixMillis(seconds.saturating_mul(1000));
        Self {
            name: input.name,
            description: input.description,
            role: input.role.into(),
            reach,
            expires_at: input.expires_at.map(millis),
        }
    }
}

impl ApiKey {
    /// A key as every list shows it.
    pub(super) fn listed(key: api_keys::ApiKey) -> Self {
        Self { key, secret: None }
    }

    /// A key as its maker sees it, once.
    pub(super) fn created(key: api_keys::ApiKey, secret: Secret) -> Self {
        Self {
            key,
            secret: Some(secret),
        }
    }
}

/// A key of the API.
#[Object]
impl ApiKey {
    async fn id(&self) -> ID {
        self.key.id.clone().into()
    }

    async fn name(&self) -> &str {
        &self.key.name
    }

    async fn description(&self) -> Option<&str> {
        self.key.description.as_deref()
    }

    async fn r#type(&self) -> ApiKeyType {
        ApiKeyType::Secret
    }

    async fn role(&self) -> ApiKeyRole {
        self.key.role.into()
    }

    /// Whether it may do everything everywhere.
    async fn admin(&self) -> bool {
        self.key.role == Role::Admin && self.key.reach == Reach::All
    }

    /// The spaces that it is limited to; nothing for all.
    async fn spaces(&self) -> Option<Vec<ID>> {
        match &self.key.reach {
            Reach::All => None,
            Reach::Spaces(ids) => Some(ids.iter().map(ID::from).collect()),
        }
    }

    /// What it may do where. A key for all spaces has one rule, for the root.
    async fn access_rules(&self) -> Vec<ApiKeyAccessRule> {
        let rule = |space: &str| ApiKeyAccessRule {
            space: space.into(),
            space_access_level: self.key.role.into(),
        };
        match &self.key.reach {
            Reach::All => vec![rule(crate::domain::stack::ROOT_SPACE)],
            Reach::Spaces(ids) => ids.iter().map(|id| rule(id)).collect(),
        }
    }

    async fn space_count(&self) -> usize {
        match &self.key.reach {
            Reach::All => 0,
            Reach::Spaces(ids) => ids.len(),
        }
    }

    /// Who made it.
    async fn creator(&self) -> &str {
        let by = &self.key.created_by;
        by.strip_prefix("user:").unwrap_or(by)
    }

    async fn created_at(&self) -> i64 {
        self.key.created_at.seconds()
    }

    /// When it stops to work; nothing for never.
    async fn expires_at(&self) -> Option<i64> {
        self.key.expires_at.map(UnixMillis::seconds)
    }

    /// When it was exchanged for a session last, to ten minutes.
    async fn last_used_at(&self) -> Option<i64> {
        self.key.last_used_at.map(UnixMillis::seconds)
    }

    async fn deleted(&self) -> bool {
        false
    }

    /// There are no teams here.
    async fn teams(&self) -> Vec<String> {
        Vec::new()
    }

    async fn team_count(&self) -> usize {
        0
    }

    async fn is_machine_user(&self) -> bool {
        true
    }

    /// Only in the answer to `apiKeyCreate`.
    async fn secret(&self) -> Option<&str> {
        self.secret.as_ref().map(Secret::expose)
    }
}
