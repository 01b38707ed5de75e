//! Previews of files that a person has not pushed.
//!
//! Takes an upload and a wish, gives a proposed run of these files in place of the commit's. Never: a run that may
//! apply, a value of a variable that comes back, or files used twice.

use gantry_protocol::crypto::random_text;
use gantry_protocol::{Digest, RunType, StackId};

use super::config::is_variable_name;
use super::trigger::{Beside, check_open};
use super::{Operate, OperationError};
use crate::clock::UnixMillis;
use crate::domain::{MetadataEntry, TaskInit};
use crate::store::local_workspaces::{self, LocalWorkspace};
use crate::store::run_overrides::sealing_purpose;
use crate::store::runs::RunRecord;
use crate::store::stacks::Stack;
use crate::uploads;

/// An upload may begin for this long, in milliseconds.
const LIFETIME: i64 = 15 * 60_000;

/// Uploads of a stack that no run was made of.
const WAITING: u32 = 20;

/// Variables of one run.
const OVERRIDES: usize = 200;

/// Longest value of one, in bytes.
const VALUE_LIMIT: usize = 64 * 1024;

/// Where to send files.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The workspace's id.
    pub id: String,
    /// Takes one `PUT` of the raw archive. Whoever knows it may send.
    pub url: String,
}

/// A wish for a preview of uploaded files.
pub struct PreviewRequest<'a> {
    /// The stack.
    pub stack: &'a str,
    /// What was uploaded.
    pub workspace: &'a str,
    /// Variables over the stack's: name and value.
    pub overrides: Vec<(String, gantry_protocol::Secret)>,
    /// An entry for the run's metadata.
    pub metadata: Option<&'a MetadataEntry>,
}

impl Operate {
    /// Makes a place for one upload.
    pub async fn open_upload(&self, stack: &str) -> Result<Upload, OperationError> {
        let stack = self.previewed(stack).await?;
        let permission = random_text();
        let now = UnixMillis::now();
        let workspace = LocalWorkspace {
            id: self.app.store.new_id().to_string(),
            stack: stack.id.clone(),
            permission: Digest::of(permission.expose().as_bytes()),
            upload_until: now.plus(LIFETIME),
            archive: None,
            run: None,
        };
        let mut tx = self.app.store.begin().await?;
        let count = local_workspaces::waiting(&mut tx, &stack.id).await?;
        if count >= WAITING {
            let stack = stack.id.to_string();
            return Err(OperationError::ManyUploads { stack, count });
        }
        local_workspaces::insert(&mut tx, &workspace, now).await?;
        self.record_hold(&mut tx, "stack.upload", &stack.id).await?;
        self.app.store.commit(tx).await?;
        let url = uploads::url(&self.app.base_url, &workspace.id, &permission);
        Ok(Upload {
            id: workspace.id,
            url,
        })
    }

    /// Makes a proposed run of what was uploaded.
    pub async fn preview(&self, wish: PreviewRequest<'_>) -> Result<RunRecord, OperationError> {
        let stack = self.previewed(wish.stack).await?;
        check_overrides(&wish.overrides)?;
        let missing = || OperationError::no_upload(wish.workspace, &stack.id);
        let found = {
            let mut conn = self.app.store.read().await?;
            local_workspaces::find(&mut conn, wish.workspace).await?
        };
        let found = found.filter(|found| found.stack == stack.id && found.run.is_none());
        let archive = found.and_then(|found| found.archive).ok_or_else(missing)?;
        let commit = self.deployed(&stack).await?;
        let run = self.queued(&stack, RunType::Proposed, TaskInit::Run);
        let mut overrides = Vec::new();
        for (name, value) in wish.overrides {
            let purpose = sealing_purpose(run.id, &name);
            let sealed = self.app.vault.seal(&purpose, value.expose().as_bytes())?;
            overrides.push((name, sealed));
        }
        let title = format!("Local preview of {}", stack.id);
        let new = self.new_run(&stack, run, title, commit, None, wish.metadata)?;
        // Of the commit: what was uploaded is code, and decides nothing else.
        let mut new = self.settled(&stack, new, None).await?;
        new.settings.archive = Some(archive);
        new.overrides = overrides;
        let beside = Beside::Upload(wish.workspace.to_owned());
        self.create_with(new, &beside).await
    }

    async fn previewed(&self, stack: &str) -> Result<Stack, OperationError> {
        let stack = self.stack(stack).await?;
        check_open(&stack)?;
        match stack.settings.local_preview {
            true => Ok(stack),
            false => Err(off(&stack.id)),
        }
    }
}

fn off(stack: &StackId) -> OperationError {
    OperationError::NoLocalPreview {
        stack: stack.to_string(),
    }
}

fn check_overrides(overrides: &[(String, gantry_protocol::Secret)]) -> Result<(), OperationError> {
    const FIELD: &str = "environmentVarsOverrides";
    if overrides.len() > OVERRIDES {
        let count = overrides.len().to_string();
        return Err(OperationError::input(FIELD, &count, "expected at most 200"));
    }
    for (name, value) in overrides {
        if !is_variable_name(name) {
            let rule =
                "the name of a variable has letters, digits and `_`, and begins with no digit";
            return Err(OperationError::input(FIELD, name, rule));
        }
        let value = value.expose();
        if value.len() > VALUE_LIMIT || value.contains(['\n', '\r', '\0']) {
            let rule = "its value has to be one line of at most 64 KiB";
            return Err(OperationError::input(FIELD, name, rule));
        }
    }
    Ok(())
}
