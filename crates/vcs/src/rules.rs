//! The verdict: what of all that is asked for goes to the host.
//!
//! Takes a request as it arrived, gives it admitted or refused. Never: a [`Target`] for something that was not
//! admitted. It has no other constructor, so that nothing else can be forwarded.

use std::fmt;

use crate::blocklist::Blocklist;
use crate::filter::ListFilter;
use crate::graphql::{self, GraphqlError};
use crate::note::{self, NoteError};
use crate::project::AllowedProjects;
use crate::route::{self, Body, Method, NoRoute, Pace, Place, Route, Scope};
use crate::target::{Normal, Pair, TargetError};
use crate::vendor::Vendor;

/// What the gateway asks for, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The whole body; only those of GraphQL requests and of notes are looked at.
    pub body: &'a [u8],
}

/// What the owner of the agent lets through.
#[derive(Clone, Debug)]
pub struct Rules {
    vendor: Vendor,
    allowed: AllowedProjects,
    blocklist: Blocklist,
    holds_credential: bool,
}

/// A target that may be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Normal);

impl Target {
    /// The decoded segments of the path.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        self.0.segments()
    }

    /// The path, escaped anew: `/a/b%2Fc`.
    #[must_use]
    pub fn path(&self) -> String {
        self.0.path()
    }

    /// The path, decoded, for people.
    #[must_use]
    pub fn decoded_path(&self) -> String {
        self.0.decoded_path()
    }

    /// The query, escaped anew, without `?`; `None` for none.
    #[must_use]
    pub fn query(&self) -> Option<String> {
        Some(self.0.query_text()).filter(|query| !query.is_empty())
    }

    /// The names of the query's parameters, for logs that are not to show values.
    pub fn query_keys(&self) -> impl Iterator<Item = &str> {
        self.0.query().iter().map(|pair| pair.key.as_str())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A request that may go to the host.
#[derive(Clone, Debug)]
pub struct Admitted {
    purpose: &'static str,
    project: Option<String>,
    target: Target,
    method: Method,
    pace: Pace,
    place: Place,
    filter: Option<ListFilter>,
    row: String,
}

impl Admitted {
    /// What it is for, in the documented words.
    #[must_use]
    pub fn purpose(&self) -> &'static str {
        self.purpose
    }

    /// The project that it is about, decoded; `None` where it is about no single one.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// Where it goes.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// How long it may take.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Which host of the installation it goes to.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// What has to be taken out of the answer before it leaves. An answer that can't be filtered must not leave.
    #[must_use]
    pub fn filter(&self) -> Option<&ListFilter> {
        self.filter.as_ref()
    }

    /// The row of the table, for people.
    #[must_use]
    pub fn row(&self) -> &str {
        &self.row
    }
}

/// A request that does not go to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it would have been for, where a row has its path.
    purpose: Option<&'static str>,
    project: Option<String>,
    why: Why,
}

/// Why a request does not go to the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The target has no normal form.
    #[error("{0}")]
    Target(#[from] TargetError),
    /// No row fits.
    #[error("{0}")]
    NoRoute(#[from] NoRoute),
    /// The body is not one that is let through.
    #[error("{0}")]
    Body(#[from] GraphqlError),
    /// The body is not a note that is text alone.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// A project that is kept out.
    #[error("project `{project}` does not match the allowed projects `{allowed}`{hint}")]
    Project {
        /// Its name as asked for.
        project: String,
        /// The expression.
        allowed: String,
        /// What may be wrong.
        hint: &'static str,
    },
    /// The answer would hold a credential.
    #[error(
        "the answer holds a credential, and this agent holds its own so that no gateway has one"
    )]
    GivesToken,
    /// A rule of the blocklist.
    #[error("rule `{0}` of the blocklist matches")]
    Blocked(String),
}

impl Refusal {
    fn new(why: impl Into<Why>) -> Self {
        Self {
            purpose: None,
            project: None,
            why: why.into(),
        }
    }

    fn of(route: &Route, project: Option<String>, why: impl Into<Why>) -> Self {
        Self {
            purpose: Some(route.row.purpose),
            project,
            why: why.into(),
        }
    }

    /// What it would have been for, where that is known.
    #[must_use]
    pub fn purpose(&self) -> Option<&'static str> {
        self.purpose
    }

    /// The project that it is about, where that is known.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// Why, as data.
    #[must_use]
    pub fn why(&self) -> &Why {
        &self.why
    }

    /// What the gateway is told: the documented texts, which say nothing of this side's settings.
    #[must_use]
    pub fn for_gateway(&self) -> String {
        match &self.why {
            Why::Target(_) | Why::NoRoute(_) | Why::Body(_) | Why::Note(_) | Why::GivesToken => {
                "invalid request: vcs-agent: no match for request".to_owned()
            }
            Why::Project { .. } => {
                "invalid request: request project didn't match allowed projects regexp".to_owned()
            }
            Why::Blocked(rule) => format!("request blocked by rule {rule:?}"),
        }
    }
}

