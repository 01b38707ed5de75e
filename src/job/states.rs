//! One managed-state request on its way to the server and back.
//!
//! Takes what the tool asks, gives what the server answers. Never: a state that names a program which nobody signed for,
//! given to the tool of a run that is signed.

use std::collections::BTreeSet;

use gantry_protocol::control::run::Lease;
use gantry_protocol::socket::StateOp;
use tracing::warn;

use crate::link::Handle;
use crate::report::Chain;
use crate::session::{CallError, Session};
use crate::ship::Narrator;
use crate::tool::{Checkout, StateError, providers_of_state};

/// The provider that is part of the tools.
const BUILT_IN: &str = "terraform.io/builtin/terraform";

/// A managed-state answer on its way back to the worker.
pub(super) enum Carried {
    Answered,
    Refused(CallError),
}

/// Looks at the states that a server gives to a signed run: the tools download and start every provider that a state
/// names, so without it a server that keeps the state could choose programs.
pub(super) struct StateGuard {
    pub(super) checkout: Checkout,
    pub(super) narrator: Narrator,
}

/// Why a state is kept from the tool.
#[derive(Debug, thiserror::Error)]
enum BadState {
    #[error(transparent)]
    Unreadable(#[from] StateError),
    #[error(
        "the state that the server keeps names the provider `{0}`, which the code's .terraform.lock.hcl does not: commit that file with it, because nobody signed for what the server chooses"
    )]
    Provider(String),
}

/// Whether the code's lock file names every provider that the state does.
fn check(checkout: &Checkout, state: &[u8]) -> Result<(), BadState> {
    let named = providers_of_state(state)?;
    let locked: BTreeSet<String> = checkout.locked().into_iter().collect();
    let strange = named
        .into_iter()
        .find(|source| source != BUILT_IN && !locked.contains(source));
    strange.map_or(Ok(()), |source| Err(BadState::Provider(source)))
}

impl StateGuard {
    /// Whether the tool may have it; else it stands in the run's log why not.
    fn lets_through(&self, state: &[u8]) -> Result<(), String> {
        check(&self.checkout, state).map_err(|error| {
            let why = Chain(&error).to_string();
            warn!(error = %why, "a state of the server is kept from a signed run");
            self.narrator.say(format!("Refused: {why}"));
            why
        })
    }
}

/// Asks the server until it has decided, and gives its answer to the worker.
pub(super) async fn carry(
    session: &Session,
    lease: Lease,
    handle: &Handle,
    guard: Option<&StateGuard>,
    (id, op, body): (u64, &StateOp, Vec<u8>),
) -> Carried {
    match session.state(lease, op, body.into()).await {
        Ok(answer) => {
            let reads = matches!(op, StateOp::Read) && (200..300).contains(&answer.status);
            let looked = guard.filter(|_| reads);
            match looked.map_or(Ok(()), |guard| guard.lets_through(&answer.body)) {
                Ok(()) => handle.answer_state(id, answer.status, answer.body.to_vec()),
                Err(why) => handle.answer_state(id, 403, why.into_bytes()),
            }
            Carried::Answered
        }
        Err(error) => {
            let why = Chain(&error).to_string().into_bytes();
            handle.answer_state(id, 403, why);
            Carried::Refused(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Owner;

    const LOCKED: &str = r#"
provider "registry.terraform.io/hashicorp/time" {
  version = "0.9.1"
  hashes = [
    "zh:0000000000000000000000000000000000000000000000000000000000000000",
  ]
}
"#;

    fn state(sources: &[&str]) -> Vec<u8> {
        let one = |source: &&str| {
            let provider = format!("provider[\"{source}\"]");
            serde_json::json!({ "mode": "managed", "provider": provider, "instances": [] })
        };
        let resources: Vec<_> = sources.iter().map(one).collect();
        let state = serde_json::json!({ "version": 4, "serial": 1, "resources": resources });
        state.to_string().into_bytes()
    }

    #[test]
    fn a_signed_run_reads_states_of_providers_that_its_code_locks() {
        const TIME: &str = "registry.terraform.io/hashicorp/time";
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("source/live");
        std::fs::create_dir_all(&root).unwrap();
        let checkout = Checkout {
            workspace: temp.path().to_owned(),
            project_root: "live".to_owned(),
            owner: Owner::own(),
        };
        let passes = |state: &[u8]| check(&checkout, state).is_ok();
        // Without a lock file only what is part of the tool.
        assert!(passes(b"") && passes(&state(&[])) && passes(&state(&[BUILT_IN])));
        assert!(!passes(&state(&[TIME])));
        std::fs::write(root.join(".terraform.lock.hcl"), LOCKED).unwrap();
        assert!(passes(&state(&[TIME, BUILT_IN])));
        for strange in [
            "registry.terraform.io/hashicorp/evil",
            "evil.example/hashicorp/time",
            "registry.terraform.io/hashicorp/Time",
        ] {
            let refused = check(&checkout, &state(&[TIME, strange])).unwrap_err();
            let named = format!("names the provider `{strange}`");
            assert!(refused.to_string().contains(&named), "{refused}");
        }
        assert!(!passes(b"no state"));
        // A file that can't be read names nothing.
        std::fs::write(root.join(".terraform.lock.hcl"), format!("x{LOCKED}")).unwrap();
        assert!(!passes(&state(&[TIME])));
    }
}
