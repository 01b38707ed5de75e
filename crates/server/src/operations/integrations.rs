//! Making, changing and deleting integrations with code hosts.
//!
//! Takes inputs, seals tokens and secrets. Never: a token that comes back, or a secret shown twice.

use gantry_protocol::Secret;
use gantry_protocol::crypto::random_text;

use super::manage::check_name;
use super::{Look, Manage, OperationError, door};
use crate::clock::UnixMillis;
use crate::code_hosts::{Answer, Client, Through};
use crate::domain::stack::slug;
use crate::domain::{CodeHost, IntegrationId, Push, VcsPoolName};
use crate::store::integrations::{self, Integration, secret_purpose, token_purpose};
use crate::store::{StoreError, Tx, pushes};
use crate::vcs_probe::{ProbeError, check_branch, is_full_hash};

/// The shortest and the longest time between two questions, in seconds.
const POLL_SECONDS: std::ops::RangeInclusive<u32> = 5..=86_400;

/// How often a server is asked that tells nothing by itself, unless somebody says otherwise, in seconds.
const POLL_USUAL: u32 = 60;

/// The longest token, secret or name.
const TEXT_LIMIT: usize = 4 * 1024;

/// Pushes that are shown of an integration.
const SHOWN: u32 = 50;

/// An integration to make.
#[derive(Clone, Debug)]
pub struct NewIntegration {
    /// Its slug; none derives it from the name.
    pub slug: Option<String>,
    /// The name people see.
    pub name: String,
    /// The space; none is the caller's.
    pub space: Option<String>,
    /// What kind of host it is.
    pub host: CodeHost,
    /// Clone URLs that begin so belong to it.
    pub url_prefix: String,
    /// The rest.
    pub details: IntegrationChange,
}

/// What may change of an integration; none leaves it.
#[derive(Clone, Debug, Default)]
pub struct IntegrationChange {
    /// The name people see.
    pub name: Option<String>,
    /// Where the host's API is; empty for none.
    pub api_url: Option<String>,
    /// User name that goes with the token; empty for the host's usual one.
    pub username: Option<String>,
    /// Token for cloning and for the API; empty for none.
    pub token: Option<Secret>,
    /// Secret that webhooks prove.
    pub webhook_secret: Option<Secret>,
    /// Seconds between two questions; 0 for never.
    pub poll_seconds: Option<u32>,
}

impl Look {
    /// The integration of this slug; nothing for a text that is no slug either.
    pub async fn integration(&self, id: &str) -> Result<Option<Integration>, StoreError> {
        door::find_integration(&mut *self.read().await?, &self.principal, id).await
    }

    /// Every integration that the caller sees, in order of the slugs.
    pub async fn integrations(&self) -> Result<Vec<Integration>, StoreError> {
        let mut all = integrations::list(&mut *self.read().await?).await?;
        all.retain(|one| self.principal.sees(&one.space));
        Ok(all)
    }

    /// The newest pushes that an integration told of, with what came of each.
    pub async fn pushes(
        &self,
        id: &IntegrationId,
    ) -> Result<Vec<(Push, UnixMillis, Option<String>)>, StoreError> {
        pushes::newest(&mut *self.read().await?, id, SHOWN).await
    }
}

impl Manage {
    /// Makes an integration; gives the secret for its webhooks, which is shown this once.
    pub async fn create_integration(
        &self,
        new: NewIntegration,
    ) -> Result<(Integration, Secret), OperationError> {
        let id: IntegrationId = match &new.slug {
            Some(text) => text.parse()?,
            None => slug(&new.name)?.into(),
        };
        check_prefix(&new.url_prefix)?;
        let given = new.details.webhook_secret.clone();
        let secret = given.unwrap_or_else(random_text);
        let now = UnixMillis::now();
        let bare = Integration {
            name: new.name,
            space: new.space.unwrap_or_else(|| door::home(&self.principal)),
            host: new.host,
            url_prefix: new.url_prefix,
            api_url: None,
            username: None,
            token: None,
            webhook_secret: String::new(),
            poll_seconds: (new.host == CodeHost::Git).then_some(POLL_USUAL),
            created_at: now,
            updated_at: now,
            id,
        };
        let details = IntegrationChange {
            name: None,
            webhook_secret: Some(secret.clone()),
            ..new.details
        };
        let made = self.changed(bare, details)?;
        let mut tx = self.app.store.begin().await?;
        door::space(&mut tx, &self.principal, &made.space).await?;
        check_agents(&mut tx, &made).await?;
        integrations::insert(&mut tx, &made).await?;
        self.integration_done(tx, "integration.create", &made.id)
            .await?;
        Ok((made, secret))
    }

