//! The launcher's own image, which holds nothing.
//!
//! Takes a name, gives an image to the engine or takes it away. Never: content from anywhere else.

use bollard::query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder};
use futures_util::StreamExt;

use super::{Docker, LONG};
use crate::engine::{EngineError, ErrorKind};

impl Docker {
    /// Makes an image of one empty directory under this `name:tag`; where there is one already it is replaced.
    ///
    /// # Errors
    /// What any call may give.
    pub async fn import_empty_image(&self, name: &str) -> Result<(), EngineError> {
        let operation = format!("make the empty image `{name}`");
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(repository)
            .tag(tag)
            .build();
        let body = bollard::body_full(empty_archive().into());
        let stream = self.client.create_image(Some(options), Some(body), None);
        let drain = async {
            let mut stream = std::pin::pin!(stream);
            while let Some(message) = stream.next().await {
                message?;
            }
            Ok(())
        };
        self.call(&operation, LONG, drain).await
    }

    /// Removes an image by name; nothing when it is gone.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] while a container is made from it.
    pub async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        let operation = format!("remove image `{name}`");
        let options = RemoveImageOptionsBuilder::new().build();
        let call = self.client.remove_image(name, Some(options), None);
        match self.call(&operation, LONG, call).await {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn empty_archive() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    let mut archive = tar::Builder::new(Vec::new());
    let in_memory = "invariant: memory takes what is written to it";
    archive
        .append_data(&mut header, "gantry", std::io::empty())
        .expect(in_memory);
    archive.into_inner().expect(in_memory)
}
