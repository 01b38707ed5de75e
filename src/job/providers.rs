//! The cache of providers before and after a run.
//!
//! Takes a run's directories, gives them kept providers and keeps new ones. Never: a run that fails because of
//! the cache, or whose processes still run while packages are taken.

use super::Job;
use super::gates::OpenedRun;
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

    fn providers(&self, run: &OpenedRun) -> Option<(crate::tool::ProviderCache, Checkout)> {
        let cache = self.host.providers.clone()?;
        let lease = self.entry.lease;
        let checkout = Checkout {
            workspace: self.host.data.run(lease.run, lease.attempt).workspace(),
            project_root: run.payload().source.project_root.clone(),
            owner: self.host.data.owner(),
        };
        Some((cache, checkout))
    }
}
