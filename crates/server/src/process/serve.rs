//! Running the server from start to stop.
//!
//! Takes settings, gives a running server that can be told to stop. On SIGTERM or SIGINT: no new
//! connections, long polls answer at once, requests get their time to end, the database is closed.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::gateway;
use super::listen::{TlsError, TlsListener};
use crate::app::{App, AppConfig, AppError};
use crate::config::{ServeArgs, environment_for_git};
use crate::workers::PeerAddr;
use crate::{tasks, web};

/// How long requests get to end.
const GRACE: Duration = Duration::from_secs(20);

/// Why the server can't start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can't be used.
    #[error("could not listen on {name} `{address}`")]
    Bind {
        /// The setting.
        name: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The parts can't be opened.
    #[error(transparent)]
    App(#[from] AppError),
    /// The TLS files can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address can't be told to others.
    #[error("could not write `{}`", path.display())]
    AddressFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Signals can't be waited for.
    #[error("could not listen for signals")]
    Signals(#[source] io::Error),
}

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    /// Its parts.
    pub app: Arc<App>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where VCS agents connect; nothing if they can't.
    pub agents_address: Option<SocketAddr>,
    server: JoinHandle<io::Result<()>>,
    gateway: Option<JoinHandle<()>>,
    health: Option<JoinHandle<()>>,
    loops: Vec<tasks::Loop>,
    dispatch: JoinHandle<()>,
}

/// Binds, opens and starts; the address is written to `<data>/address` once requests are answered.
pub async fn start(args: &ServeArgs) -> Result<Running, ServeError> {
    let (listener, address) = bind("GANTRY_LISTEN", args.listen).await?;
    let agents = match args.vcs_gateway_listen {
        Some(address) => Some(bind("GANTRY_VCS_GATEWAY_LISTEN", address).await?),
        None => None,
    };
    let agents_address = agents.as_ref().map(|(_, address)| *address);
    let health = match args.health_listen {
        Some(address) => Some(bind("GANTRY_HEALTH_LISTEN", address).await?.0),
        None => None,
    };
    let config = AppConfig {
        data_dir: args.data_dir.clone(),
        master_key_file: args.master_key_file.clone(),
        account_name: args.account_name.clone(),
        base_url: args.base_url(address),
        source_file_prefixes: args.source_file_prefixes.clone(),
        api_rate: args.api_rate,
        trusted_proxies: args.trusted_proxies.clone(),
        outgoing_networks: args.outgoing_networks.clone(),
        policy_program: args.policy_program.clone(),
        outside: args.outside.clone(),
        retention: tasks::retention::Retention {
            log_days: args.keep_logs_days,
            plan_days: args.keep_plans_days,
            run_days: args.keep_runs_days,
            state_versions: args.keep_state_versions,
        },
        git_environment: environment_for_git(),
        gateway_address: args.vcs_address(agents_address),
    };
    let app = App::open(config).await?;
    let loops = tasks::start(&app);
    let (control, stopping) = (Arc::clone(&app.control), app.stopping.clone());
    let dispatch = tokio::spawn(async move { control.dispatcher.run(stopping).await });
    let health = health.map(|listener| serve_health(&app, listener));
    let router = web::router(Arc::clone(&app)).into_make_service_with_connect_info::<PeerAddr>();
    let stopped = app.stopping.clone().cancelled_owned();
    let server = match args.tls() {
        Some(files) => {
            let listener = TlsListener::new(listener, &files, b"http/1.1")?;
            let server = axum::serve(listener, router).with_graceful_shutdown(stopped);
            tokio::spawn(server.into_future())
        }
        None => {
            let server = axum::serve(listener, router).with_graceful_shutdown(stopped);
            tokio::spawn(server.into_future())
        }
    };
    let gateway = match agents {
        Some((listener, _)) => Some(gateway::start(&app, listener, args.tls().as_ref())?),
        None => None,
    };
    let path = app.data_dir.join("address");
    std::fs::write(&path, format!("{address}\n"))
        .map_err(|source| ServeError::AddressFile { path, source })?;
    tracing::info!(%address, url = app.base_url, "listening");
    if let Some(address) = agents_address {
        tracing::info!(%address, "listening for VCS agents");
    }
    Ok(Running {
        app,
        address,
        agents_address,
        gateway,
        health,
        server,
        loops,
        dispatch,
    })
}

/// Clear text on a loopback address, until the process ends: also while the last requests are waited for.
fn serve_health(app: &Arc<App>, listener: TcpListener) -> JoinHandle<()> {
    let router = web::health(Arc::clone(app));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "health is served no more");
        }
    })
}

async fn bind(
    name: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Bind {
        name,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl Running {
    /// Stops taking requests, lets those that run end, closes everything.
    pub async fn stop(self) {
        self.app.stopping.cancel();
        let abort = self.server.abort_handle();
        match tokio::time::timeout(GRACE, self.server).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "the server ended badly"),
            Ok(Err(error)) => tracing::error!(%error, "the server panicked"),
            Err(_) => {
                tracing::warn!(
                    seconds = GRACE.as_secs(),
                    "requests did not end in time: cut"
                );
                abort.abort();
            }
        }
        if let Some(gateway) = self.gateway {
            gateway::end(gateway).await;
        }
        if self.dispatch.await.is_err() {
            tracing::error!("the dispatcher panicked");
        }
        for task in self.loops {
            task.ended().await;
        }
        if let Some(health) = self.health {
            health.abort();
            health.await.ok();
        }
        self.app.gateway.closed().await;
        self.app.store.close().await;
        tracing::info!("stopped");
    }
}

/// Serves until SIGTERM or SIGINT.
pub(super) async fn until_stopped(args: &ServeArgs) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let running = start(args).await?;
    let status = format!(
        "listening on {} for {}",
        running.address, running.app.base_url
    );
    let alive = gantry_service::ready(&status);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
    }
    gantry_service::stopping();
    running.stop().await;
    drop(alive);
    Ok(())
}
