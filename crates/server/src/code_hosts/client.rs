//! A client of one integration's API.
//!
//! Takes names, gives what the host says. Never: more than three requests for one question, or a token at a host
//! that is not the integration's.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, USER_AGENT};

use super::ask::Ask;
use super::door::{Answer, Door, secret_header};
use super::error::Refusal;
use super::place::root;
use super::vendors::{self, Branch, Changes, Listed, Part, Vendor, Version, Window};
use super::{HostError, Place};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::{CodeHost, IntegrationId};
use crate::logins;
use crate::store::integrations::Integration;
use crate::vcs_probe::{Details, Found};

/// How long a question may take, and how long an archive.
const TIME_LIMITS: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(30 * 60));

/// How often a question is asked that may go better in a moment, and the waits between.
const WAITS: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1500)];

/// The longest wait that a host may ask for within a question, in seconds.
const PATIENCE: u64 = 5;

/// The longest answer that is kept in memory.
const ANSWER_LIMIT: usize = 16 << 20;

/// The longest text of an error that is read.
const ERROR_LIMIT: usize = 64 << 10;

/// The longest file.
const FILE_LIMIT: usize = 64 << 10;

/// Pages of a host that are looked through for one page of ours.
const PAGES: usize = 10;

/// Most paths of a comparison.
const PATHS_LIMIT: usize = 5_000;

/// Most entries of a page.
const SIZES: std::ops::RangeInclusive<u32> = 1..=100;

/// The API of one integration's host.
#[derive(Debug)]
pub struct Client {
    door: Door,
    vendor: &'static dyn Vendor,
    host: CodeHost,
    integration: IntegrationId,
    api_url: String,
    headers: HeaderMap,
}

/// A page of a list, and the cursor of the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// The entries; a page may hold fewer than were asked for.
    pub entries: Vec<T>,
    /// What to ask for next.
    pub next: Option<String>,
}