/// The full reason, for the log of the agent's owner.
impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(out)
    }
}

impl Rules {
    /// Rules for one vendor.
    #[must_use]
    pub fn new(vendor: Vendor, allowed: AllowedProjects, blocklist: Blocklist) -> Self {
        Self {
            vendor,
            allowed,
            blocklist,
            holds_credential: false,
        }
    }

    /// The same for an agent that holds the credential itself: no gateway is to get one by asking for it.
    #[must_use]
    pub fn holding_credential(mut self) -> Self {
        self.holds_credential = true;
        self
    }

    /// The vendor.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// Which projects may be asked for.
    #[must_use]
    pub fn allowed_projects(&self) -> &AllowedProjects {
        &self.allowed
    }

    /// Judges a request.
    ///
    /// # Errors
    /// Why it does not go to the host.
    pub fn admit(&self, asked: &Asked<'_>) -> Result<Admitted, Refusal> {
        let normal = Normal::read(asked.target).map_err(Refusal::new)?;
        let route = route::find(self.vendor, asked.method, &normal);
        if let Some(rule) = self.blocklist.blocks(asked.method, &normal.decoded_path()) {
            let why = Why::Blocked(rule.to_owned());
            return Err(match route {
                Ok(route) => {
                    let project = Some(route.project()).filter(|project| !project.is_empty());
                    Refusal::of(&route, project, why)
                }
                Err(_) => Refusal::new(why),
            });
        }
        let route = route.map_err(Refusal::new)?;
        if route.row.gives_token && self.holds_credential {
            return Err(Refusal::of(&route, None, Why::GivesToken));
        }
        let (project, filter) = self.project(&route, &normal, asked.body)?;
        if route.row.body == Body::Note {
            note::check(asked.body).map_err(|why| Refusal::of(&route, project.clone(), why))?;
        }
        Ok(Admitted {
            purpose: route.row.purpose,
            project,
            target: Target(normal),
            method: route.row.method,
            pace: route.row.pace,
            place: route.row.place,
            filter,
            row: route.row.shown(),
        })
    }

    /// The project that a request is about, and what to take out of its answer.
    fn project(
        &self,
        route: &Route,
        asked: &Normal,
        body: &[u8],
    ) -> Result<(Option<String>, Option<ListFilter>), Refusal> {
        let project = match route.row.scope {
            Scope::Project => Some(route.project()),
            Scope::Open => None,
            Scope::List(listed) => {
                let filter = || ListFilter::new(listed, route.project(), self.allowed.clone());
                return Ok((None, self.allowed.is_restricted().then(filter)));
            }
            Scope::Body => graphql::project(body).map_err(|why| Refusal::of(route, None, why))?,
        };
        if let Some(project) = &project {
            self.hold(route, project, project)?;
            for other in self.other_projects(asked.query()) {
                self.hold(route, project, other)?;
            }
        }
        Ok((project, None))
    }

    /// Projects that a query names besides the path's.
    fn other_projects<'a>(&self, query: &'a [Pair]) -> impl Iterator<Item = &'a str> {
        let keys = route::other_project_keys(self.vendor);
        let named = move |pair: &&Pair| {
            let name = pair.key.split('[').next().unwrap_or_default();
            keys.iter().any(|key| name.eq_ignore_ascii_case(key))
        };
        let value = |pair: &'a Pair| pair.value.as_deref().unwrap_or_default();
        query.iter().filter(named).map(value)
    }

    /// Holds a request for `project` to the allowed projects, by the name `named`.
    fn hold(&self, route: &Route, project: &str, named: &str) -> Result<(), Refusal> {
        let by_id = self.by_id(named);
        let written = self.allowed.as_str().to_ascii_lowercase();
        // An id may be any project's, whatever an expression over names lets through for its shape.
        let ids_written = by_id
            .iter()
            .all(|id| written.contains(&id.to_ascii_lowercase()));
        if self.allowed.admits(named) && (ids_written || !self.allowed.is_restricted()) {
            return Ok(());
        }
        let number = named.bytes().all(|byte| byte.is_ascii_digit());
        let why = Why::Project {
            project: named.to_owned(),
            allowed: self.allowed.as_str().to_owned(),
            hint: if number || !by_id.is_empty() {
                "; it is asked for by its id, of which this agent does not know the name"
            } else {
                "; the expression has to match the whole name"
            },
        };
        Err(Refusal::of(route, Some(project.to_owned()), why))
    }

    /// The parts of a name that are GUIDs, by which Azure DevOps takes projects and repositories too.
    fn by_id<'a>(&self, named: &'a str) -> Vec<&'a str> {
        let guid = |part: &&str| {
            let hex: Vec<_> = part.chars().filter(|c| *c != '-').collect();
            hex.len() == 32 && hex.iter().all(char::is_ascii_hexdigit)
        };
        match self.vendor {
            Vendor::AzureDevops => named.split('/').filter(guid).collect(),
            Vendor::Gitlab | Vendor::GithubEnterprise | Vendor::BitbucketDatacenter => Vec::new(),
        }
    }
}
