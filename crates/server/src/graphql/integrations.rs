//! Integrations with code hosts in the API.
//!
//! Takes records, gives their fields. Never: a token, or a webhook's secret after it was made.

use async_graphql::{Context, Enum, Error, ID, InputObject, Object, SimpleObject};
use gantry_protocol::Secret;

use super::context::{app, look, manage};
use crate::code_hosts::{Branch, Listed};
use crate::domain::{CodeHost, Push};
use crate::operations::{IntegrationChange, NewIntegration, OperationError};
use crate::store::integrations;

/// Kinds of code hosts that can be integrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::domain::CodeHost")]
pub(super) enum VcsVendor {
    /// Any server that speaks git.
    Git,
    /// GitHub and GitHub Enterprise.
    Github,
    /// GitLab.
    Gitlab,
    /// Bitbucket Data Center.
    BitbucketDatacenter,
    /// Azure DevOps.
    AzureDevops,
}

pub(super) struct VcsIntegration(pub(super) integrations::Integration);

/// An integration that was just made.
#[derive(SimpleObject)]
pub(super) struct NewVcsIntegration {
    pub(super) integration: VcsIntegration,
    /// For the code host's webhook; shown this once.
    pub(super) webhook_secret: String,
}

/// A push that was told of.
#[derive(SimpleObject)]
pub(super) struct VcsPush {
    branch: String,
    /// The commit; none for a branch that is gone.
    commit: Option<String>,
    pusher: String,
    received_at: i64,
    /// What came of it, or why it waits; none while it was not looked at.
    outcome: Option<String>,
}

/// A repository of a code host.
#[derive(SimpleObject)]
pub(super) struct VcsRepository {
    /// Its whole name at the host, such as `acme/net`.
    name: String,
    /// What a stack has as its repository.
    url: String,
    default_branch: Option<String>,
}

/// A page of repositories; it may hold fewer than were asked for.
#[derive(SimpleObject)]
pub(super) struct VcsRepositoryPage {
    nodes: Vec<VcsRepository>,
    end_cursor: Option<String>,
    has_next_page: bool,
}

/// A branch of a repository.
#[derive(SimpleObject)]
pub(super) struct VcsBranch {
    name: String,
    commit: String,
}

/// A page of branches; it may hold fewer than were asked for.
#[derive(SimpleObject)]
pub(super) struct VcsBranchPage {
    nodes: Vec<VcsBranch>,
    end_cursor: Option<String>,
    has_next_page: bool,
}

/// How a code host is reached.
#[derive(InputObject)]
pub(super) struct VcsIntegrationInput {
    name: String,
    slug: Option<String>,
    space: Option<ID>,
    vendor: VcsVendor,
    /// Clone URLs that begin so belong to it, such as `https://github.com/acme/`.
    url_prefix: String,
    /// Where its API is, such as `https://api.github.com`; without it nothing is sent back.
    api_url: Option<String>,
    username: Option<String>,
    token: Option<String>,
    /// Made if it is left out.
    webhook_secret: Option<String>,
    /// 0 for never; 60 for GIT if it is left out.
    poll_seconds: Option<u32>,
}

impl VcsIntegrationInput {
    pub(super) fn new_integration(self) -> NewIntegration {
        NewIntegration {
            slug: self.slug,
            name: self.name,
            space: self.space.map(|id| id.to_string()),
            host: self.vendor.into(),
            url_prefix: self.url_prefix,
            details: IntegrationChange {
                name: None,
                api_url: self.api_url,
                username: self.username,
                token: self.token.map(Secret::new),
                webhook_secret: self.webhook_secret.map(Secret::new),
                poll_seconds: self.poll_seconds,
            },
        }
    }
}

impl From<(Push, crate::clock::UnixMillis, Option<String>)> for VcsPush {
    fn from((push, at, outcome): (Push, crate::clock::UnixMillis, Option<String>)) -> Self {
        Self {
            branch: push.branch,
            commit: push.head,
            pusher: push.pusher,
            received_at: at.seconds(),
            outcome,
        }
    }
}

/// A code host: how it is reached, and what it tells.
#[Object]
impl VcsIntegration {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn space(&self) -> &str {
        &self.0.space
    }

    async fn vendor(&self) -> VcsVendor {
        self.0.host.into()
    }

    async fn url_prefix(&self) -> &str {
        &self.0.url_prefix
    }

    async fn api_url(&self) -> Option<&str> {
        self.0.api_url.as_deref()
    }

    async fn username(&self) -> Option<&str> {
        self.0.username.as_deref()
    }

    /// Whether it has a token; the token itself never comes back.
    async fn has_token(&self) -> bool {
        self.0.token.is_some()
    }

    /// Where the code host sends its webhooks; none for servers that only speak git.
    async fn webhook_url(&self, ctx: &Context<'_>) -> Option<String> {
        let takes = self.0.host != CodeHost::Git;
        takes.then(|| format!("{}/webhooks/{}", app(ctx).base_url, self.0.id))
    }

    /// How often its repositories are asked for their branches; none for never.
    async fn poll_seconds(&self) -> Option<u32> {
        self.0.poll_seconds
    }

    async fn created_at(&self) -> i64 {
        self.0.created_at.seconds()
    }

    async fn updated_at(&self) -> i64 {
        self.0.updated_at.seconds()
    }

    /// Who the host says that the token belongs to; asks the host.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<String, Error> {
        let client = manage(ctx)?.code_host(self.0.id.as_str()).await?;
        Ok(client.viewer().await.map_err(OperationError::from)?)
    }

    /// Repositories that the token sees; asks the host. At most 100 at a time.
    async fn repositories(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 50)] first: u32,
        after: Option<String>,
        search: Option<String>,
    ) -> Result<VcsRepositoryPage, Error> {
        let client = manage(ctx)?.code_host(self.0.id.as_str()).await?;
        let found = client.repositories(first, after.as_deref(), search.as_deref());
        let found = found.await.map_err(OperationError::from)?;
        let node = |one: Listed| VcsRepository {
            name: one.name,
            url: one.url,
            default_branch: one.default_branch,
        };
        Ok(VcsRepositoryPage {
            nodes: found.entries.into_iter().map(node).collect(),
            has_next_page: found.next.is_some(),
            end_cursor: found.next,
        })
    }

    /// Branches of a repository that is called as `repositories` does; asks the host. At most 100 at a time.
    async fn branches(
        &self,
        ctx: &Context<'_>,
        repository: String,
        #[graphql(default = 50)] first: u32,
        after: Option<String>,
        search: Option<String>,
    ) -> Result<VcsBranchPage, Error> {
        let client = manage(ctx)?.code_host(self.0.id.as_str()).await?;
        let place = client.named(&repository).map_err(OperationError::from)?;
        let found = client.branches(&place, first, after.as_deref(), search.as_deref());
        let found = found.await.map_err(OperationError::from)?;
        let node = |one: Branch| VcsBranch {
            name: one.name,
            commit: one.commit,
        };
        Ok(VcsBranchPage {
            nodes: found.entries.into_iter().map(node).collect(),
            has_next_page: found.next.is_some(),
            end_cursor: found.next,
        })
    }

    /// The newest 50, newest first.
    async fn pushes(&self, ctx: &Context<'_>) -> Result<Vec<VcsPush>, Error> {
        let newest = look(ctx)?.pushes(&self.0.id).await?.into_iter();
        Ok(newest.map(VcsPush::from).collect())
    }
}
