//! What plan policies say about a plan.
//!
//! Takes an attempt of a run, asks the plan policies of its stack about the plan that the launcher sent, gives their
//! verdict. It is kept with the plan, so that the same policies are asked once about the same plan. What must never
//! happen: a policy that can't be asked, or has no answer, taken for one that allows.

use gantry_policy::PolicyKind;
use gantry_protocol::{Attempt, RunId};

use super::{Judge, Said, input};
use crate::domain::{AskedPolicy, PlanVerdict};
use crate::error::chain;
use crate::plans::PlanKeeperError;
use crate::store::plans::{self, PlanContent, PlanRow};
use crate::store::policies::{self, Policy};
use crate::store::runs::{self, RunRecord};
use crate::store::stacks::{self, Stack};
use crate::store::{Conn, StoreError};

impl Judge {
    /// What the stack's plan policies say about the plan of an attempt. Without policies: nothing.
    ///
    /// # Errors
    /// When the database or the storage fails; then nothing is decided.
    pub async fn about_plan(
        &self,
        run: RunId,
        attempt: Attempt,
    ) -> Result<PlanVerdict, PlanKeeperError> {
        let (record, stack, policies, row) = {
            let mut conn = self.store.read().await?;
            let record = runs::get(&mut conn, run).await?;
            let stack = stacks::find(&mut conn, &record.run.stack).await?;
            let Some(stack) = stack else {
                return Ok(PlanVerdict::default());
            };
            let policies = policies::about(&mut conn, &stack, PolicyKind::Plan).await?;
            let row = plans::find(&mut conn, run, attempt).await?;
            (record, stack, policies, row)
        };
        let asked = asked(&policies);
        let known = row.as_ref().and_then(|row| row.verdict.as_ref());
        if let Some(known) = known.filter(|known| known.asked == asked) {
            return Ok(known.clone());
        }
        if policies.is_empty() {
            return Ok(PlanVerdict::default());
        }
        let verdict = match &row {
            Some(row) => {
                self.ask_about(row, policies, &record, &stack, asked)
                    .await?
            }
            None => unasked(asked, "the launcher sent no plan as data (it may be older)"),
        };
        if let Some(row) = &row {
            let mut tx = self.store.begin().await?;
            plans::keep_verdict(&mut tx, row, &verdict).await?;
            self.store.commit(tx).await?;
        }
        Ok(verdict)
    }

    /// Whether the policies that were asked are still those that are to be asked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn plan_verdict_holds(
        &self,
        conn: &mut Conn,
        record: &RunRecord,
        verdict: &PlanVerdict,
    ) -> Result<bool, StoreError> {
        let Some(stack) = stacks::find(conn, &record.run.stack).await? else {
            return Ok(true);
        };
        let now = policies::about(conn, &stack, PolicyKind::Plan).await?;
        Ok(asked(&now) == verdict.asked)
    }

    async fn ask_about(
        &self,
        row: &PlanRow,
        policies: Vec<Policy>,
        record: &RunRecord,
        stack: &Stack,
        asked: Vec<AskedPolicy>,
    ) -> Result<PlanVerdict, PlanKeeperError> {
        if let PlanContent::Withheld(why) = &row.content {
            return Ok(unasked(asked, &format!("there is no plan as data: {why}")));
        }
        let changes = self.plans.changes(row).await?.unwrap_or_default();
        let plan = self.plans.document(row).await?;
        let document = input::plan(record, stack, plan.unwrap_or_default(), &changes);
        let said = self.ask(policies, &document).await?;
        Ok(together(asked, &said))
    }
}

fn asked(policies: &[Policy]) -> Vec<AskedPolicy> {
    let asked = policies.iter().map(|policy| AskedPolicy {
        id: policy.id.to_string(),
        updated_at: policy.updated_at.0,
    });
    asked.collect()
}

/// Every policy denies what it can't be asked about.
fn unasked(asked: Vec<AskedPolicy>, why: &str) -> PlanVerdict {
    let denials = asked.iter().map(|policy| {
        let id = &policy.id;
        format!("policy `{id}` can't be asked, so it denies: {why}")
    });
    PlanVerdict {
        denials: denials.collect(),
        asked,
        warnings: Vec::new(),
    }
}

fn together(asked: Vec<AskedPolicy>, all: &[Said]) -> PlanVerdict {
    let mut verdict = PlanVerdict {
        asked,
        ..PlanVerdict::default()
    };
    for said in all {
        let id = &said.policy.id;
        match &said.answer {
            Ok(answer) => {
                let denials = answer.texts("deny").iter();
                let denials = denials.map(|text| format!("policy `{id}` denies: {text}"));
                verdict.denials.extend(denials);
                let warnings = answer.texts("warn").iter();
                let warnings = warnings.map(|text| format!("policy `{id}` warns: {text}"));
                verdict.warnings.extend(warnings);
            }
            Err(error) => verdict.denials.push(format!(
                "policy `{id}` has no answer, and what can't be decided is denied: {}",
                chain(error)
            )),
        }
    }
    verdict
}
