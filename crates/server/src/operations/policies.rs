//! Making, changing, attaching and trying policies.
//!
//! Takes inputs, compiles what is to decide, gives what was made. Never: a policy stored that does not compile.

use gantry_policy::PolicyKind;
use serde_json::Value;

use super::manage::check_name;
use super::{Look, Manage, Operate, OperationError, door};
use crate::clock::UnixMillis;
use crate::domain::stack::slug;
use crate::domain::{Attached, PolicyId};
use crate::policies::shown;
use crate::store::policies::{self, Policy, Sample};
use crate::store::stacks::Stack;
use crate::store::{StoreError, Tx};

/// The most labels of a policy.
const LABELS_LIMIT: usize = 100;

/// A policy to make.
#[derive(Clone, Debug)]
pub struct NewPolicy {
    /// Its slug; none derives it from the name.
    pub slug: Option<String>,
    /// The name people see.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// What it decides.
    pub kind: PolicyKind,
    /// Rego.
    pub body: String,
    /// Labels.
    pub labels: Vec<String>,
    /// The space; none is the root.
    pub space: Option<String>,
}

/// What to change of a policy; none leaves it.
#[derive(Clone, Debug, Default)]
pub struct PolicyChange {
    /// The name people see.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Rego.
    pub body: Option<String>,
    /// Labels.
    pub labels: Option<Vec<String>>,
}

impl Look {
    /// The policy of this slug; nothing for a text that is no slug either.
    pub async fn policy(&self, id: &str) -> Result<Option<Policy>, StoreError> {
        door::find_policy(&mut *self.read().await?, &self.principal, id).await
    }

    /// Every policy that the caller sees, in order of the slugs.
    pub async fn policies(&self) -> Result<Vec<Policy>, StoreError> {
        let all = policies::list(&mut *self.read().await?).await?.into_iter();
        Ok(all
            .filter(|policy| self.principal.sees(&policy.space))
            .collect())
    }

    /// The policies that are about a stack, and how each came to it; those of spaces that the caller does not
    /// see decide too and are not shown.
    pub async fn attached_policies(
        &self,
        stack: &Stack,
    ) -> Result<Vec<(Policy, Attached)>, StoreError> {
        let all = policies::attached(&mut *self.read().await?, stack).await?;
        let seen = |(policy, _): &(Policy, Attached)| self.principal.sees(&policy.space);
        Ok(all.into_iter().filter(seen).collect())
    }

    /// The evaluations that are kept of a policy, newest first.
    pub async fn samples(&self, policy: &PolicyId) -> Result<Vec<Sample>, StoreError> {
        policies::samples(&mut *self.read().await?, policy).await
    }
}

impl Operate {
    /// What a text says about an input: one JSON object of its rules. Nothing is stored or decided.
    pub async fn simulate_policy(
        &self,
        kind: PolicyKind,
        body: &str,
        input: &str,
    ) -> Result<Value, OperationError> {
        let input: Value = serde_json::from_str(input)
            .map_err(|_| OperationError::input("input", input, "expected a JSON document"))?;
        let judge = &self.app.judge;
        let answer = judge.simulate(kind, "simulated", body, &input).await?;
        Ok(shown(&answer))
    }
}

impl Manage {
    /// Makes a policy.
    pub async fn create_policy(&self, new: NewPolicy) -> Result<Policy, OperationError> {
        let id: PolicyId = match &new.slug {
            Some(text) => text.parse()?,
            None => slug(&new.name)?.into(),
        };
        let now = UnixMillis::now();
        let policy = Policy {
            id,
            name: new.name,
            description: new.description,
            kind: new.kind,
            body: new.body,
            labels: new.labels,
            space: new.space.unwrap_or_else(|| door::home(&self.principal)),
            created_at: now,
            updated_at: now,
        };
        self.check_policy(&policy).await?;
        let mut tx = self.app.store.begin().await?;
        door::space(&mut tx, &self.principal, &policy.space).await?;
        policies::insert(&mut tx, &policy).await?;
        self.done(tx, "policy.create", &policy.id).await?;
        Ok(policy)
    }

