//! Plans of chosen addresses.
//!
//! Takes a run that waits for its decision and addresses, gives the same run on its way to a plan of only these. Never:
//! an address that a tool could take for something else.

use super::operate::check_key;
use super::{Operate, OperationError, door};
use crate::clock::UnixMillis;
use crate::domain::{MAX_TARGETS, MetadataEntry, RunEvent, is_address};
use crate::store::runs::{self, RunRecord};

impl Operate {
    /// Plans a run again, limited to `targets`; then it waits for its decision again.
    pub async fn replan(
        &self,
        stack: &str,
        run: &str,
        targets: &[String],
        metadata: Option<&MetadataEntry>,
    ) -> Result<RunRecord, OperationError> {
        check(targets)?;
        let mut tx = self.app.store.begin().await?;
        let (stack, before) = door::run(&mut tx, &self.principal, stack, run).await?;
        let run = before.run.id;
        self.check_holder(&stack)?;
        check_key(&mut tx, run).await?;
        if let Some(entry) = metadata {
            runs::add_metadata(&mut tx, run, entry).await?;
        }
        let by = self.principal.actor();
        let now = UnixMillis::now();
        let note = format!("only {}", targets.join(", "));
        let note: String = note.chars().take(1000).collect();
        runs::apply(&mut tx, run, &RunEvent::Replan, &by, Some(&note), now).await?;
        runs::set_targets(&mut tx, run, targets).await?;
        self.record(&mut tx, "run.replan", run).await?;
        let record = runs::get(&mut tx, run).await?;
        self.app.store.commit(tx).await?;
        Ok(record)
    }
}

pub(super) fn check(targets: &[String]) -> Result<(), OperationError> {
    if targets.is_empty() || targets.len() > MAX_TARGETS {
        let count = targets.len().to_string();
        let rule = "expected 1 to 100 addresses";
        return Err(OperationError::input("targets", &count, rule));
    }
    match targets.iter().find(|target| !is_address(target)) {
        None => Ok(()),
        Some(bad) => {
            let rule = "expected an address such as `module.net.aws_subnet.a[0]`";
            Err(OperationError::input("targets", bad, rule))
        }
    }
}
