//! `gantry login`, `gantry whoami`.
//!
//! Never: a login stored that the server did not accept.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use gantry_protocol::Secret;
use serde::Serialize;
use serde_json::json;

use crate::args::LoginArgs;
use crate::client::{Api, ApiError};
use crate::context::Context;
use crate::exit::Exit;
use crate::model::User;
use crate::ops;
use crate::profile::Login;

#[derive(Serialize)]
struct Me<'a> {
    server: &'a str,
    id: &'a str,
    name: &'a str,
}

pub async fn login(context: &Context, args: LoginArgs) -> anyhow::Result<Exit> {
    let login = Login {
        endpoint: given_or_asked(context, args.endpoint, "Server (https://…):", "--endpoint")?,
        key_id: given_or_asked(context, args.key_id, "API key id:", "--key-id")?,
        key_secret: secret(context, args.key_secret_file.as_deref())?,
    };
    let api = context.api_for(login.clone())?;
    let user = viewer(&api).await?;
    context.profiles()?.store(&args.name, &login)?;
    context
        .printer
        .note(&format!("logged in to {} as {}", api.server(), user.name));
    Ok(Exit::Done)
}

pub async fn whoami(context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let user = viewer(&api).await?;
    let lines = [
        ("server", api.server().to_owned()),
        ("id", user.id.clone()),
        ("name", user.name.clone()),
    ];
    let me = Me {
        server: api.server(),
        id: &user.id,
        name: &user.name,
    };
    context.printer.details(&me, &lines)?;
    Ok(Exit::Done)
}

async fn viewer(api: &Api) -> anyhow::Result<User> {
    let found = api.call(&ops::VIEWER, json!({})).await?.viewer;
    found.ok_or_else(|| {
        ApiError::Refused("the server accepted the key, but names no user for it".to_owned()).into()
    })
}

fn given_or_asked(
    context: &Context,
    given: Option<String>,
    question: &str,
    option: &str,
) -> anyhow::Result<String> {
    let value = match given {
        Some(value) => value,
        None if context.printer.can_ask() => context.printer.ask(question)?,
        None => bail!("{option} is missing, and there is no terminal to ask on"),
    };
    if value.is_empty() {
        bail!("{option} is empty")
    } else {
        Ok(value)
    }
}

fn secret(context: &Context, file: Option<&Path>) -> anyhow::Result<Secret> {
    if let Some(path) = file {
        return read_secret(path);
    }
    match &context.env.key_secret {
        Some(secret) => Ok(secret.clone()),
        None if context.printer.can_ask() => context.printer.ask_secret("API key secret:"),
        None => bail!("--key-secret-file is missing, and there is no terminal to ask on"),
    }
}

/// The first line of a file, or of standard input for `-`.
fn read_secret(path: &Path) -> anyhow::Result<Secret> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read the secret from `{}`", path.display()))?;
    let secret = Secret::new(text.trim());
    if secret.expose().is_empty() {
        bail!("`{}` holds no secret", path.display())
    } else {
        Ok(secret)
    }
}