    /// Changes a policy. It decides anew from here on.
    pub async fn update_policy(
        &self,
        id: &str,
        change: PolicyChange,
    ) -> Result<Policy, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let old = door::policy(&mut tx, &self.principal, id).await?;
        // The text is read without holding the writer.
        drop(tx);
        let policy = Policy {
            name: change.name.unwrap_or(old.name),
            description: change.description.or(old.description),
            body: change.body.unwrap_or(old.body),
            labels: change.labels.unwrap_or(old.labels),
            updated_at: UnixMillis::now(),
            ..old
        };
        self.check_policy(&policy).await?;
        let mut tx = self.app.store.begin().await?;
        policies::update(&mut tx, &policy).await?;
        self.done(tx, "policy.update", &policy.id).await?;
        Ok(policy)
    }

    async fn check_policy(&self, policy: &Policy) -> Result<(), OperationError> {
        check(policy)?;
        let judge = &self.app.judge;
        let id = policy.id.as_str();
        Ok(judge.check(policy.kind, id, &policy.body).await?)
    }

    /// Deletes a policy, wherever it is attached.
    pub async fn delete_policy(&self, id: &str) -> Result<Policy, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let policy = door::policy(&mut tx, &self.principal, id).await?;
        policies::delete(&mut tx, &policy.id, UnixMillis::now()).await?;
        self.done(tx, "policy.delete", &policy.id).await?;
        Ok(policy)
    }

    /// Attaches a policy to a stack.
    pub async fn attach_policy(&self, id: &str, stack: &str) -> Result<Policy, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let policy = door::policy(&mut tx, &self.principal, id).await?;
        let stack = door::stack(&mut tx, &self.principal, stack).await?;
        let thing = ("policy", policy.id.to_string());
        door::check_usable(&mut tx, thing, &policy.space, &stack.settings.space).await?;
        policies::attach(&mut tx, &policy.id, &stack.id, UnixMillis::now()).await?;
        self.done(tx, "policy.attach", &policy.id).await?;
        Ok(policy)
    }

    /// Takes a policy off a stack. One that a label attaches stays.
    pub async fn detach_policy(&self, id: &str, stack: &str) -> Result<Policy, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let policy = door::policy(&mut tx, &self.principal, id).await?;
        let stack = door::stack(&mut tx, &self.principal, stack).await?.id;
        if !policies::detach(&mut tx, &policy.id, &stack).await? {
            return Err(OperationError::NotAttached {
                policy: policy.id.to_string(),
                stack: stack.to_string(),
            });
        }
        self.done(tx, "policy.detach", &policy.id).await?;
        Ok(policy)
    }

    async fn done(
        &self,
        mut tx: Tx,
        action: &'static str,
        policy: &PolicyId,
    ) -> Result<(), OperationError> {
        self.record(&mut tx, action, format!("policy:{policy}"))
            .await?;
        self.app.store.commit(tx).await?;
        // Whoever waited for an approval may wait no more.
        let judge = self.app.judge.clone();
        tokio::spawn(async move { judge.settle_waiting().await });
        Ok(())
    }
}

fn check(policy: &Policy) -> Result<(), OperationError> {
    check_name(&policy.name)?;
    let odd = |label: &&String| {
        label.is_empty() || label.len() > 200 || label.chars().any(char::is_control)
    };
    if let Some(label) = policy.labels.iter().find(odd) {
        let rule = "expected 1 to 200 bytes without control characters";
        return Err(OperationError::input("labels", label, rule));
    }
    if policy.labels.len() > LABELS_LIMIT {
        let rule = "expected at most 100 labels";
        return Err(OperationError::input("labels", "a long list", rule));
    }
    if policy.kind == PolicyKind::Initialization {
        return Err(OperationError::Unsupported(
            "a policy of type INITIALIZATION (it stands in a file of the launcher's host)",
        ));
    }
    Ok(())
}
