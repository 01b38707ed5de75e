//! What every command gets: the options, the environment, the printer, and the way to the server.
//!
//! Takes the global options, gives a [`Context`]. Never: talks to the server by itself.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use gantry_net::egress::CliPurpose;
use gantry_net::{ClientOptions, Mistake, NamedPem};

use crate::args::GlobalArgs;
use crate::client::Api;
use crate::env::Env;
use crate::printer::Printer;
use crate::profile::{Login, Profiles};

/// Shared by all commands of one invocation.
pub struct Context {
    pub printer: Printer,
    pub env: Env,
    global: GlobalArgs,
}

impl Context {
    pub fn new(global: GlobalArgs, env: Env) -> Self {
        Self {
            printer: Printer::new(global.output, env.no_color),
            env,
            global,
        }
    }

    /// Where logins are kept.
    pub fn profiles(&self) -> anyhow::Result<Profiles> {
        Ok(Profiles::new(&self.config_dir()?))
    }

    /// A client for the chosen login.
    pub fn api(&self) -> anyhow::Result<Api> {
        let login = self
            .profiles()?
            .pick(self.global.profile.as_deref(), &self.env)?;
        self.api_for(login)
    }

    /// A client for a login that may not be stored yet.
    pub fn api_for(&self, login: Login) -> anyhow::Result<Api> {
        let mut outside = match &self.env.outside {
            Ok(outside) => outside.clone(),
            Err(mistakes) => bail!("{}", lines(mistakes)),
        };
        if let Some(path) = &self.global.ca_file {
            let pem = std::fs::read(path);
            let pem =
                pem.with_context(|| format!("cannot read the CA file `{}`", path.display()))?;
            outside.roots.push(NamedPem {
                origin: path.display().to_string(),
                pem,
            });
        }
        let agent = concat!("gantry/", env!("CARGO_PKG_VERSION"));
        let options = ClientOptions::new(CliPurpose::Server, agent, &outside);
        Ok(Api::new(login, &options)?)
    }

    fn config_dir(&self) -> anyhow::Result<PathBuf> {
        let chosen = self
            .global
            .config_dir
            .clone()
            .or_else(|| self.env.config_dir());
        chosen.context("there is no home directory: name one for logins with --config-dir")
    }
}

fn lines(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
