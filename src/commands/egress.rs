//! `gantry-launcher egress`: what will be contacted, and why.
//!
//! Takes all variables, gives columns, JSON, or the tables of `docs/NETWORK.md`. Never: a connection.

use clap::{Args, ValueEnum};
use time::OffsetDateTime;
use tracing::error;

use super::{misconfigured, print};
use crate::config::{Config, Environment};
use crate::egress::inventory;
use crate::exit::Exit;
use crate::report::Chain;
use crate::token::PoolCredentials;

/// Arguments of `egress`.
#[derive(Debug, Args)]
pub struct EgressArguments {
    /// How it is printed.
    #[arg(long, value_enum, default_value = "text")]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Columns for people.
    Text,
    /// One JSON object.
    Json,
    /// The tables of docs/NETWORK.md: all that any component may contact, whatever the settings.
    Markdown,
}

pub(super) fn perform(arguments: &EgressArguments) -> Exit {
    if arguments.output == Form::Markdown {
        return print(&gantry_net::egress::page());
    }
    let config = match Config::read(&Environment) {
        Ok(config) => config,
        Err(mistakes) => return misconfigured(&mistakes),
    };
    let now = OffsetDateTime::now_utc();
    let credentials = match PoolCredentials::read(&config.token, &config.pool_key, now) {
        Ok(credentials) => credentials,
        Err(error) => return wrong(&error),
    };
    match inventory(&config, &credentials.url, &Environment) {
        Ok(inventory) if arguments.output == Form::Json => {
            print(&format!("{:#}\n", inventory.json()))
        }
        Ok(inventory) => print(&inventory.text()),
        Err(error) => wrong(&error),
    }
}

fn wrong(error: &dyn std::error::Error) -> Exit {
    error!("{}", Chain(error));
    Exit::BadConfig
}
