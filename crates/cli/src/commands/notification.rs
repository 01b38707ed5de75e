//! `gantry notification-target …`: whose servers are told of runs.
//!
//! Never: a target made whose secret can't be kept: it comes once.

use anyhow::Context as _;
use serde_json::json;

use crate::args::{NotificationCommand, TargetCreateArgs, TargetUpdateArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::files::NewFile;
use crate::model::{NotificationDelivery, NotificationTarget};
use crate::ops;
use crate::printer::Row;
use crate::text;

pub async fn run(context: &Context, command: NotificationCommand) -> anyhow::Result<Exit> {
    match command {
        NotificationCommand::List => {
            let api = context.api()?;
            let all = api.call(&ops::NOTIFICATION_TARGETS, json!({}));
            context.printer.rows(&all.await?.notification_targets)?;
        }
        NotificationCommand::Show(args) => show(context, &args.id).await?,
        NotificationCommand::Create(args) => create(context, args).await?,
        NotificationCommand::Update(args) => update(context, args).await?,
        NotificationCommand::Delete(args) => {
            let (api, vars) = (context.api()?, json!({ "id": args.id }));
            let gone = api.call(&ops::NOTIFICATION_TARGET_DELETE, vars).await?;
            let gone = gone.notification_target_delete;
            context.printer.note(&format!("deleted {}", gone.id));
        }
        NotificationCommand::Redeliver { id, delivery } => {
            let (api, vars) = (
                context.api()?,
                json!({ "target": id, "delivery": delivery }),
            );
            let told = api.call(&ops::NOTIFICATION_REDELIVER, vars).await?;
            let told = told.notification_redeliver;
            let note = format!("sends {delivery} to {} again", told.id);
            context.printer.note(&note);
        }
    }
    Ok(Exit::Done)
}

async fn show(context: &Context, id: &str) -> anyhow::Result<()> {
    let (api, vars) = (context.api()?, json!({ "id": id }));
    let found = api.call(&ops::NOTIFICATION_TARGET, vars).await?;
    let found = found.notification_target;
    let found = found.with_context(|| format!("notification target `{id}` is not found"))?;
    let lines = [
        ("id", found.id.clone()),
        ("name", found.name.clone()),
        ("space", found.space.clone()),
        ("listens at", found.url.clone()),
        ("told of", told_of(&found)),
        (
            "enabled",
            if found.enabled { "yes" } else { "no" }.to_owned(),
        ),
        ("changed", text::date(found.updated_at)),
    ];
    context.printer.details(&found, &lines)?;
    let deliveries = found.deliveries.unwrap_or_default();
    if context.printer.json() || deliveries.is_empty() {
        return Ok(());
    }
    context.printer.data(b"\n")?;
    context.printer.rows(&deliveries)
}

async fn create(context: &Context, args: TargetCreateArgs) -> anyhow::Result<()> {
    let file = args.secret_file.as_deref();
    let file = file.map(NewFile::create).transpose()?;
    let states = Some(args.states).filter(|states| !states.is_empty());
    let vars = json!({
        "name": args.name, "url": args.url, "states": states, "space": args.space,
    });
    let api = context.api()?;
    let made = api.call(&ops::NOTIFICATION_TARGET_CREATE, vars).await?;
    let made = made.notification_target_create;
    let mut lines = vec![("id", made.target.id.clone())];
    let mut value = json!({ "id": made.target.id });
    match file {
        Some(file) => file.finish(format!("{}\n", made.secret.expose()).as_bytes())?,
        None => {
            value["secret"] = json!(made.secret.expose());
            lines.push(("secret", made.secret.expose().to_owned()));
        }
    }
    context.printer.details(&value, &lines)
}

async fn update(context: &Context, args: TargetUpdateArgs) -> anyhow::Result<()> {
    let states = Some(args.states).filter(|states| !states.is_empty());
    let vars = json!({
        "id": args.id, "name": args.name, "url": args.url, "states": states,
        "enabled": args.enabled,
    });
    let api = context.api()?;
    let changed = api.call(&ops::NOTIFICATION_TARGET_UPDATE, vars).await?;
    context.printer.rows(&[changed.notification_target_update])
}

fn told_of(target: &NotificationTarget) -> String {
    match target.states.is_empty() {
        true => "all states".to_owned(),
        false => target.states.join(", ").to_lowercase(),
    }
}

impl Row for NotificationTarget {
    const HEADINGS: &'static [&'static str] = &["ID", "NAME", "SPACE", "TOLD OF", "ON", "URL"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.space.clone(),
            told_of(self),
            if self.enabled { "yes" } else { "no" }.to_owned(),
            self.url.clone(),
        ]
    }
}

impl Row for NotificationDelivery {
    const HEADINGS: &'static [&'static str] =
        &["MESSAGE", "RUN", "STATE", "STANDING", "TRIES", "ANSWER"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.run_id.clone(),
            self.state.as_str().to_lowercase(),
            self.standing.to_lowercase(),
            self.attempts.to_string(),
            self.answer.clone().unwrap_or_default(),
        ]
    }
}
