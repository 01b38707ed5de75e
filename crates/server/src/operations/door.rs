//! The one way to a stack, run, pool, policy, context or space: by who asks.
//!
//! Takes an id and a principal, gives the thing if it lies in a space that the principal sees. Never: a word
//! that tells a thing of another space from one that does not exist.

use gantry_protocol::{PoolId, RunId, StackId};

use super::OperationError;
use crate::auth::{Principal, Scope};
use crate::domain::stack::ROOT_SPACE;
use crate::domain::{ContextId, IntegrationId, PolicyId, VcsPoolId};
use crate::store::contexts::{self, Context};
use crate::store::integrations::{self, Integration};
use crate::store::policies::{self, Policy};
use crate::store::pools::{self, Pool};
use crate::store::runs::{self, RunRecord};
use crate::store::spaces::{self, Space};
use crate::store::stacks::{self, Stack};
use crate::store::vcs_pools::{self, VcsPool};
use crate::store::{Conn, StoreError};

/// The stack of this slug; nothing for a text that is no slug either.
pub(super) async fn find_stack(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Option<Stack>, StoreError> {
    let Ok(id) = id.parse::<StackId>() else {
        return Ok(None);
    };
    let found = stacks::find(conn, &id).await?;
    Ok(found.filter(|stack| who.sees(&stack.settings.space)))
}

/// The stack of this slug.
pub(super) async fn stack(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Stack, OperationError> {
    let id: StackId = id.parse()?;
    let found = find_stack(conn, who, id.as_str()).await?;
    Ok(found.ok_or_else(|| missing("stack", &id))?)
}

/// The run of this id; nothing for a text that is no id either. One of a deleted stack is there for who saw
/// the stack.
pub(super) async fn find_run(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Option<RunRecord>, StoreError> {
    let Ok(id) = id.parse::<RunId>() else {
        return Ok(None);
    };
    let Some(record) = runs::find(conn, id).await? else {
        return Ok(None);
    };
    if *who.scope() == Scope::Everywhere {
        return Ok(Some(record));
    }
    let space = stacks::space(conn, &record.run.stack).await?;
    Ok(Some(record).filter(|_| space.is_some_and(|space| who.sees(&space))))
}

/// A stack and one run of it.
pub(super) async fn run(
    conn: &mut Conn,
    who: &Principal,
    stack_id: &str,
    id: &str,
) -> Result<(Stack, RunRecord), OperationError> {
    let run: RunId = id.parse()?;
    let stack = stack(conn, who, stack_id).await?;
    let found = find_run(conn, who, id).await?;
    let record = found.ok_or_else(|| missing("run", &run))?;
    if record.run.stack != stack.id {
        return Err(OperationError::OtherStack {
            run: run.to_string(),
            stack: stack.id.to_string(),
        });
    }
    Ok((stack, record))
}

/// The pool of this id; nothing for a text that is no id either.
pub(super) async fn find_pool(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Option<Pool>, StoreError> {
    let Ok(id) = id.parse::<PoolId>() else {
        return Ok(None);
    };
    let found = pools::find(conn, id).await?;
    Ok(found.filter(|pool| who.sees(&pool.space)))
}

/// The pool of this id.
pub(super) async fn pool(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Pool, OperationError> {
    let id: PoolId = id.parse()?;
    let found = find_pool(conn, who, &id.to_string()).await?;
    Ok(found.ok_or_else(|| missing("worker pool", &id))?)
}

/// The policy of this slug; nothing for a text that is no slug either.
pub(super) async fn find_policy(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Option<Policy>, StoreError> {
    let Ok(id) = id.parse::<PolicyId>() else {
        return Ok(None);
    };
    let found = policies::find(conn, &id).await?;
    Ok(found.filter(|policy| who.sees(&policy.space)))
}

/// The policy of this slug.
pub(super) async fn policy(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Policy, OperationError> {
    let id: PolicyId = id.parse()?;
    let found = find_policy(conn, who, id.as_str()).await?;
    Ok(found.ok_or_else(|| missing("policy", &id))?)
}

/// The context of this slug; nothing for a text that is no slug either.
pub(super) async fn find_context(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Option<Context>, StoreError> {
    let Ok(id) = id.parse::<ContextId>() else {
        return Ok(None);
    };
    let found = contexts::find(conn, &id).await?;
    Ok(found.filter(|context| who.sees(&context.space)))
}

/// The context of this slug.
pub(super) async fn context(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Context, OperationError> {
    let id: ContextId = id.parse()?;
    let found = find_context(conn, who, id.as_str()).await?;
    Ok(found.ok_or_else(|| missing("context", &id))?)
}

/// The integration of this slug; nothing for a text that is no slug either.
pub(super) async fn find_integration(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Option<Integration>, StoreError> {
    let Ok(id) = id.parse::<IntegrationId>() else {
        return Ok(None);
    };
    let found = integrations::find(conn, &id).await?;
    Ok(found.filter(|one| who.sees(&one.space)))
}

/// The integration of this slug.
pub(super) async fn integration(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Integration, OperationError> {
    let id: IntegrationId = id.parse()?;
    let found = find_integration(conn, who, id.as_str()).await?;
    Ok(found.ok_or_else(|| missing("VCS integration", &id))?)
}

/// The pool of VCS agents of this id; nothing for a text that is no id either.
pub(super) async fn find_vcs_pool(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Option<VcsPool>, StoreError> {
    let Ok(id) = id.parse::<VcsPoolId>() else {
        return Ok(None);
    };
    let found = vcs_pools::find(conn, id).await?;
    Ok(found.filter(|pool| who.sees(&pool.space)))
}

/// The pool of VCS agents of this id.
pub(super) async fn vcs_pool(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<VcsPool, OperationError> {
    let id: VcsPoolId = id.parse()?;
    let found = find_vcs_pool(conn, who, &id.to_string()).await?;
    Ok(found.ok_or_else(|| missing("VCS agent pool", &id))?)
}

/// The space of this id.
pub(super) async fn find_space(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Option<Space>, StoreError> {
    if !who.sees(id) {
        return Ok(None);
    }
    spaces::find(conn, id).await
}

/// The space of this id.
pub(super) async fn space(
    conn: &mut Conn,
    who: &Principal,
    id: &str,
) -> Result<Space, OperationError> {
    let found = find_space(conn, who, id).await?;
    Ok(found.ok_or_else(|| missing("space", &id))?)
}

/// Where something goes whose maker named no space: the one that a key is limited to, else the root.
pub(super) fn home(who: &Principal) -> String {
    match who.scope() {
        Scope::Within { named, .. } if named.len() == 1 => named[0].clone(),
        Scope::Everywhere | Scope::Within { .. } => ROOT_SPACE.to_owned(),
    }
}

/// Refuses unless what belongs to the space `of` can be used in the space `at`: it is the same, or one that
/// `at` inherits from.
pub(super) async fn check_usable(
    conn: &mut Conn,
    (kind, id): (&'static str, String),
    of: &str,
    at: &str,
) -> Result<(), OperationError> {
    if of == at || spaces::lineage(conn, at).await?.iter().any(|id| id == of) {
        return Ok(());
    }
    Err(OperationError::NotInherited {
        kind,
        id,
        of: of.to_owned(),
        at: at.to_owned(),
    })
}

pub(super) fn missing(kind: &'static str, id: &impl ToString) -> StoreError {
    StoreError::NotFound {
        kind,
        id: id.to_string(),
    }
}
