//! Image calls: resolve, pull, inspect, read one file.
//!
//! Takes references in normal form and credentials; gives digests and image facts. Never: a tag in a pull.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, CreateImageInfo, OciPlatform};
use bollard::query_parameters::{CreateImageOptionsBuilder, DownloadFromContainerOptionsBuilder};
use futures_util::{Stream, StreamExt};

use super::{Docker, LONG, REGISTRY, SHORT, convert, errors};
use crate::engine::{
    ContainerId, EngineError, ErrorKind, ImageView, Platform, PullEvent, RegistryAuth, Resolved,
};

/// A pull that says nothing for so long is broken: the engine reports progress several times a second.
const PULL_SILENCE: Duration = Duration::from_secs(300);

/// Largest file that [`Docker::read_image_files`] returns, in bytes.
const MAX_FILE: usize = 1 << 20;

impl Docker {
    /// Asks the image's registry, through the engine, what `reference` is right now.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`], [`ErrorKind::NotFound`] and what any call may give.
    pub async fn resolve(
        &self,
        reference: &str,
        auth: &RegistryAuth,
    ) -> Result<Resolved, EngineError> {
        let operation = format!("resolve image `{reference}`");
        let call = self
            .client
            .inspect_registry_image(reference, convert::credentials(auth));
        let found = self
            .call_mapped(&operation, REGISTRY, errors::registry_kind, call)
            .await?;
        let Some(digest) = found.descriptor.digest.filter(|digest| !digest.is_empty()) else {
            let message = "no digest".to_owned();
            return Err(EngineError::new(operation, ErrorKind::Garbled { message }));
        };
        let platforms = found.platforms.into_iter().filter_map(platform).collect();
        Ok(Resolved { digest, platforms })
    }

