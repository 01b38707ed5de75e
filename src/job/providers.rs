//! The providers of a run: the cache before and after it, and what looks at the states that name some.
//!
//! Takes a run's directories, gives them kept providers and keeps new ones. Never: a run that fails because of
//! the cache, or whose processes still run while packages are taken.

use super::Job;
use super::gates::OpenedRun;
use super::states::StateGuard;
use crate::tool::Checkout;

impl Job {
    /// Gives a fresh checkout the providers that it pins and this host has kept.
    pub(super) async fn lay_providers(&self, run: &OpenedRun) {
        let Some((cache, checkout)) = self.providers(run) else {
            return;
        };
        let laid = tokio::task::spawn_blocking(move || cache.lay(&checkout)).await;
        let laid = laid.expect("invariant: copying does not panic");
        if !laid.is_empty() {
            let list = laid.join(", ");
            self.shipper.narrator().say(format!(
                "Providers kept on this host, as the lock file pins them: {list}."
            ));
        }
    }

    /// Keeps what an ended run has downloaded.
    pub(super) async fn keep_providers(&self, run: &OpenedRun) {
        let Some((cache, checkout)) = self.providers(run) else {
            return;
        };
        let kept = tokio::task::spawn_blocking(move || cache.keep(&checkout)).await;
        let kept = kept.expect("invariant: copying does not panic");
        if kept > 0 {
            self.shipper
                .narrator()
                .say(format!("Providers kept for later runs: {kept}."));
        }
    }

    /// What looks at the states of a signed run, or of one that is not admitted any more; nothing where nobody had to sign.
    pub(super) fn state_guard(&self, run: &OpenedRun) -> Option<StateGuard> {
        let unsigned = |rights: &crate::signature::Rights| rights.signer().is_none();
        if self.rights.as_ref().is_some_and(unsigned) {
            return None;
        }
        Some(StateGuard {
            checkout: self.checkout(run),
            narrator: self.shipper.narrator(),
        })
    }

    fn providers(&self, run: &OpenedRun) -> Option<(crate::tool::ProviderCache, Checkout)> {
        let cache = self.host.providers.clone()?;
        Some((cache, self.checkout(run)))
    }

    fn checkout(&self, run: &OpenedRun) -> Checkout {
        let lease = self.entry.lease;
        Checkout {
            workspace: self.host.data.run(lease.run, lease.attempt).workspace(),
            project_root: run.payload().source.project_root.clone(),
            owner: self.host.data.owner(),
        }
    }
}
