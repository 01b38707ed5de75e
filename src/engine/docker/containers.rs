//! Container calls: create, start, wait, inspect, list, kill, stop, remove, and the small fallback log.
//!
//! Takes specs and ids, gives exits and views. Never: an exit that the engine did not confirm by an inspect.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;

use super::{Docker, LONG, SHORT, convert};
use crate::engine::{
    ContainerId, ContainerSpec, ContainerStatus, ContainerView, EngineError, ErrorKind, Exit,
    Listed,
};

/// How long one wait request may hang before the container is looked at again.
const WAIT_SLICE: Duration = Duration::from_secs(60);

impl Docker {
    /// Makes a container; its name stays taken until it is removed.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the name is taken, [`ErrorKind::NotFound`] when the image is not there,
    /// [`ErrorKind::Refused`] when a mount's source does not exist.
    pub async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        let options = CreateContainerOptionsBuilder::new()
            .name(&spec.name)
            .platform(&spec.platform.to_string())
            .build();
        let call = self
            .client
            .create_container(Some(options), convert::create_body(spec));
        let operation = format!("create container `{}`", spec.name);
        Ok(ContainerId(self.call(&operation, LONG, call).await?.id))
    }

    /// Starts a container; one that already runs stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] with the runtime's words when the root process can't be started.
    pub async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        let options = None::<StartContainerOptions>;
        let call = self.client.start_container(id.as_str(), options);
        self.call(&format!("start container `{id}`"), LONG, call)
            .await
    }

    /// Waits until a started container has ended; at once when it already has.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is removed meanwhile, [`ErrorKind::Unreachable`] when the engine goes
    /// away (call again: the container may well live on), [`ErrorKind::Conflict`] when it was never started.
    pub async fn wait(&self, id: &ContainerId) -> Result<Exit, EngineError> {
        let operation = format!("wait for container `{id}`");
        let mut pause = Duration::ZERO;
        loop {
            match self.inspect(id).await?.status {
                ContainerStatus::Exited(exit) => return Ok(exit),
                ContainerStatus::Created => {
                    let message = "it was never started".to_owned();
                    return Err(EngineError::new(operation, ErrorKind::Conflict { message }));
                }
                ContainerStatus::Running | ContainerStatus::Removing => {}
            }
            tokio::time::sleep(pause).await;
            self.wait_slice(&operation, id).await?;
            // The engine may answer the wait before its inspect agrees: ask again, but not in a busy loop.
            pause = Duration::from_millis(100);
        }
    }

    /// One bounded wait request. Its answer is only a hint to inspect again.
    async fn wait_slice(&self, operation: &str, id: &ContainerId) -> Result<(), EngineError> {
        let options = WaitContainerOptionsBuilder::new()
            .condition("not-running")
            .build();
        let mut stream = std::pin::pin!(self.client.wait_container(id.as_str(), Some(options)));
        match tokio::time::timeout(WAIT_SLICE, stream.next()).await {
            Err(_) | Ok(None) | Ok(Some(Ok(_))) => Ok(()),
            // How bollard reports every exit code but zero.
            Ok(Some(Err(Error::DockerContainerWaitError { .. }))) => Ok(()),
            Ok(Some(Err(error))) => {
                let kind = super::errors::kind(error, &self.host, WAIT_SLICE);
                Err(EngineError::new(operation, kind))
            }
        }
    }

    /// Looks at one container.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn inspect(&self, id: &ContainerId) -> Result<ContainerView, EngineError> {
        self.inspect_named(id.as_str()).await
    }

    /// Looks at one container by name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn inspect_named(&self, name: &str) -> Result<ContainerView, EngineError> {
        let operation = format!("inspect container `{name}`");
        let options = None::<InspectContainerOptions>;
        let call = self.client.inspect_container(name, options);
        let found = self.call(&operation, SHORT, call).await?;
        view(found).map_err(|kind| EngineError::new(operation, kind))
    }

    /// All containers, ended ones too, that carry `label` with `value`.
    ///
    /// # Errors
    /// What any call may give.
    pub async fn list(&self, label: &str, value: &str) -> Result<Vec<Listed>, EngineError> {
        self.list_labelled(&format!("{label}={value}")).await
    }

    /// The same for a label (`name`) or a label with a value (`name=value`).
    ///
    /// # Errors
    /// What any call may give.
    pub async fn list_labelled(&self, wanted: &str) -> Result<Vec<Listed>, EngineError> {
        let filters = HashMap::from([("label", vec![wanted])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let call = self.client.list_containers(Some(options));
        let operation = format!("list containers with label `{wanted}`");
        let found = self.call(&operation, SHORT, call).await?;
        Ok(found.into_iter().filter_map(listed).collect())
    }

    /// Sends a signal (`SIGTERM`, …) to the root process; nothing when it has ended or is gone.
    ///
    /// # Errors
    /// What any call may give.
    pub async fn kill(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        let call = self.client.kill_container(id.as_str(), Some(options));
        let operation = format!("send {signal} to container `{id}`");
        ended_is_fine(self.call(&operation, SHORT, call).await)
    }

    /// SIGTERM, then SIGKILL after `grace`; returns when the container has ended.
    ///
    /// # Errors
    /// What any call may give.
    pub async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let call = self.client.stop_container(id.as_str(), Some(options));
        let operation = format!("stop container `{id}`");
        ended_is_fine(self.call(&operation, grace + LONG, call).await)
    }

    /// Removes a container with its anonymous volumes, killing it if it runs; nothing when it is gone.
    ///
    /// # Errors
    /// What any call may give.
    pub async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        let call = self.client.remove_container(id.as_str(), Some(options));
        let operation = format!("remove container `{id}`");
        ended_is_fine(self.call(&operation, LONG, call).await)
    }

    /// The last `max_bytes` of what the root process itself printed, both streams in order of arrival. Run
    /// output never goes this way; it explains a worker that died before it connected.
    ///
    /// # Errors
    /// What any call may give.
    pub async fn last_words(
        &self,
        id: &ContainerId,
        max_bytes: usize,
    ) -> Result<Vec<u8>, EngineError> {
        let operation = format!("read the output of container `{id}`");
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail("200")
            .build();
        let collect = async {
            let mut stream = std::pin::pin!(self.client.logs(id.as_str(), Some(options)));
            let mut words: Vec<u8> = Vec::new();
            while let Some(chunk) = stream.next().await {
                words.extend_from_slice(&chunk?.into_bytes());
                let excess = words.len().saturating_sub(max_bytes);
                words.drain(..excess);
            }
            Ok(words)
        };
        self.call(&operation, SHORT, collect).await
    }
}

