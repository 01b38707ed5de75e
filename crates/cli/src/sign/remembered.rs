//! The document that was signed last for a stack, so that the next one shows only what changed.
//!
//! Takes and gives documents, which hold no secret; a file each, for their owner only. Never: a difference shown
//! against something that could not be read.

use std::path::PathBuf;

use anyhow::Context as _;
use gantry_protocol::signature::RunDocument;

use crate::files;

/// Where one stack's document is kept; nowhere without a home directory.
pub struct Remembered(Option<PathBuf>);

impl Remembered {
    pub fn of(data: Option<PathBuf>, server: &str, stack: &str) -> Self {
        let safe = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            text.chars()
                .map(|c| if plain(c) { c } else { '_' })
                .collect::<String>()
        };
        let place = |dir: PathBuf| {
            dir.join("signed")
                .join(safe(server))
                .join(format!("{}.json", safe(stack)))
        };
        Self(data.map(place))
    }

    /// The last one; one of another version counts as none.
    pub fn load(&self) -> anyhow::Result<Option<RunDocument>> {
        let Some(path) = &self.0 else {
            return Ok(None);
        };
        match std::fs::read(path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        }
    }

    /// Keeps it for the next time.
    pub fn store(&self, document: &RunDocument) -> anyhow::Result<()> {
        let Some((path, dir)) = self
            .0
            .as_ref()
            .and_then(|path| Some((path, path.parent()?)))
        else {
            return Ok(());
        };
        files::private_dir(dir)?;
        let text =
            serde_json::to_vec_pretty(document).context("cannot write a document as JSON")?;
        files::replace(path, &text)
    }
}
