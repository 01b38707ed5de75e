//! The audit trail in the API.
//!
//! Takes lines, gives entries under the names that clients select.

use async_graphql::{Context, Error, ID, SimpleObject};

use super::context::manage;
use super::search::{PageInfo, SearchInput};
use crate::operations::Search;
use crate::store::audit::Line;

/// By what the trail can be searched.
const FIELDS: [&str; 10] = [
    "action",
    "actor",
    "username",
    "eventType",
    "affectedResourceType",
    "resourceType",
    "affectedResourceId",
    "resourceId",
    "relatedResourceId",
    "space",
];

/// One line of the trail.
#[derive(SimpleObject)]
struct AuditTrailEntry {
    id: ID,
    /// Such as `stack.create`; of a refusal the name of the operation.
    action: String,
    actor: AuditTrailActor,
    affected_resource: AuditTrailResource,
    /// What else there is to know: a JSON object, as text.
    body: Option<String>,
    /// `DONE` or `REFUSED`.
    event_type: String,
    related_resource: Option<AuditTrailResource>,
    created_at: i64,
    updated_at: i64,
    /// The API key.
    key_id: Option<ID>,
    /// From where.
    address: Option<String>,
    /// The space of the resource at the time.
    space: Option<ID>,
}

/// Who did it.
#[derive(SimpleObject)]
struct AuditTrailActor {
    run: Option<AuditTrailActorRun>,
    username: String,
}

/// A run that did something through the API.
#[derive(SimpleObject)]
struct AuditTrailActorRun {
    id: ID,
    stack_id: ID,
}

/// A thing.
#[derive(SimpleObject)]
struct AuditTrailResource {
    resource_id: Option<ID>,
    resource_type: String,
}

/// A page of the trail.
#[derive(SimpleObject)]
pub(super) struct SearchAuditTrailEntriesOutput {
    edges: Vec<SearchAuditTrailEntriesOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
struct SearchAuditTrailEntriesOutputEdge {
    node: AuditTrailEntry,
}

impl AuditTrailResource {
    fn of(subject: &str) -> Self {
        let (kind, id) = subject.split_once(':').unwrap_or((subject, ""));
        Self {
            resource_id: Some(id).filter(|id| !id.is_empty()).map(ID::from),
            resource_type: kind.to_owned(),
        }
    }
}

impl From<Line> for AuditTrailEntry {
    fn from(line: Line) -> Self {
        let name = line.actor.strip_prefix("user:").unwrap_or(&line.actor);
        Self {
            actor: AuditTrailActor {
                run: None,
                username: name.to_owned(),
            },
            affected_resource: AuditTrailResource::of(&line.subject),
            related_resource: line.related.as_deref().map(AuditTrailResource::of),
            id: line.id.into(),
            action: line.action,
            body: Some(line.detail.to_string()),
            event_type: line.outcome,
            created_at: line.at.seconds(),
            updated_at: line.at.seconds(),
            key_id: line.key.map(ID::from),
            address: line.address,
            space: line.space.map(ID::from),
        }
    }
}

pub(super) async fn search(
    ctx: &Context<'_>,
    input: SearchInput,
) -> Result<SearchAuditTrailEntriesOutput, Error> {
    let manage = manage(ctx)?;
    let search: Search = input.search(&FIELDS, Some("createdAt"))?;
    let page = manage.audit(&search).await?;
    let edge = |line: Line| SearchAuditTrailEntriesOutputEdge { node: line.into() };
    let page_info = PageInfo::new(page.cursor, page.more, search.after.is_some());
    Ok(SearchAuditTrailEntriesOutput {
        edges: page.lines.into_iter().map(edge).collect(),
        page_info,
    })
}
