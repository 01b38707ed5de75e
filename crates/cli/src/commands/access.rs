//! `gantry space …`, `gantry api-key …`, `gantry audit …`.
//!
//! Never: a key made whose secret can't be kept: the secret comes once.

use anyhow::Context as _;
use serde_json::json;
use time::OffsetDateTime;

use crate::args::{ApiKeyCommand, ApiKeyCreateArgs, AuditCommand, RoleArg, SpaceCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::files::NewFile;
use crate::model::{ApiKey, Space};
use crate::ops;
use crate::printer::Row;
use crate::text;

pub async fn space(context: &Context, command: SpaceCommand) -> anyhow::Result<Exit> {
    let api = context.api()?;
    match command {
        SpaceCommand::List => {
            let all = api.call(&ops::SPACES, json!({})).await?;
            context.printer.rows(&all.spaces)?;
        }
        SpaceCommand::Create {
            name,
            parent,
            description,
            separate,
        } => {
            let input = json!({ "name": name, "parentSpace": parent, "description": description,
                                "inheritEntities": !separate });
            let made = api
                .call(&ops::SPACE_CREATE, json!({ "input": input }))
                .await?;
            context.printer.rows(&[made.space_create])?;
        }
        SpaceCommand::Delete { id } => {
            let gone = api.call(&ops::SPACE_DELETE, json!({ "id": id })).await?;
            context
                .printer
                .note(&format!("deleted {}", gone.space_delete.id));
        }
    }
    Ok(Exit::Done)
}

pub async fn api_key(context: &Context, command: ApiKeyCommand) -> anyhow::Result<Exit> {
    match command {
        ApiKeyCommand::List => {
            let all = context.api()?.call(&ops::API_KEYS, json!({})).await?;
            context.printer.rows(&all.api_keys)?;
        }
        ApiKeyCommand::Create(args) => create_key(context, args).await?,
        ApiKeyCommand::Delete { id } => {
            let api = context.api()?;
            let gone = api.call(&ops::API_KEY_DELETE, json!({ "id": id })).await?;
            let gone = gone.api_key_delete;
            context
                .printer
                .note(&format!("deleted {} ({})", gone.id, gone.name));
        }
    }
    Ok(Exit::Done)
}

async fn create_key(context: &Context, args: ApiKeyCreateArgs) -> anyhow::Result<()> {
    let file = args
        .secret_file
        .as_deref()
        .map(NewFile::create)
        .transpose()?;
    let role = match args.role {
        RoleArg::Reader => "READER",
        RoleArg::Writer => "WRITER",
        RoleArg::Admin => "ADMIN",
    };
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let expires_at = args.expires_in.map(|days| now + i64::from(days) * 86_400);
    let spaces = Some(args.spaces).filter(|spaces| !spaces.is_empty());
    let input =
        json!({ "name": args.name, "role": role, "spaces": spaces, "expiresAt": expires_at });
    let api = context.api()?;
    let made = api
        .call(&ops::API_KEY_CREATE, json!({ "input": input }))
        .await?;
    let made = made.api_key_create;
    let secret = made
        .secret
        .context("the server made a key but gave no secret")?;
    match file {
        Some(file) => {
            file.finish(format!("{}\n", secret.expose()).as_bytes())?;
            let lines = [("id", made.id.clone())];
            context.printer.details(&json!({ "id": made.id }), &lines)
        }
        None => {
            let lines = [
                ("id", made.id.clone()),
                ("secret", secret.expose().to_owned()),
            ];
            let value = json!({ "id": made.id, "secret": secret.expose() });
            context.printer.details(&value, &lines)
        }
    }
}

pub async fn audit(context: &Context, command: AuditCommand) -> anyhow::Result<Exit> {
    let AuditCommand::Export { since, until } = command;
    let given = [("since", since), ("until", until)].into_iter();
    let query: Vec<(&str, String)> = given
        .filter_map(|(name, value)| Some((name, value?.to_string())))
        .collect();
    let api = context.api()?;
    let mut lines = api.download("audit.jsonl", &query).await?;
    while let Some(piece) = lines.next().await? {
        context.printer.data(&piece)?;
    }
    Ok(Exit::Done)
}

impl Row for Space {
    const HEADINGS: &'static [&'static str] = &["ID", "NAME", "PARENT", "INHERITS", "ACCESS"];

    fn cells(&self) -> Vec<String> {
        let inherits = if self.inherit_entities { "yes" } else { "no" };
        vec![
            self.id.clone(),
            self.name.clone(),
            self.parent_space.clone().unwrap_or_default(),
            inherits.to_owned(),
            self.access_level.to_lowercase(),
        ]
    }
}

impl Row for ApiKey {
    const HEADINGS: &'static [&'static str] = &[
        "ID",
        "NAME",
        "ROLE",
        "SPACES",
        "MADE BY",
        "LAST USED",
        "EXPIRES",
    ];

    fn cells(&self) -> Vec<String> {
        let date = |time: Option<i64>| time.map(text::date).unwrap_or_default();
        let spaces = self.spaces.as_ref().map(|ids| ids.join(", "));
        vec![
            self.id.clone(),
            self.name.clone(),
            self.role.to_lowercase(),
            spaces.unwrap_or_else(|| "all".to_owned()),
            self.creator.clone(),
            date(self.last_used_at),
            date(self.expires_at),
        ]
    }
}