    /// Changes an integration.
    pub async fn update_integration(
        &self,
        id: &str,
        change: IntegrationChange,
    ) -> Result<Integration, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let old = door::integration(&mut tx, &self.principal, id).await?;
        let changed = self.changed(old, change)?;
        check_agents(&mut tx, &changed).await?;
        integrations::update(&mut tx, &changed).await?;
        self.integration_done(tx, "integration.update", &changed.id)
            .await?;
        Ok(changed)
    }

    /// Deletes an integration with its token.
    pub async fn delete_integration(&self, id: &str) -> Result<Integration, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let old = door::integration(&mut tx, &self.principal, id).await?;
        integrations::delete(&mut tx, &old.id, UnixMillis::now()).await?;
        self.integration_done(tx, "integration.delete", &old.id)
            .await?;
        Ok(old)
    }

    /// The API of an integration's host. What its token sees is for who may make stacks.
    pub async fn code_host(&self, id: &str) -> Result<Client, OperationError> {
        let mut conn = self.app.store.read().await?;
        let integration = door::integration(&mut conn, &self.principal, id).await?;
        drop(conn);
        Ok(Client::open(&self.app, &integration).await?)
    }

    /// All files of a commit, or of a branch's head, as the host packs them.
    pub async fn archive(
        &self,
        id: &str,
        repository: &str,
        commit: &str,
    ) -> Result<Answer, OperationError> {
        let client = self.code_host(id).await?;
        let place = client.named(repository)?;
        if is_full_hash(commit) {
            return Ok(client.archive(&place, commit).await?);
        }
        check_branch(commit)?;
        match client.head(&place, commit).await? {
            Some(head) => Ok(client.archive(&place, &head).await?),
            None => Err(ProbeError::NoBranch {
                url: place.name(),
                branch: commit.to_owned(),
            }
            .into()),
        }
    }

    fn changed(
        &self,
        old: Integration,
        change: IntegrationChange,
    ) -> Result<Integration, OperationError> {
        let name = change.name.unwrap_or(old.name);
        check_name(&name)?;
        let filled = |text: Option<String>, old: Option<String>| match text {
            Some(text) => Some(text).filter(|text| !text.is_empty()),
            None => old,
        };
        let api_url = filled(change.api_url, old.api_url);
        if let Some(url) = &api_url {
            check_api_url(url)?;
        }
        let username = filled(change.username, old.username);
        if username
            .as_ref()
            .is_some_and(|name| name.contains([':', '\n', '\r']))
        {
            let rule = "a user name holds no colon and no line end";
            return Err(OperationError::input("username", "", rule));
        }
        let token = match change.token {
            Some(token) if token.expose().is_empty() => None,
            Some(token) => Some(self.sealed("token", &token_purpose(&old.id), &token)?),
            None => old.token,
        };
        let webhook_secret = match change.webhook_secret {
            Some(new) => self.sealed("webhookSecret", &secret_purpose(&old.id), &new)?,
            None => old.webhook_secret,
        };
        let poll_seconds = match change.poll_seconds {
            None => old.poll_seconds,
            Some(0) => None,
            Some(seconds) if POLL_SECONDS.contains(&seconds) => Some(seconds),
            Some(seconds) => {
                let rule = "expected 0 (never) or 5 to 86400 seconds";
                let given = seconds.to_string();
                return Err(OperationError::input("pollSeconds", &given, rule));
            }
        };
        Ok(Integration {
            name,
            api_url: api_url.map(|url| url.trim_end_matches('/').to_owned()),
            username,
            token,
            webhook_secret,
            poll_seconds,
            updated_at: UnixMillis::now(),
            ..old
        })
    }

    fn sealed(
        &self,
        field: &'static str,
        purpose: &str,
        value: &Secret,
    ) -> Result<String, OperationError> {
        let text = value.expose();
        let odd = |c: char| c.is_control() || c == ' ';
        if text.len() > TEXT_LIMIT || text.is_empty() || text.contains(odd) {
            let rule = "expected 1 to 4096 bytes on one line, without blanks";
            return Err(OperationError::input(field, "…", rule));
        }
        Ok(self.app.vault.seal(purpose, text.as_bytes())?)
    }

    async fn integration_done(
        &self,
        mut tx: Tx,
        action: &'static str,
        id: &IntegrationId,
    ) -> Result<(), OperationError> {
        self.record(&mut tx, action, format!("integration:{id}"))
            .await?;
        Ok(self.app.store.commit(tx).await?)
    }
}

