//! Policies in the API.
//!
//! Takes a policy's record, gives its fields, and its newest evaluations.

use async_graphql::{Context, Error, ID, Object, SimpleObject};
use gantry_policy::PolicyKind;

use super::context::look;
use super::enums::PolicyType;
use super::search::{PageInfo, SearchInput};
use super::space::Space;
use crate::domain::Attached;
use crate::operations::OperationError;
use crate::store::policies::{self, Sample};

pub(super) struct Policy(pub(super) policies::Policy);

/// A policy as a stack sees it.
#[derive(SimpleObject)]
pub(super) struct StackPolicyAttachment {
    policy_id: ID,
    policy_name: String,
    policy_type: PolicyType,
    /// Whether one of the policy's labels attaches it.
    is_autoattached: bool,
}

/// One evaluation of a policy.
#[derive(SimpleObject)]
pub(super) struct PolicyEvaluationRecord {
    key: String,
    outcome: String,
    timestamp: i64,
}

/// What an evaluation was about, and the text that decided.
#[derive(SimpleObject)]
pub(super) struct PolicyEvaluationSample {
    /// JSON, as text; empty where it was too large to keep.
    input: String,
    body: String,
}

/// A page of evaluations.
#[derive(SimpleObject)]
pub(super) struct SearchEvaluationRecordsOutput {
    edges: Vec<SearchEvaluationRecordsOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
pub(super) struct SearchEvaluationRecordsOutputEdge {
    node: PolicyEvaluationRecord,
}

/// A page of policies.
#[derive(SimpleObject)]
pub(super) struct SearchPoliciesOutput {
    edges: Vec<SearchPoliciesOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
pub(super) struct SearchPoliciesOutputEdge {
    node: Policy,
}

impl From<(policies::Policy, Attached)> for StackPolicyAttachment {
    fn from((policy, how): (policies::Policy, Attached)) -> Self {
        Self {
            policy_id: policy.id.to_string().into(),
            policy_name: policy.name,
            policy_type: policy.kind.into(),
            is_autoattached: how == Attached::ByLabel,
        }
    }
}

impl From<PolicyKind> for PolicyType {
    fn from(kind: PolicyKind) -> Self {
        match kind {
            PolicyKind::Initialization => Self::Initialization,
            PolicyKind::Approval => Self::Approval,
            PolicyKind::Plan => Self::Plan,
            PolicyKind::Push => Self::GitPush,
        }
    }
}

impl PolicyType {
    /// The kind that decides so, if this server has it.
    pub(super) fn kind(self) -> Result<PolicyKind, OperationError> {
        match self {
            Self::Initialization => Ok(PolicyKind::Initialization),
            Self::Approval => Ok(PolicyKind::Approval),
            Self::Plan => Ok(PolicyKind::Plan),
            Self::GitPush => Ok(PolicyKind::Push),
            Self::Access | Self::Login | Self::Notification | Self::Task | Self::Trigger => {
                Err(OperationError::Unsupported(
                    "a policy of a type other than APPROVAL, GIT_PUSH and PLAN",
                ))
            }
        }
    }
}

impl From<Sample> for PolicyEvaluationRecord {
    fn from(sample: Sample) -> Self {
        Self {
            key: sample.key.to_string(),
            outcome: sample.outcome,
            timestamp: sample.taken_at.seconds(),
        }
    }
}

/// A policy of the server.
#[Object]
impl Policy {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// Rego.
    async fn body(&self) -> &str {
        &self.0.body
    }

    async fn r#type(&self) -> PolicyType {
        self.0.kind.into()
    }

    async fn labels(&self) -> &[String] {
        &self.0.labels
    }

    async fn space(&self) -> &str {
        &self.0.space
    }

    async fn space_details(&self, ctx: &Context<'_>) -> Result<Space, Error> {
        Space::of(ctx, &self.0.space).await
    }

    async fn created_at(&self) -> i64 {
        self.0.created_at.seconds()
    }

    async fn updated_at(&self) -> i64 {
        self.0.updated_at.seconds()
    }

    /// The evaluations that are kept, newest first.
    async fn evaluation_records(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Vec<PolicyEvaluationRecord>, Error> {
        let samples = look(ctx)?.samples(&self.0.id).await?.into_iter();
        Ok(samples.map(PolicyEvaluationRecord::from).collect())
    }

    /// What one evaluation was about.
    async fn evaluation_sample(
        &self,
        ctx: &Context<'_>,
        key: String,
    ) -> Result<Option<PolicyEvaluationSample>, Error> {
        let samples = look(ctx)?.samples(&self.0.id).await?;
        let found = samples
            .into_iter()
            .find(|sample| sample.key.to_string() == key);
        Ok(found.map(|sample| PolicyEvaluationSample {
            input: sample.input.unwrap_or_default(),
            body: sample.body,
        }))
    }

    /// The evaluations that are kept and fit, newest first; `outcome` is the one field to search by.
    async fn search_evaluation_records(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchEvaluationRecordsOutput, Error> {
        let wish = input.wish(&["outcome"], Some("createdAt"))?;
        let samples = look(ctx)?.samples(&self.0.id).await?;
        let fitting = samples
            .into_iter()
            .filter(|sample| wish.fits(|_| vec![sample.outcome.clone()]));
        let (nodes, page_info) = wish.page(fitting, |sample| sample.key.to_string());
        let node = |sample: Sample| SearchEvaluationRecordsOutputEdge {
            node: sample.into(),
        };
        let edges = nodes.into_iter().map(node).collect();
        Ok(SearchEvaluationRecordsOutput { edges, page_info })
    }
}

pub(super) async fn search(
    ctx: &Context<'_>,
    input: SearchInput,
) -> Result<SearchPoliciesOutput, Error> {
    let wish = input.wish(&["name", "type", "label", "labels", "space"], None)?;
    let values = |policy: &policies::Policy, field: &str| match field {
        "name" => vec![policy.name.clone()],
        "type" => vec![policies::kind_name(policy.kind).to_owned()],
        "space" => vec![policy.space.clone()],
        _ => policy.labels.clone(),
    };
    let all = look(ctx)?.policies().await?.into_iter();
    let fitting = all.filter(|policy| {
        wish.has_text(&[policy.id.as_str(), &policy.name])
            && wish.fits(|field| values(policy, field))
    });
    let (nodes, page_info) = wish.page(fitting, |policy| policy.id.to_string());
    let node = |policy| SearchPoliciesOutputEdge {
        node: Policy(policy),
    };
    let edges = nodes.into_iter().map(node).collect();
    Ok(SearchPoliciesOutput { edges, page_info })
}
