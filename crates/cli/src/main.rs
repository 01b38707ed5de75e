//! `gantry`: Gantry's command line.
//!
//! Takes words, gives output and an exit code. Never: anything but the arguments, the exit code and the
//! printing of an error happens here.
#![forbid(unsafe_code)]
#![expect(
    unreachable_pub,
    reason = "nothing outside reaches into a program; pub marks what a module offers"
)]

mod args;
mod client;
mod commands;
mod context;
mod dev;
mod env;
mod exit;
mod files;
mod files_to_send;
mod model;
mod ops;
mod printer;
mod profile;
mod sign;
mod tail;
mod text;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::client::ApiError;
use crate::context::Context;
use crate::env::Env;
use crate::exit::Exit;
use crate::profile::NoLogin;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    gantry_net::install_crypto();
    let cli = Cli::parse();
    let context = Context::new(cli.global, Env::read());
    let exit = match commands::run(&context, cli.command).await {
        Ok(exit) => exit,
        Err(error) => {
            context.printer.error(&error);
            exit_of(&error)
        }
    };
    ExitCode::from(exit.code())
}

fn exit_of(error: &anyhow::Error) -> Exit {
    let refused = matches!(
        error.downcast_ref(),
        Some(ApiError::Unauthorized { .. } | ApiError::Forbidden(_))
    );
    if refused || error.is::<NoLogin>() {
        Exit::Unauthorized
    } else {
        Exit::Error
    }
}
