//! `gantry vcs-integration …`: how code hosts are reached, and what they answer.
//!
//! Never: a token on the command line, or an integration made whose webhook secret can't be kept.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{
    IntegrationCommand, IntegrationCreateArgs, IntegrationDetails, IntegrationUpdateArgs, VendorArg,
};
use crate::context::Context;
use crate::exit::Exit;
use crate::files::NewFile;
use crate::model::{Listed, VcsBranch, VcsIntegration, VcsRepository};
use crate::ops::{self, Op};
use crate::printer::Row;
use crate::text;

/// Entries that are asked for at a time.
const PAGE: usize = 100;

pub async fn run(context: &Context, command: IntegrationCommand) -> anyhow::Result<Exit> {
    match command {
        IntegrationCommand::List => {
            let api = context.api()?;
            let all = api.call(&ops::VCS_INTEGRATIONS, json!({}));
            context.printer.rows(&all.await?.vcs_integrations)?;
        }
        IntegrationCommand::Show(args) => show(context, &args.id).await?,
        IntegrationCommand::Create(args) => create(context, *args).await?,
        IntegrationCommand::Update(args) => update(context, *args).await?,
        IntegrationCommand::Delete(args) => {
            let (api, vars) = (context.api()?, json!({ "id": args.id }));
            let gone = api.call(&ops::VCS_INTEGRATION_DELETE, vars).await?;
            let gone = gone.vcs_integration_delete;
            context.printer.note(&format!("deleted {}", gone.id));
        }
        IntegrationCommand::Repositories(args) => {
            let vars = json!({ "id": args.id, "search": args.search });
            let of = |data: crate::model::VcsRepositories| data.vcs_integration;
            list(context, (&ops::VCS_REPOSITORIES, of), vars, args.limit).await?;
        }
        IntegrationCommand::Branches(args) => {
            let vars =
                json!({ "id": args.id, "repository": args.repository, "search": args.search });
            let of = |data: crate::model::VcsBranches| data.vcs_integration;
            list(context, (&ops::VCS_BRANCHES, of), vars, args.limit).await?;
        }
        IntegrationCommand::Test(args) => test(context, &args.id).await?,
    }
    Ok(Exit::Done)
}

fn missing(id: &str) -> String {
    format!("VCS integration `{id}` is not found")
}

async fn show(context: &Context, id: &str) -> anyhow::Result<()> {
    let (api, vars) = (context.api()?, json!({ "id": id }));
    let found = api.call(&ops::VCS_INTEGRATION, vars).await?;
    let found = found.vcs_integration.with_context(|| missing(id))?;
    let pushes = found.pushes.iter().flatten().take(5).map(|push| {
        let outcome = push.outcome.as_deref().unwrap_or("waits");
        format!("{}: {outcome}", push.branch)
    });
    let polls = found
        .poll_seconds
        .map(|seconds| format!("every {seconds} s"));
    let token = if found.has_token { "yes" } else { "none" };
    let lines = [
        ("id", found.id.clone()),
        ("name", found.name.clone()),
        ("space", found.space.clone()),
        ("vendor", found.vendor.to_lowercase()),
        ("clone URLs", found.url_prefix.clone()),
        ("API", found.api_url.clone().unwrap_or_default()),
        ("user name", found.username.clone().unwrap_or_default()),
        ("token", token.to_owned()),
        ("webhooks to", found.webhook_url.clone().unwrap_or_default()),
        ("asked", polls.unwrap_or_default()),
        ("newest pushes", pushes.collect::<Vec<_>>().join("; ")),
        ("changed", text::date(found.updated_at)),
    ];
    context.printer.details(&found, &lines)
}

async fn create(context: &Context, args: IntegrationCreateArgs) -> anyhow::Result<()> {
    let file = args.webhook_secret_file.as_deref();
    let file = file.map(NewFile::create).transpose()?;
    let vendor = match args.vendor {
        VendorArg::Git => "GIT",
        VendorArg::Github => "GITHUB",
        VendorArg::Gitlab => "GITLAB",
        VendorArg::BitbucketDatacenter => "BITBUCKET_DATACENTER",
        VendorArg::AzureDevops => "AZURE_DEVOPS",
    };
    let mut input = details(&args.details)?;
    input["name"] = json!(args.name);
    input["slug"] = json!(args.slug);
    input["space"] = json!(args.space);
    input["vendor"] = json!(vendor);
    input["urlPrefix"] = json!(args.url_prefix);
    let (api, vars) = (context.api()?, json!({ "input": input }));
    let made = api.call(&ops::VCS_INTEGRATION_CREATE, vars).await?;
    let made = made.vcs_integration_create;
    let one = &made.integration;
    let mut value = json!({ "id": one.id, "webhookUrl": one.webhook_url });
    let mut lines = vec![
        ("id", one.id.clone()),
        ("webhooks to", one.webhook_url.clone().unwrap_or_default()),
    ];
    let secret = made.webhook_secret.expose();
    match file {
        Some(file) => file.finish(format!("{secret}\n").as_bytes())?,
        None if one.webhook_url.is_some() => {
            value["webhookSecret"] = json!(secret);
            lines.push(("webhook secret", secret.to_owned()));
        }
        None => {}
    }
    context.printer.details(&value, &lines)
}