    /// Pulls `by_digest` (`registry/repository@sha256:…`) for `platform`, handing every message to `progress`.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`], [`ErrorKind::NotFound`], [`ErrorKind::BadPlatform`];
    /// [`ErrorKind::Timeout`] after `limit`, or when the engine falls silent.
    pub async fn pull(
        &self,
        by_digest: &str,
        platform: &Platform,
        auth: &RegistryAuth,
        limit: Duration,
        progress: &mut (dyn FnMut(PullEvent) + Send),
    ) -> Result<(), EngineError> {
        let operation = format!("pull image `{by_digest}`");
        let options = CreateImageOptionsBuilder::new()
            .from_image(by_digest)
            .platform(&platform.to_string())
            .build();
        let stream = self
            .client
            .create_image(Some(options), None, convert::credentials(auth));
        match tokio::time::timeout(limit, self.drain_pull(stream, progress)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ErrorKind::BadPlatform { found, .. })) => {
                let wanted = platform.to_string();
                let kind = ErrorKind::BadPlatform { wanted, found };
                Err(EngineError::new(operation, kind))
            }
            Ok(Err(kind)) => Err(EngineError::new(operation, kind)),
            Err(_) => Err(EngineError::new(operation, ErrorKind::Timeout { limit })),
        }
    }

    async fn drain_pull(
        &self,
        stream: impl Stream<Item = Result<CreateImageInfo, bollard::errors::Error>>,
        progress: &mut (dyn FnMut(PullEvent) + Send),
    ) -> Result<(), ErrorKind> {
        let limit = PULL_SILENCE;
        let mut stream = std::pin::pin!(stream);
        loop {
            let Ok(item) = tokio::time::timeout(limit, stream.next()).await else {
                return Err(ErrorKind::Timeout { limit });
            };
            match item {
                None => return Ok(()),
                Some(Ok(message)) => progress(event(message)),
                Some(Err(error)) => return Err(errors::registry_kind(error, &self.host, limit)),
            }
        }
    }

    /// Facts of a local image.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it was not pulled.
    pub async fn image(&self, reference: &str) -> Result<ImageView, EngineError> {
        let operation = format!("inspect image `{reference}`");
        let call = self.client.inspect_image(reference);
        let found = self.call(&operation, SHORT, call).await?;
        let config = found.config.unwrap_or_default();
        Ok(ImageView {
            id: found.id.unwrap_or_default(),
            repo_digests: found.repo_digests.unwrap_or_default(),
            platform: Platform {
                os: found.os.unwrap_or_default(),
                architecture: found.architecture.unwrap_or_default(),
            },
            user: config.user.unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            volumes: config.volumes.unwrap_or_default(),
            size: found.size.and_then(|n| n.try_into().ok()).unwrap_or(0),
        })
    }

    /// Reads files of a local image without running anything of it. Paths that are missing, no regular files
    /// or larger than 1 MiB are absent from the answer.
    ///
    /// The engine has no call for this, so a container is made, never started, and removed. It carries
    /// `labels`, so that one left by a crash can be recognised.
    ///
    /// # Errors
    /// What create may give; reading errors other than "not found" too.
    pub async fn read_image_files(
        &self,
        image: &str,
        paths: &[&str],
        labels: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Vec<u8>>, EngineError> {
        let operation = format!("read files of image `{image}`");
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec!["/never-started".to_owned()]),
            cmd: Some(Vec::new()),
            network_disabled: Some(true),
            labels: Some(labels.clone().into_iter().collect()),
            ..ContainerCreateBody::default()
        };
        let options = None::<bollard::query_parameters::CreateContainerOptions>;
        let call = self.client.create_container(options, body);
        let made = ContainerId(self.call(&operation, LONG, call).await?.id);
        let files = self.read_files(&operation, &made, paths).await;
        self.remove(&made).await?;
        files
    }

    async fn read_files(
        &self,
        operation: &str,
        container: &ContainerId,
        paths: &[&str],
    ) -> Result<BTreeMap<String, Vec<u8>>, EngineError> {
        let mut files = BTreeMap::new();
        for path in paths {
            let read = tokio::time::timeout(SHORT, self.read_file(container, path)).await;
            match read {
                Ok(Ok(Some(bytes))) => {
                    files.insert((*path).to_owned(), bytes);
                }
                Ok(Ok(None) | Err(ErrorKind::NotFound { .. })) => {}
                Ok(Err(kind)) => return Err(EngineError::new(operation, kind)),
                Err(_) => {
                    let kind = ErrorKind::Timeout { limit: SHORT };
                    return Err(EngineError::new(operation, kind));
                }
            }
        }
        Ok(files)
    }

    async fn read_file(
        &self,
        container: &ContainerId,
        path: &str,
    ) -> Result<Option<Vec<u8>>, ErrorKind> {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(path)
            .build();
        let stream = self
            .client
            .download_from_container(container.as_str(), Some(options));
        let mut stream = std::pin::pin!(stream);
        let mut archive = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| errors::kind(error, &self.host, SHORT))?;
            archive.extend_from_slice(&chunk);
            if archive.len() > MAX_FILE + 4096 {
                return Ok(None);
            }
        }
        Ok(single_file(&archive))
    }
}

/// Content of the first entry of a tar archive, if that is a regular file.
fn single_file(archive: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut archive = tar::Archive::new(archive);
    let mut entry = archive.entries().ok()?.next()?.ok()?;
    if !entry.header().entry_type().is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn platform(found: OciPlatform) -> Option<Platform> {
    let (os, architecture) = (found.os?, found.architecture?);
    // Attestations stand in an index under this name; they are no images.
    (os != "unknown" && !os.is_empty()).then_some(Platform { os, architecture })
}

fn event(message: CreateImageInfo) -> PullEvent {
    let detail = message.progress_detail.unwrap_or_default();
    let bytes = |n: Option<i64>| n.and_then(|n| n.try_into().ok()).unwrap_or(0);
    PullEvent {
        layer: message.id.unwrap_or_default(),
        status: message.status.unwrap_or_default(),
        current: bytes(detail.current),
        total: bytes(detail.total),
    }
}
