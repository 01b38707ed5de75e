//! `gantry dev`: a server and a launcher in one process tree, for trying Gantry out.
//!
//! Takes a directory, gives a running system whose keys are all made here and stay here. Never: anything that
//! listens beyond this host, and never a process left behind.

mod keys;
mod place;
mod process;

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::DevArgs;
use crate::client::Api;
use crate::commands;
use crate::context::Context;
use crate::exit::Exit;
use crate::ops;
use crate::profile::Login;
use place::Place;
use process::Child;

/// Name of the stored login, and of the pool.
const NAME: &str = "dev";
/// Longest time until the server answers.
const START: Duration = Duration::from_secs(60);

/// What the user or the system asks of the whole tree.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Sets up what is missing, runs until Ctrl-C or until one part ends.
pub async fn run(context: &Context, args: DevArgs) -> anyhow::Result<Exit> {
    let mut stops = Stops::listen()?;
    let place = Place::open(&args, &context.env)?;
    let trust = keys::prepare(&place, &context.printer).await?;
    let mut server = process::server(&place, &args)?;
    let result = with_server(context, &args, &place, &trust, &mut server, &mut stops).await;
    server.stop().await?;
    result
}

async fn with_server(
    context: &Context,
    args: &DevArgs,
    place: &Place,
    trust: &str,
    server: &mut Child,
    stops: &mut Stops,
) -> anyhow::Result<Exit> {
    let login = place.login()?;
    let api = context.api_for(login.clone())?;
    tokio::select! {
        answered = answers(&api) => answered?,
        ended = server.ended() => return Err(ended),
        () = stops.next() => return Ok(Exit::Done),
    }
    if !place.token().exists() {
        make_pool(&api, place).await?;
    }
    context.profiles()?.store(NAME, &login)?;
    let mut launcher = process::launcher(place, args, trust)?;
    tell(context, place, &login);
    tokio::select! {
        ended = server.ended() => { launcher.stop().await?; Err(ended) }
        ended = launcher.ended() => Err(ended),
        () = stops.next() => {
            context.printer.note("stopping; Ctrl-C again cancels what still runs");
            drain(&mut launcher, stops).await
        }
    }
}

/// Waits until the server accepts the API key.
async fn answers(api: &Api) -> anyhow::Result<()> {
    let query = api.query_patiently(&ops::VIEWER, json!({}), |_| ());
    let viewer = tokio::time::timeout(START, query).await;
    viewer.context("gantry-server did not answer within a minute")??;
    Ok(())
}

async fn make_pool(api: &Api, place: &Place) -> anyhow::Result<()> {
    let file = crate::files::NewFile::create(&place.token())?;
    let (_, token) = commands::create_pool(api, NAME, &place.csr(), json!({})).await?;
    file.finish(token.expose().as_bytes())
}

/// Ends the launcher its own way: one SIGTERM drains it, each further one presses harder.
async fn drain(launcher: &mut Child, stops: &mut Stops) -> anyhow::Result<Exit> {
    launcher.terminate()?;
    loop {
        tokio::select! {
            _ = launcher.ended() => return Ok(Exit::Done),
            () = stops.next() => launcher.terminate()?,
        }
    }
}

fn tell(context: &Context, place: &Place, login: &Login) {
    let lines = [
        format!(
            "server and launcher are up: {} (everything is in {})",
            login.endpoint,
            place.root().display()
        ),
        format!("you are logged in as `{NAME}`; in another terminal:"),
        "  gantry pool list".to_owned(),
        "  gantry stack create --name hello --tool opentofu --pool ID --repository URL".to_owned(),
        "  gantry stack deploy --id hello --tail".to_owned(),
        "Ctrl-C stops both".to_owned(),
    ];
    lines.iter().for_each(|line| context.printer.note(line));
}
