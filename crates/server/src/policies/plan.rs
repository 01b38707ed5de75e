//! What plan policies say about a plan.
//!
//! Takes an attempt of a run, asks the plan policies of its stack about the plan that the launcher sent, gives their
//! verdict. It is kept with the plan, so that the same policies are asked once about the same plan. What must never
//! happen: a policy that can't be asked, or has no answer, taken for one that allows.

use gantry_policy::PolicyKind;
use gantry_protocol::{Attempt, RunId};

use super::known::{OfRun, OfStack};
use super::{Judge, Said, asked, input};
use crate::domain::{AskedPolicy, PlanVerdict};
use crate::error::chain;
use crate::plans::PlanKeeperError;
use crate::store::plans::{self, PlanContent, PlanRow};
use crate::store::policies::{self, Policy};
use crate::store::run_flags::{self, FlagsOf};
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
        let Some(row) = row else {
            let why = "the launcher sent no plan as data (it may be older)";
            return Ok(unasked(asked, why));
        };
        // What was begun is ended and kept, also when whoever asks loses patience and asks again.
        let judge = self.clone();
        let about = About {
            row,
            record,
            stack,
            policies,
            asked,
        };
        let done = tokio::spawn(async move { judge.ask_and_keep(about).await });
        done.await
            .expect("invariant: asking policies does not panic, and nobody aborts it")
    }

    async fn ask_and_keep(&self, about: About) -> Result<PlanVerdict, PlanKeeperError> {
        let (verdict, flags) = self.ask_about(&about).await?;
        let mut tx = self.store.begin().await?;
        plans::keep_verdict(&mut tx, &about.row, &verdict).await?;
        for flags in &flags {
            run_flags::note(&self.store, &mut tx, about.row.run, flags).await?;
        }
        self.store.commit(tx).await?;
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
        about: &About,
    ) -> Result<(PlanVerdict, Vec<FlagsOf>), PlanKeeperError> {
        let (row, asked) = (&about.row, about.asked.clone());
        if let PlanContent::Withheld(why) = &row.content {
            let verdict = unasked(asked, &format!("there is no plan as data: {why}"));
            return Ok((verdict, Vec::new()));
        }
        let (plan, changes) = self.plans.whole(row).await?.unzip();
        let document = {
            let mut conn = self.store.read().await?;
            let of_run = OfRun::with(&mut conn, about.record.clone(), changes).await?;
            let stack = &about.stack;
            let of_stack = OfStack::find(&mut conn, stack).await?;
            let previous = runs::last_applied(&mut conn, &stack.id, row.run).await?;
            let previous = match previous {
                Some(record) => Some(OfRun::find(&mut conn, &self.plans, record).await?),
                None => None,
            };
            let plan = plan.unwrap_or_default();
            input::plan(&of_run, (stack, &of_stack), previous.as_ref(), plan)
        };
        let said = self.ask(about.policies.clone(), &document).await?;
        let flags = said.iter().map(Said::flags).collect();
        Ok((together(asked, &said), flags))
    }
}

/// A plan and who is to be asked about it.
struct About {
    row: PlanRow,
    record: RunRecord,
    stack: Stack,
    policies: Vec<Policy>,
    asked: Vec<AskedPolicy>,
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