/// What goes through agents goes through a pool that the integration's space has.
async fn check_agents(tx: &mut Tx, of: &Integration) -> Result<(), OperationError> {
    for url in of.api_url.iter().chain([&of.url_prefix]) {
        Through::known(tx, url, &of.space).await?;
    }
    Ok(())
}

/// A prefix names a host to its end, so that a login never goes to another host that begins alike.
fn check_prefix(prefix: &str) -> Result<(), OperationError> {
    let plain = !prefix.chars().any(|c| c.is_control() || c == ' ') && prefix.len() <= 1024;
    let host_ends = match prefix.split_once("://") {
        Some(("file", path)) => path.starts_with('/'),
        Some(("private", _)) => VcsPoolName::in_endpoint(prefix)
            .is_some_and(|(name, _)| prefix.starts_with(&format!("private://{name}/"))),
        Some((scheme @ ("https" | "ssh"), rest)) => {
            let (host, _) = rest.split_once('/').unwrap_or_default();
            let named = scheme == "ssh" || !host.contains('@');
            named && !host.is_empty()
        }
        Some(_) => false,
        None => prefix
            .split_once('@')
            .is_some_and(|(_, rest)| rest.contains(':')),
    };
    if plain && host_ends {
        return Ok(());
    }
    let rule =
        "expected the beginning of clone URLs, host included, such as `https://github.com/acme/`";
    Err(OperationError::input("urlPrefix", prefix, rule))
}

fn check_api_url(url: &str) -> Result<(), OperationError> {
    if let Some((name, path)) = VcsPoolName::in_endpoint(url) {
        let plain =
            |part: &str| !matches!(part, "." | "..") && !part.contains(['%', '?', '#', '\\']);
        let canonical = url.starts_with(&format!("private://{name}"));
        if canonical && path.trim_end_matches('/').split('/').all(plain) {
            return Ok(());
        }
    }
    let parsed = reqwest::Url::parse(url).ok();
    let good = parsed.is_some_and(|url| {
        matches!(url.scheme(), "https" | "http")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
    });
    if good {
        return Ok(());
    }
    let rule = "expected a URL such as `https://api.github.com`, or `private://POOL/path` with the pool's name in lower case";
    Err(OperationError::input("apiUrl", url, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_name_their_host_to_its_end() {
        for good in [
            "https://github.com/",
            "https://github.com/acme/",
            "https://git.example/acme",
            "ssh://git@git.example/",
            "git@git.example:acme/",
            "private://corp/",
            "private://corp/team/",
            "file:///srv/repos/",
        ] {
            assert!(check_prefix(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "https://github.com",
            "https://",
            "https:///x",
            "https://ann:pw@github.com/",
            "http://github.com/",
            "github.com/acme",
            "git@git.example",
            "private://corp",
            "private://Corp/",
            "private:///x",
            "https://git.example/a b",
        ] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }
}
