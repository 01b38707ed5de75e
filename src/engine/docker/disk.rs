//! What a container writes to the engine's own disk.
//!
//! Takes a container, gives places and sizes. Never: a size that the engine was not asked for just now.

use std::path::PathBuf;

use bollard::query_parameters::InspectContainerOptionsBuilder;

use super::{Docker, LONG, SHORT};
use crate::engine::{ContainerDisk, ContainerId, EngineError};

impl Docker {
    /// Where a container writes besides the mounts that it was given.
    ///
    /// # Errors
    /// What any call may give.
    pub async fn disk_of(&self, id: &ContainerId) -> Result<ContainerDisk, EngineError> {
        let options = None::<bollard::query_parameters::InspectContainerOptions>;
        let operation = format!("inspect container `{id}`");
        let call = self.client.inspect_container(id.as_str(), options);
        let found = self.call(&operation, SHORT, call).await?;
        let host = found.host_config.unwrap_or_default();
        let mounts = found.mounts.unwrap_or_default().into_iter();
        let volumes = mounts.filter(|mount| mount.typ.as_deref() == Some("volume"));
        Ok(ContainerDisk {
            writable_root: !host.readonly_rootfs.unwrap_or(false),
            volumes: volumes
                .filter_map(|mount| mount.source)
                .map(PathBuf::from)
                .collect(),
        })
    }

    /// Bytes that a container has written to its root; the engine walks them, so not to be asked often.
    ///
    /// # Errors
    /// What any call may give.
    pub async fn root_bytes(&self, id: &ContainerId) -> Result<u64, EngineError> {
        let options = InspectContainerOptionsBuilder::new().size(true).build();
        let operation = format!("measure container `{id}`");
        let call = self.client.inspect_container(id.as_str(), Some(options));
        let found = self.call(&operation, LONG, call).await?;
        Ok(found.size_rw.and_then(|n| n.try_into().ok()).unwrap_or(0))
    }
}
