//! The initialization policy: whether it compiles, and whether this host can evaluate it.

use gantry_policy::EvalError;
use serde_json::json;

use super::Report;
use crate::config::Config;
use crate::logging::Secrets;
use crate::policy::{InitPolicy, sandbox};
use crate::report::Chain;

const CHECK: &str = "initialization policy";

pub(super) async fn examine(config: &Config, report: &mut Report) {
    let Some(path) = &config.init_policy else {
        return report.skipped(
            CHECK,
            "SPACELIFT_LAUNCHER_RUN_INITIALIZATION_POLICY is not set; every run of the pool is taken",
        );
    };
    let policy = match InitPolicy::load(path, Secrets::default()) {
        Ok(policy) => policy,
        Err(error) => {
            let advice =
                "correct it; `gantry-launcher policy check` compiles it without anything else";
            return report.failed(CHECK, Chain(&error), advice);
        }
    };
    let dialect = policy.policy().dialect();
    // Without `exec`: looking changes nothing on the host.
    match sandbox().evaluate(policy.policy(), &json!({})).await {
        Err(error @ EvalError::NoProcess { .. }) => report.failed(
            CHECK,
            error,
            "the launcher's executable has to be one that uid 1984 may execute too",
        ),
        // What it says of an empty document is its own affair.
        Ok(_) | Err(_) => report.ok(
            CHECK,
            format!(
                "`{}` compiles (Rego {dialect}) and can be evaluated",
                path.display()
            ),
        ),
    }
}
