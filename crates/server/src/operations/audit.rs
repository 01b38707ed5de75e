//! Reading the audit trail.
//!
//! Takes a search or a span of time, gives lines: an admin of all spaces sees all, one of some spaces those
//! about things in them. Never: a look at the whole trail for one page.

use super::{Manage, OperationError, Search};
use crate::auth::{Principal, Scope};
use crate::clock::UnixMillis;
use crate::store::audit::{self, Line};

/// Lines that are read at once.
const STEP: u32 = 500;

/// Lines that one search goes through at most; the next page goes on behind them.
const FAR: usize = 20_000;

/// What lies after every id.
const END: &str = "~";

/// A page of the trail, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// The lines that fit.
    pub lines: Vec<Line>,
    /// Behind which id the next page begins.
    pub cursor: String,
    /// Whether there may be more.
    pub more: bool,
}

impl Manage {
    /// The newest lines that a search finds.
    pub async fn audit(&self, search: &Search) -> Result<AuditPage, OperationError> {
        let mut conn = self.app.store.read().await?;
        let mut page = AuditPage {
            cursor: search.after.clone().unwrap_or_else(|| END.to_owned()),
            ..AuditPage::default()
        };
        let text = search.text.as_deref().unwrap_or("").to_lowercase();
        let mut seen = 0;
        while seen < FAR {
            let step = audit::older(&mut conn, &page.cursor, STEP).await?;
            if step.is_empty() {
                return Ok(page);
            }
            seen += step.len();
            for line in step {
                let fits = is_shown(&self.principal, &line)
                    && has_text(&line, &text)
                    && search.filters.iter().all(|filter| {
                        let values = values(&line, &filter.field);
                        filter.values.iter().any(|value| values.contains(value)) != filter.exclude
                    });
                if fits && page.lines.len() == search.first {
                    page.more = true;
                    return Ok(page);
                }
                page.cursor.clone_from(&line.id);
                if fits {
                    page.lines.push(line);
                }
            }
        }
        page.more = true;
        Ok(page)
    }

    /// Some lines after the one of this id and before `until`, oldest first, as JSON with a line feed each,
    /// and the id of the last one that was looked at; nothing once there are no more.
    pub async fn audit_export(
        &self,
        after: &str,
        until: UnixMillis,
    ) -> Result<Option<(String, String)>, OperationError> {
        let mut conn = self.app.store.read().await?;
        let lines = audit::between(&mut conn, after, &id_at(until), STEP).await?;
        let Some(last) = lines.last().map(|line| line.id.clone()) else {
            return Ok(None);
        };
        let shown = lines.iter().filter(|line| is_shown(&self.principal, line));
        Ok(Some((last, shown.map(json_line).collect())))
    }
}

/// The least id that a line of this moment can have.
pub fn id_at(at: UnixMillis) -> String {
    let millis = u64::try_from(at.0).unwrap_or(0).min((1 << 48) - 1);
    ulid::Ulid::from_parts(millis, 0).to_string()
}

fn is_shown(who: &Principal, line: &Line) -> bool {
    match who.scope() {
        Scope::Everywhere => true,
        scope @ Scope::Within { .. } => line
            .space
            .as_deref()
            .is_some_and(|space| scope.covers(space)),
    }
}

fn has_text(line: &Line, text: &str) -> bool {
    let words = [&line.action, &line.actor, &line.subject];
    text.is_empty() || words.iter().any(|word| word.to_lowercase().contains(text))
}

fn values(line: &Line, field: &str) -> Vec<String> {
    let (kind, id) = line.subject.split_once(':').unwrap_or((&line.subject, ""));
    let name = line
        .actor
        .split_once(':')
        .map_or(line.actor.as_str(), |(_, name)| name);
    match field {
        "action" => vec![line.action.clone()],
        "actor" | "username" => vec![name.to_owned(), line.actor.clone()],
        "eventType" => vec![line.outcome.clone()],
        "affectedResourceType" | "resourceType" => vec![kind.to_owned()],
        "affectedResourceId" | "resourceId" => vec![id.to_owned()],
        "relatedResourceId" => {
            let id = line
                .related
                .as_deref()
                .and_then(|text| text.split_once(':'));
            id.map(|(_, id)| id.to_owned()).into_iter().collect()
        }
        "space" => line.space.clone().into_iter().collect(),
        _ => Vec::new(),
    }
}

fn json_line(line: &Line) -> String {
    let nanos = i128::from(line.at.0) * 1_000_000;
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    let time = time.and_then(|time| {
        time.format(&time::format_description::well_known::Rfc3339)
            .ok()
    });
    let value = serde_json::json!({
        "id": line.id, "time": time, "actor": line.actor, "key": line.key, "address": line.address,
        "action": line.action, "subject": line.subject, "related": line.related,
        "space": line.space, "outcome": line.outcome, "detail": line.detail,
    });
    format!("{value}\n")
}