fn ended_is_fine(result: Result<(), EngineError>) -> Result<(), EngineError> {
    match result {
        Err(error) if is_ended(error.kind()) => Ok(()),
        other => other,
    }
}

/// 304 "already stopped", 404 "gone", 409 "not running" or "removal in progress": the wish is fulfilled.
fn is_ended(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound { .. }
            | ErrorKind::Conflict { .. }
            | ErrorKind::Refused { status: 304, .. }
    )
}

fn view(found: ContainerInspectResponse) -> Result<ContainerView, ErrorKind> {
    let missing = |what: &str| ErrorKind::Garbled {
        message: format!("a container without {what}"),
    };
    let labels = found.config.and_then(|config| config.labels);
    Ok(ContainerView {
        id: ContainerId(found.id.ok_or_else(|| missing("id"))?),
        name: bare_name(found.name.as_deref().unwrap_or_default()),
        labels: labels.unwrap_or_default().into_iter().collect(),
        status: status(found.state.ok_or_else(|| missing("state"))?),
    })
}

fn status(state: ContainerState) -> ContainerStatus {
    use ContainerStateStatusEnum as S;
    match state.status {
        Some(S::CREATED) => ContainerStatus::Created,
        Some(S::REMOVING) => ContainerStatus::Removing,
        Some(S::EXITED | S::DEAD) => ContainerStatus::Exited(Exit {
            code: state.exit_code.unwrap_or(-1),
            oom_killed: state.oom_killed.unwrap_or(false),
            error: state.error.filter(|error| !error.is_empty()),
            finished_at: state.finished_at.unwrap_or_default(),
        }),
        Some(S::RUNNING | S::PAUSED | S::RESTARTING | S::STOPPING | S::EMPTY) | None => {
            ContainerStatus::Running
        }
    }
}

fn listed(found: bollard::models::ContainerSummary) -> Option<Listed> {
    let name = found.names.unwrap_or_default().into_iter().next()?;
    let state = found.state.map(|state| state.to_string());
    let networks = found
        .network_settings
        .and_then(|settings| settings.networks);
    Some(Listed {
        id: ContainerId(found.id?),
        name: bare_name(&name),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        running: matches!(state.as_deref(), Some("running" | "paused" | "restarting")),
        created: found.created.unwrap_or(i64::MAX),
        networks: networks.unwrap_or_default().into_keys().collect(),
    })
}

fn bare_name(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}
