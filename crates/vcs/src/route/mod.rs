//! What may be asked for: one table for each vendor.
//!
//! Takes a method and a target in its normal form, gives the row that it fits with the project that it names. A path
//! fits as a whole or not at all. Never: a row that fits what it does not show in `docs/VCS-AGENT.md`, which is made
//! from these tables.

mod azure_devops;
mod bitbucket_datacenter;
mod fit;
mod github_enterprise;
mod gitlab;
mod part;

use std::fmt::Write as _;

use crate::target::Normal;
use crate::vendor::Vendor;

pub use fit::Route;
pub(crate) use part::Part;

/// The methods that rows have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes something, or asks for a pack of objects.
    Post,
    /// Replaces something.
    Put,
    /// Changes something.
    Patch,
    /// Takes something away.
    Delete,
    /// Asks what there is.
    Options,
}

impl Method {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// How long an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Answers of an API.
    Short,
    /// Archives and clones.
    Bulk,
}

/// Which host of the vendor's installation a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The base endpoint's own.
    Base,
    /// The same with `codeload.` in front: archives of a GitHub Enterprise with subdomain isolation.
    Codeload,
}

/// What a row has to do with projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One project, named by the captured segments.
    Project,
    /// Nothing about any project.
    Open,
    /// A list of projects, from which those that are not meant are taken out.
    List(Listed),
    /// The body says.
    Body,
}

/// How a list of projects is written in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// `[{"path_with_namespace": …}]`
    Gitlab,
    /// `[{"full_name": …}]`, or the same in the member `repositories`.
    Github,
    /// `{"values": [{"slug": …, "project": {"key": …}}]}`
    Bitbucket,
    /// `{"value": [{"name": …, "project": {"name": …}}]}`
    Azure,
}

/// What a row's body has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Whatever it is.
    Any,
    /// A note that is nothing but text, and nothing in the query.
    Note,
}

/// What a row's query has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// Whatever the normal form lets through.
    Any,
    /// Nothing.
    None,
    /// This pair alone.
    Only(&'static str, &'static str),
    /// This pair, once, among others.
    With(&'static str, &'static str),
}

/// One thing that may be asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) purpose: &'static str,
    pub(crate) method: Method,
    pub(crate) template: &'static [Part],
    pub(crate) scope: Scope,
    pub(crate) query: Query,
    pub(crate) body: Body,
    pub(crate) pace: Pace,
    pub(crate) place: Place,
    /// Whether a slash may stand at the end.
    pub(crate) slash: bool,
    /// Whether the answer holds a credential.
    pub(crate) gives_token: bool,
}

impl Row {
    const fn new(method: Method, purpose: &'static str, template: &'static [Part]) -> Self {
        Self {
            purpose,
            method,
            template,
            scope: Scope::Project,
            query: Query::Any,
            body: Body::Any,
            pace: Pace::Short,
            place: Place::Base,
            slash: false,
            gives_token: false,
        }
    }

    const fn open(mut self) -> Self {
        self.scope = Scope::Open;
        self
    }

    const fn list(mut self, listed: Listed) -> Self {
        self.scope = Scope::List(listed);
        self
    }

    /// The body names the project.
    const fn asks_by_body(mut self) -> Self {
        self.scope = Scope::Body;
        self
    }

    /// A note; a query could hold another text for it.
    const fn note(mut self) -> Self {
        self.body = Body::Note;
        self.query = Query::None;
        self
    }

    const fn query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    const fn bulk(mut self) -> Self {
        self.pace = Pace::Bulk;
        self
    }

    const fn codeload(mut self) -> Self {
        self.place = Place::Codeload;
        self
    }

    const fn gives_token(mut self) -> Self {
        self.gives_token = true;
        self
    }

    const fn slash(mut self) -> Self {
        self.slash = true;
        self
    }