impl Client {
    /// A client of the integration's API.
    ///
    /// # Errors
    /// When it has none, its token does not open, or its host has no address that may be spoken to.
    pub async fn open(app: &App, of: &Integration) -> Result<Self, HostError> {
        let integration = of.id.clone();
        let Some(vendor) = vendors::of(of.host) else {
            return Err(HostError::OnlyGit { integration });
        };
        let Some(api_url) = of.api_url.clone() else {
            return Err(HostError::NoApi { integration });
        };
        let mut headers = HeaderMap::new();
        let agent = concat!("gantry-server/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, agent.parse().expect("invariant: a plain text"));
        for (name, value) in vendor.headers() {
            let name = name.to_ascii_lowercase();
            if let (Ok(name), Ok(value)) =
                (name.parse::<reqwest::header::HeaderName>(), value.parse())
            {
                headers.insert(name, value);
            }
        }
        if let Some(login) = logins::of(&app.vault, of)? {
            let (name, value) = logins::proof(of.host, &login);
            headers.extend(secret_header(name, value.expose()));
        }
        Ok(Self {
            door: Door::open(app, &api_url, &of.space).await?,
            vendor,
            host: of.host,
            integration,
            api_url,
            headers,
        })
    }

    /// The repository of a clone URL.
    ///
    /// # Errors
    /// When the host would not name a repository so.
    pub fn place(&self, url: &str) -> Result<Place, HostError> {
        Place::of(self.host, url, &self.api_url).ok_or_else(|| self.no_place(url))
    }

    /// The repository of a name such as `acme/net`.
    ///
    /// # Errors
    /// When the host would not name a repository so.
    pub fn named(&self, name: &str) -> Result<Place, HostError> {
        Place::named(self.host, name).ok_or_else(|| self.no_place(name))
    }

    /// Whose token it is, as far as the host tells.
    pub async fn viewer(&self) -> Result<String, HostError> {
        let ask = self.vendor.viewer();
        let (headers, bytes) = self.read(&ask, "", ANSWER_LIMIT).await?;
        let said = serde_json::from_slice(&bytes).ok();
        let viewer = said.and_then(|said| self.vendor.read_viewer(&headers, &said));
        viewer.ok_or_else(|| self.unreadable(&ask, ""))
    }

    /// Repositories that the token sees, a page of them.
    pub async fn repositories(
        &self,
        first: u32,
        after: Option<&str>,
        search: Option<&str>,
    ) -> Result<Listing<Listed>, HostError> {
        let mut walk = Walk::new(first, after);
        loop {
            let window = walk.window;
            let ask = self.vendor.repositories(window, search);
            let read = |said: &_| self.vendor.read_repositories(window, said);
            let (mut all, next): Part<Listed> = self.json(&ask, "", read).await?;
            if let Some(search) = search.filter(|_| !self.vendor.searches()) {
                all.retain(|one| holds(&one.name, search));
            }
            for one in &mut all {
                self.lead_through_agents(one);
            }
            if let Some(page) = walk.step(all, next) {
                return Ok(page);
            }
        }
    }

    /// What a stack has as its repository that only agents reach: not the URL that the host has for itself.
    fn lead_through_agents(&self, one: &mut Listed) {
        let inside = self.api_url.strip_prefix("private://");
        let pool = inside.and_then(|inside| inside.split('/').next());
        let place = Place::named(self.host, &one.name);
        if let (Some(pool), Some(place)) = (pool, place) {
            let root = root(self.host, &self.api_url);
            one.url = format!("private://{pool}{root}/{}", place.clone_path(self.host));
        }
    }

    /// Branches of a repository, a page of them.
    pub async fn branches(
        &self,
        place: &Place,
        first: u32,
        after: Option<&str>,
        search: Option<&str>,
    ) -> Result<Listing<Branch>, HostError> {
        let (of, mut walk) = (of(place), Walk::new(first, after));
        loop {
            let window = walk.window;
            let ask = self.vendor.branches(place, window, search);
            let read = |said: &_| self.vendor.read_branches(window, said);
            let (mut all, next): Part<Branch> = self.json(&ask, &of, read).await?;
            if let Some(search) = search.filter(|_| !self.vendor.searches()) {
                all.retain(|one| holds(&one.name, search));
            }
            if let Some(page) = walk.step(all, next) {
                return Ok(page);
            }
        }
    }

    /// The commit that a branch points at; nothing if the repository has no such branch.
    pub async fn head(&self, place: &Place, branch: &str) -> Result<Option<String>, HostError> {
        let ask = self.vendor.head(place, branch);
        let read = |said: &_| self.vendor.read_head(branch, said);
        match self.json(&ask, &of(place), read).await {
            // The branch is missing, or the whole repository.
            Err(HostError::NotFound { .. }) => {
                self.branches(place, 1, None, None).await.map(|_| None)
            }
            found => found,
        }
    }

    /// What a commit says about itself.
    pub async fn commit(&self, place: &Place, hash: &str) -> Result<Details, HostError> {
        let ask = self.vendor.commit(place, hash);
        let read = |said: &_| self.vendor.read_commit(said);
        self.json(&ask, &of(place), read).await
    }

    /// The text of a file of a commit.
    pub async fn file(&self, place: &Place, hash: &str, path: &str) -> Result<Found, HostError> {
        let (ask, of) = (self.vendor.file(place, hash, path), of(place));
        // The base64 of an answer in JSON is longer than the file, and other members stand beside it.
        let found = self.read(&ask, &of, 2 * FILE_LIMIT + (16 << 10)).await;
        let bytes = match found {
            Ok((_, bytes)) => bytes,
            // The file is missing, or the commit, or all of it is hidden.
            Err(HostError::NotFound { .. }) => {
                return self.commit(place, hash).await.map(|_| Found::Nothing);
            }
            Err(error) => return Err(error),
        };
        let text = self.vendor.read_file(bytes);
        let text = text.filter(|text| text.len() <= FILE_LIMIT);
        let text = text.and_then(|text| String::from_utf8(text).ok());
        text.map(Found::Text)
            .ok_or_else(|| self.unreadable(&ask, &of))
    }

    /// Every path that differs between two commits; nothing if the host does not tell all of them.
    pub async fn changed(
        &self,
        place: &Place,
        from: &str,
        to: &str,
    ) -> Result<Option<Vec<String>>, HostError> {
        if !self.vendor.compares_trees()
            && !self
                .is_ancestor(place, Version::Commit(from), Version::Commit(to))
                .await?
        {
            return Ok(None);
        }
        let (of, mut paths, mut at) = (of(place), Vec::new(), 0);
        loop {
            let ask = self.vendor.changes(place, from, to, at);
            let read = |said: &_| self.vendor.read_changes(at, said);
            let found: Changes = match self.json(&ask, &of, read).await {
                Err(HostError::TooLong { .. }) => return Ok(None),
                found => found?,
            };
            paths.extend(found.paths);
            if !found.all || paths.len() > PATHS_LIMIT {
                return Ok(None);
            }
            match found.next {
                Some(next) if next > at => at = next,
                Some(_) => return Ok(None),
                None => return Ok(Some(paths)),
            }
        }
    }

    /// Whether a commit is the head of a branch or one before it.
    pub async fn is_on_branch(
        &self,
        place: &Place,
        branch: &str,
        hash: &str,
    ) -> Result<bool, HostError> {
        let (older, newer) = (Version::Commit(hash), Version::Branch(branch));
        self.is_ancestor(place, older, newer).await
    }

    /// All files of a commit, packed as the host packs them, as they come.
    pub async fn archive(&self, place: &Place, hash: &str) -> Result<Answer, HostError> {
        let (ask, of) = (self.vendor.archive(place, hash), of(place));
        let limit = TIME_LIMITS.1;
        let answer = self.sent(&ask, limit).await?;
        let to = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let answer = match to.filter(|_| answer.status.is_redirection()) {
            Some(to) => self.door.follow(&ask, to, limit).await?,
            None => answer,
        };
        self.good(&ask, &of, answer).await
    }

    /// Tells the host something, once; gives the status.
    pub async fn tell(&self, target: &str, body: String) -> Result<StatusCode, HostError> {
        let ask = Ask::post("set commit status", target.to_owned(), body);
        let answer = self.sent(&ask, TIME_LIMITS.0).await?;
        Ok(self.good(&ask, "", answer).await?.status)
    }

    async fn is_ancestor(
        &self,
        place: &Place,
        older: Version<'_>,
        newer: Version<'_>,
    ) -> Result<bool, HostError> {
        let ask = self.vendor.ancestor(place, older, newer);
        let read = |said: &_| self.vendor.read_ancestor(said);
        self.json(&ask, &of(place), read).await
    }

    async fn json<T>(
        &self,
        ask: &Ask,
        of: &str,
        read: impl Fn(&serde_json::Value) -> Option<T>,
    ) -> Result<T, HostError> {
        let (_, bytes) = self.read(ask, of, ANSWER_LIMIT).await?;
        let said = serde_json::from_slice(&bytes).ok();
        let found = said.and_then(|said| read(&said));
        found.ok_or_else(|| self.unreadable(ask, of))
    }

    /// Asks, again where that may help, for a whole answer of at most `most` bytes.
    async fn read(
        &self,
        ask: &Ask,
        of: &str,
        most: usize,
    ) -> Result<(HeaderMap, Vec<u8>), HostError> {
        let mut waits = WAITS.into_iter();
        let limit = TIME_LIMITS.0;
        let work = async {
            loop {
                let error = match self.once(ask, of, most).await {
                    Err(error) if error.is_passing() => error,
                    done => return done,
                };
                let asked = match &error {
                    HostError::Limited { seconds, .. } => seconds.unwrap_or(0),
                    _ => 0,
                };
                match waits.next().filter(|_| asked <= PATIENCE) {
                    Some(wait) => tokio::time::sleep(wait.max(Duration::from_secs(asked))).await,
                    None => return Err(error),
                }
            }
        };
        let late = || HostError::Late {
            host: self.door.host(),
            purpose: ask.purpose,
            seconds: limit.as_secs(),
        };
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    async fn once(
        &self,
        ask: &Ask,
        of: &str,
        most: usize,
    ) -> Result<(HeaderMap, Vec<u8>), HostError> {
        let answer = self.sent(ask, TIME_LIMITS.0).await?;
        let answer = self.good(ask, of, answer).await?;
        let headers = answer.headers.clone();
        match answer.bytes(most).await? {
            Some(bytes) => Ok((headers, bytes)),
            None => Err(HostError::TooLong {
                host: self.door.host(),
                purpose: ask.purpose,
                limit: most,
            }),
        }
    }

    async fn sent(&self, ask: &Ask, limit: Duration) -> Result<Answer, HostError> {
        self.door.send(ask, self.headers.clone(), limit).await
    }

    /// The answer, if its status is a good one.
    async fn good(&self, ask: &Ask, of: &str, answer: Answer) -> Result<Answer, HostError> {
        let status = answer.status;
        if status.is_success() {
            return Ok(answer);
        }
        let (host, purpose) = (self.door.host(), ask.purpose);
        if status.is_redirection() {
            return Err(HostError::Elsewhere { host, purpose });
        }
        let headers = answer.headers.clone();
        let body = answer.bytes(ERROR_LIMIT).await.ok().flatten();
        let refusal = Refusal {
            host,
            integration: self.integration.clone(),
            purpose,
            of: of.to_owned(),
            status: status.as_u16(),
            headers: &headers,
            body: body.as_deref().unwrap_or_default(),
        };
        Err(refusal.error(UnixMillis::now().seconds()))
    }

    fn unreadable(&self, ask: &Ask, of: &str) -> HostError {
        HostError::Unreadable {
            host: self.door.host(),
            purpose: ask.purpose,
            of: of.to_owned(),
        }
    }

    fn no_place(&self, name: &str) -> HostError {
        let (kind, shape) = match self.host {
            CodeHost::Github => ("GitHub", "`owner/name`"),
            CodeHost::Gitlab => ("GitLab", "`group/name`"),
            CodeHost::BitbucketDatacenter => ("Bitbucket Data Center", "`KEY/name`"),
            CodeHost::AzureDevops => ("Azure DevOps", "`project/name`"),
            CodeHost::Git => ("a server that only speaks git", "none"),
        };
        HostError::NoPlace {
            name: name.chars().take(100).collect(),
            kind,
            shape,
        }
    }
}

fn of(place: &Place) -> String {
    format!(" of `{}`", place.name())
}

/// Whether a name holds a text, in any case.
fn holds(name: &str, search: &str) -> bool {
    name.to_lowercase().contains(&search.to_lowercase())
}

/// The way through a host's pages to one that holds something.
struct Walk {
    window: Window,
    left: usize,
}

impl Walk {
    fn new(first: u32, after: Option<&str>) -> Self {
        let size = first.clamp(*SIZES.start(), *SIZES.end());
        Self {
            window: after.and_then(cursor).unwrap_or(Window { at: 0, size }),
            left: PAGES,
        }
    }

    /// Our page, unless the host's was empty and there are more.
    fn step<T>(&mut self, entries: Vec<T>, next: Option<u64>) -> Option<Listing<T>> {
        let next = next.filter(|next| *next > self.window.at);
        self.left = self.left.saturating_sub(1);
        if let Some(at) = next.filter(|_| entries.is_empty() && self.left > 0) {
            self.window.at = at;
            return None;
        }
        let next = next.map(|at| format!("{at}-{}", self.window.size));
        Some(Listing { entries, next })
    }
}

/// Reads what [`Listing::next`] gave.
fn cursor(text: &str) -> Option<Window> {
    let (at, size) = text.split_once('-')?;
    let (at, size) = (at.parse().ok()?, size.parse().ok()?);
    SIZES.contains(&size).then_some(Window { at, size })
}