async fn update(context: &Context, args: IntegrationUpdateArgs) -> anyhow::Result<()> {
    let mut vars = details(&args.details)?;
    vars["id"] = json!(args.id);
    vars["name"] = json!(args.name);
    let api = context.api()?;
    let changed = api.call(&ops::VCS_INTEGRATION_UPDATE, vars).await?;
    context.printer.rows(&[changed.vcs_integration_update])
}

fn details(args: &IntegrationDetails) -> anyhow::Result<Value> {
    let token = args.token_file.as_deref().map(token).transpose()?;
    Ok(json!({
        "apiUrl": args.api_url, "username": args.username, "token": token,
        "pollSeconds": args.poll_seconds,
    }))
}

/// A file's text without the line end; `-` is standard input.
fn token(path: &Path) -> anyhow::Result<String> {
    let read = match path.as_os_str() == "-" {
        true => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        false => std::fs::read_to_string(path),
    };
    let text = read.with_context(|| format!("cannot read the token `{}`", path.display()))?;
    Ok(text.trim_end().to_owned())
}

/// Prints entries page by page until there are enough.
async fn list<D, T: Row + Serialize>(
    context: &Context,
    (op, of): (&Op<D>, impl Fn(D) -> Option<Listed<T>>),
    mut vars: Value,
    limit: usize,
) -> anyhow::Result<()>
where
    D: serde::de::DeserializeOwned,
{
    let (api, mut all) = (context.api()?, Vec::new());
    let id = vars["id"].as_str().unwrap_or_default().to_owned();
    loop {
        vars["first"] = json!(PAGE.min(limit.saturating_sub(all.len()).max(1)));
        let page = of(api.call(op, vars.clone()).await?);
        let page = page.with_context(|| missing(&id))?.list;
        all.extend(page.nodes);
        match page.end_cursor {
            Some(next) if all.len() < limit => vars["after"] = json!(next),
            next => {
                let more = next.is_some() || all.len() > limit;
                all.truncate(limit);
                context.printer.rows(&all)?;
                if more {
                    let note = format!("there are more than {limit}: --limit or --search");
                    context.printer.note(&note);
                }
                return Ok(());
            }
        }
    }
}

async fn test(context: &Context, id: &str) -> anyhow::Result<()> {
    let (api, vars) = (context.api()?, json!({ "id": id }));
    let found = api.call(&ops::VCS_TEST, vars).await?;
    let found = found.vcs_integration.with_context(|| missing(id))?;
    let sees = match found.repositories.nodes.first() {
        Some(one) => format!("repositories such as {}", one.name),
        None => "no repository: give its token access to some".to_owned(),
    };
    let lines = [
        ("API", found.api_url.clone().unwrap_or_default()),
        ("token of", found.viewer.clone()),
        ("sees", sees),
    ];
    context.printer.details(&found, &lines)
}

impl Row for VcsIntegration {
    const HEADINGS: &'static [&'static str] = &["ID", "VENDOR", "SPACE", "CLONE URLS", "API"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.vendor.to_lowercase(),
            self.space.clone(),
            self.url_prefix.clone(),
            self.api_url.clone().unwrap_or_default(),
        ]
    }
}

impl Row for VcsRepository {
    const HEADINGS: &'static [&'static str] = &["NAME", "DEFAULT BRANCH", "URL"];

    fn cells(&self) -> Vec<String> {
        let branch = self.default_branch.clone().unwrap_or_default();
        vec![self.name.clone(), branch, self.url.clone()]
    }
}

impl Row for VcsBranch {
    const HEADINGS: &'static [&'static str] = &["NAME", "COMMIT"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.commit.clone()]
    }
}
