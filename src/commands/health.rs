//! `gantry-launcher health`: a probe for those who run the launcher in a container.
//!
//! Takes the variable of the health address; gives what is answered there, and an exit code. Never: a look at anything
//! but that address.

use clap::Args;
use gantry_service::probe::{Place, Question, ask};
use tracing::error;

use super::{misconfigured, print};
use crate::config::{Environment, Listen, read_health};
use crate::exit::Exit;
use crate::report::Chain;

/// Arguments of `health`.
#[derive(Debug, Args)]
pub struct HealthArguments {
    /// Ask instead whether runs are taken just now; the answer says why not.
    #[arg(long)]
    ready: bool,
}

/// Asks, and prints the answer.
pub(super) fn perform(arguments: &HealthArguments) -> Exit {
    let place = match read_health(&Environment) {
        Ok(Some(Listen::Tcp(address))) => Place::Tcp(address),
        Ok(Some(Listen::Unix(path))) => Place::Unix(path),
        Ok(None) => {
            error!("GANTRY_HEALTH_LISTEN: is not set, so there is no address to ask");
            return Exit::BadConfig;
        }
        Err(mistakes) => return misconfigured(&mistakes),
    };
    match ask(&place, Question::about(arguments.ready)) {
        Ok(answer) => {
            let printed = print(&format!("{}\n", answer.text));
            if answer.is_good() {
                printed
            } else {
                Exit::Failed
            }
        }
        Err(error) => {
            error!("{}", Chain(&error));
            Exit::Failed
        }
    }
}
