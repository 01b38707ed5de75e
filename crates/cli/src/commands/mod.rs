//! What each command does. One file per noun; each takes the context and its arguments, gives the exit.

mod autoscale;
mod ca;
mod context;
mod access;
mod key;
mod local_preview;
mod login;
mod notification;
mod policy;
mod pool;
mod release;
mod run;
mod sign;
mod stack;
mod stack_control;
mod stack_runs;
mod stack_state;
mod vcs_pool;
mod stack_update;
mod vcs_integration;

pub use pool::create as create_pool;
pub use release::{SignRequest, keygen, public_key, sign as sign_worker};

use crate::args::Command;
use crate::context::Context;
use crate::exit::Exit;

/// Runs one command.
pub async fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Login(args) => login::login(context, args).await,
        Command::Whoami => login::whoami(context).await,
        Command::Pool(command) => pool::run(context, command).await,
        Command::AutoscaleHint(args) => autoscale::hint(context, args).await,
        Command::VcsAgentPool(command) => vcs_pool::run(context, command).await,
        Command::Stack(command) => stack::run(context, command).await,
        Command::Context(command) => context::run(context, command).await,
        Command::Policy(command) => policy::run(context, command).await,
        Command::VcsIntegration(command) => vcs_integration::run(context, command).await,
        Command::NotificationTarget(command) => notification::run(context, command).await,
        Command::Space(command) => access::space(context, command).await,
        Command::ApiKey(command) => access::api_key(context, command).await,
        Command::Audit(command) => access::audit(context, command).await,
        Command::Run(command) => run::run(context, command).await,
        Command::Key(command) => key::run(context, command),
        Command::Sign(args) => sign::run(context, *args).await,
        Command::Release(command) => release::run(context, command),
        Command::Ca(command) => ca::run(context, command),
        Command::Dev(args) => crate::dev::run(context, args).await,
    }
}