    /// The first request of a clone or fetch, for reading: the query is part of the rule.
    const fn git_refs(template: &'static [Part]) -> Self {
        Self::new(Method::Get, "Git Clone - info/refs", template)
            .query(Query::Only("service", "git-upload-pack"))
            .bulk()
    }

    /// The second one, which names the wanted objects.
    const fn git_pack(template: &'static [Part]) -> Self {
        Self::new(Method::Post, "Git Clone - git-upload-pack", template)
            .query(Query::None)
            .bulk()
    }

    /// Method, path and query for people.
    pub(crate) fn shown(&self) -> String {
        let mut text = format!("{} ", self.method.as_str());
        for part in self.template {
            let _ = write!(text, "{part}");
        }
        if self.slash {
            text.push_str("[/]");
        }
        match self.query {
            Query::Any | Query::None => {}
            Query::Only(key, value) => {
                let _ = write!(text, "?{key}={value}");
            }
            Query::With(key, value) => {
                let _ = write!(text, "?{key}={value}&…");
            }
        }
        text
    }
}

/// `at!(/ "api" / Path / ["optional" "prefix"])`: a template.
macro_rules! at {
    ($(/ $part:tt)*) => { &[$(at!(@ $part)),*] };
    (@ [$($word:literal)*]) => { crate::route::Part::Maybe(&[$($word),*]) };
    (@ $word:literal) => { crate::route::Part::Word($word) };
    (@ $kind:ident) => { crate::route::Part::$kind };
}
use at;

/// The vendor's rows, in the order in which they are tried.
pub(crate) fn rows(vendor: Vendor) -> &'static [Row] {
    match vendor {
        Vendor::Gitlab => gitlab::ROWS,
        Vendor::GithubEnterprise => github_enterprise::ROWS,
        Vendor::BitbucketDatacenter => bitbucket_datacenter::ROWS,
        Vendor::AzureDevops => azure_devops::ROWS,
    }
}

/// The vendor's table for people, as Markdown.
#[must_use]
pub fn page(vendor: Vendor) -> String {
    let mut page = "| purpose | route | project |\n|---|---|---|\n".to_owned();
    for row in rows(vendor) {
        let note = match row.body {
            Body::Any => "",
            Body::Note => "; the note must hold no line that the host acts upon",
        };
        let project = match row.scope {
            Scope::Project => "held to the allowed ones",
            Scope::Open if row.gives_token => "none; refused where the agent holds the credential",
            Scope::Open => "none",
            Scope::List(_) => "list: only allowed ones are left in the answer",
            Scope::Body => "`repository` of the query, held to the allowed ones",
        };
        let _ = writeln!(
            page,
            "| {} | `{}` | {project}{note} |",
            row.purpose,
            row.shown()
        );
    }
    page
}

/// Parameters by which a request reaches into a second project: each value is held to the allowed ones.
pub(crate) fn other_project_keys(vendor: Vendor) -> &'static [&'static str] {
    match vendor {
        Vendor::Gitlab => &["from_project_id"],
        Vendor::BitbucketDatacenter => &["fromRepo"],
        Vendor::GithubEnterprise | Vendor::AzureDevops => &[],
    }
}

/// The first row that a request fits.
///
/// # Errors
/// Why none does, for the log of the agent's owner.
pub(crate) fn find(vendor: Vendor, method: &str, asked: &Normal) -> Result<Route, NoRoute> {
    let mut nearest = NoRoute::Path;
    for row in rows(vendor) {
        match fit::fit(row, method, asked) {
            Ok(route) => return Ok(route),
            Err(miss) => nearest = nearest.max(miss),
        }
    }
    Err(nearest)
}

/// Why no row fits: how near the nearest one was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NoRoute {
    /// No row has such a path.
    #[error("no route has this path")]
    Path,
    /// A row has this path, with another method.
    #[error("the path is a route's, the method `{0}` of it is another one")]
    Method(&'static str),
    /// A row has this path and method, with another query.
    #[error("path and method are a route's, but not with this query")]
    Query,
}
