//! Making, changing, attaching and trying policies.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::{manage, operate};
use crate::graphql::enums::PolicyType;
use crate::graphql::policy::Policy;
use crate::operations::{NewPolicy, PolicyChange};

#[derive(Default)]
pub(super) struct PolicyMutation;

#[Object]
impl PolicyMutation {
    /// Makes a policy. Without a slug its id is made from its name. A label `autoattach:LABEL` attaches it to every
    /// stack with that label, `autoattach:*` to every stack.
    #[expect(
        clippy::too_many_arguments,
        reason = "the names of the arguments are the API"
    )]
    async fn policy_create(
        &self,
        ctx: &Context<'_>,
        name: String,
        body: String,
        r#type: PolicyType,
        labels: Option<Vec<String>>,
        description: Option<String>,
        space: Option<ID>,
        slug: Option<String>,
    ) -> Result<Policy, Error> {
        let new = NewPolicy {
            slug,
            name,
            description,
            kind: r#type.kind()?,
            body,
            labels: labels.unwrap_or_default(),
            space: space.map(|id| id.to_string()),
        };
        Ok(Policy(manage(ctx)?.create_policy(new).await?))
    }

    /// Changes what is given of a policy; it decides anew from here on.
    async fn policy_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        name: Option<String>,
        body: Option<String>,
        labels: Option<Vec<String>>,
        description: Option<String>,
    ) -> Result<Policy, Error> {
        let change = PolicyChange {
            name,
            description,
            body,
            labels,
        };
        Ok(Policy(manage(ctx)?.update_policy(&id, change).await?))
    }

    /// Deletes a policy, wherever it is attached.
    async fn policy_delete(&self, ctx: &Context<'_>, id: ID) -> Result<Policy, Error> {
        Ok(Policy(manage(ctx)?.delete_policy(&id).await?))
    }

    /// Attaches a policy to a stack.
    async fn policy_attach(&self, ctx: &Context<'_>, id: ID, stack: ID) -> Result<Policy, Error> {
        Ok(Policy(manage(ctx)?.attach_policy(&id, &stack).await?))
    }

    /// Takes a policy off a stack. One that a label attaches stays.
    async fn policy_detach(&self, ctx: &Context<'_>, id: ID, stack: ID) -> Result<Policy, Error> {
        Ok(Policy(manage(ctx)?.detach_policy(&id, &stack).await?))
    }

    /// What a text would say about an input document (JSON, as text): one JSON object of its rules, as text. Nothing
    /// is stored or decided.
    async fn policy_simulate(
        &self,
        ctx: &Context<'_>,
        body: String,
        input: String,
        r#type: PolicyType,
    ) -> Result<String, Error> {
        let (operate, kind) = (operate(ctx)?, r#type.kind()?);
        let said = operate.simulate_policy(kind, &body, &input).await?;
        Ok(said.to_string())
    }
}
