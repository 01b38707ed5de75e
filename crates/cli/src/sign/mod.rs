//! Signing runs: what the server says it would run, shown, and signed by the person's own key.
//!
//! Takes a wish or a run that waits, gives a metadata entry. Never: a signature over what was not shown, or over
//! something else than was asked for.

mod document;
mod remembered;
mod shown;
mod signer;

pub use document::Wish;
pub use signer::public_jwk;

use anyhow::{Context as _, bail};
use gantry_protocol::crypto::random_text;
use gantry_protocol::signature::{CLAIMS, Claims, Draft, RunDocument, SignedPhase};
use serde::Serialize;
use time::OffsetDateTime;

use crate::args::SignerArgs;
use crate::client::Api;
use crate::context::Context;
use crate::text;
use document::Subject;
use remembered::Remembered;
use signer::Signer;

/// A signature and what it is for.
#[derive(Debug, Serialize)]
pub struct SignedRun {
    /// The entry for the run's metadata.
    pub entry: String,
    /// For which part of the run.
    pub phase: SignedPhase,
    /// End of its life, Unix seconds.
    pub expires: i64,
    /// The run.
    pub document: RunDocument,
}

/// Whether the options or the environment name somebody who signs.
pub fn wanted(context: &Context, args: &SignerArgs) -> bool {
    args.key.is_some() || args.command.is_some() || context.env.sign_key.is_some()
}

/// Fetches, shows, asks, signs.
pub async fn sign(
    context: &Context,
    api: &Api,
    wish: &Wish<'_>,
    args: &SignerArgs,
) -> anyhow::Result<SignedRun> {
    let signer = Signer::choose(&context.env, args)?;
    let subject = Subject::fetch(api, wish, args.pool_certificate.as_deref()).await?;
    let remembered = Remembered::of(context.env.data_dir(), api.server(), wish.stack());
    let last = match args.whole {
        true => None,
        false => remembered.load()?,
    };
    show(context, &subject, last.as_ref());
    agreed(context, &subject, args)?;
    let claims = claims(&subject, args);
    let draft = Draft::new(&claims, signer.public(), signer.kid());
    let signature = signer.sign(draft.input()).await?;
    let entry = draft.finish(&signature)?;
    remembered.store(&subject.document)?;
    Ok(SignedRun {
        entry,
        phase: claims.phase,
        expires: claims.exp,
        document: subject.document,
    })
}

fn show(context: &Context, subject: &Subject, last: Option<&RunDocument>) {
    let printer = &context.printer;
    let lines = match last {
        None => shown::whole(&subject.document),
        Some(last) => {
            let stack = &subject.document.stack;
            let lines = shown::difference(last, &subject.document);
            match lines.is_empty() {
                true => printer.note(&format!(
                    "The run is the one that you signed last for stack `{stack}`."
                )),
                false => printer.note(&format!(
                    "Since you signed last for stack `{stack}` (--whole shows everything):"
                )),
            }
            lines
        }
    };
    for line in lines.iter().chain(&subject.plan_lines()) {
        printer.note(line);
    }
}

fn agreed(context: &Context, subject: &Subject, args: &SignerArgs) -> anyhow::Result<()> {
    let phase = subject.phase();
    if phase == SignedPhase::PlanAndApply && !args.accept_any_plan {
        bail!(
            "the run applies its plan without a confirm: say --accept-any-plan if you sign for whatever is planned, or switch autodeploy off"
        );
    }
    if args.yes {
        return Ok(());
    }
    if !context.printer.can_ask() {
        bail!("nothing is signed: there is no terminal to ask at; --yes signs without asking");
    }
    let answer = context
        .printer
        .ask(&format!("Sign this run for `{phase}`? [y/N]"))?;
    match answer.as_str() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("nothing is signed"),
    }
}

fn claims(subject: &Subject, args: &SignerArgs) -> Claims {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let life = args.expires.map_or(3600, |life| life.0.as_secs());
    Claims {
        v: CLAIMS,
        iat: now,
        exp: now.saturating_add_unsigned(life),
        jti: random_text().expose().to_owned(),
        aud: args.audience.clone(),
        phase: subject.phase(),
        fields: subject.fields(),
    }
}

/// One line about what was signed.
pub fn told(signed: &SignedRun) -> String {
    let (phase, until) = (signed.phase, text::date(signed.expires));
    format!("signed for `{phase}`, until {until}")
}

/// Reads a file whose name stands in the error.
fn read(path: &std::path::Path, what: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {what} `{}`", path.display()))
}
