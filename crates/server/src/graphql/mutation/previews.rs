//! Previews of files that a person uploads.

use async_graphql::{Context, Error, ID, Object, SimpleObject};
use gantry_protocol::Secret;

use crate::graphql::context::{metadata, operate};
use crate::graphql::inputs::EnvironmentVariable;
use crate::graphql::run::Run;
use crate::operations::PreviewRequest;

#[derive(Default)]
pub(super) struct PreviewMutation;

/// Where to send files: one `PUT` of the raw archive.
#[derive(SimpleObject)]
struct UploadLocalWorkspace {
    id: ID,
    upload_url: String,
    upload_headers: StringMap,
}

/// Texts by name.
#[derive(SimpleObject)]
pub(in crate::graphql) struct StringMap {
    entries: Vec<StringMapEntry>,
}

/// A text and its name.
#[derive(SimpleObject)]
pub(in crate::graphql) struct StringMapEntry {
    key: String,
    value: String,
}

#[Object]
impl PreviewMutation {
    /// Makes a place for one upload of a gzip'd tar with one directory at its top.
    async fn upload_local_workspace(
        &self,
        ctx: &Context<'_>,
        stack: ID,
    ) -> Result<UploadLocalWorkspace, Error> {
        let upload = operate(ctx)?.open_upload(&stack).await?;
        let entries = Vec::new();
        Ok(UploadLocalWorkspace {
            id: upload.id.into(),
            upload_url: upload.url,
            upload_headers: StringMap { entries },
        })
    }

    /// Makes a proposed run of uploaded files. The values of its variables never come back.
    async fn run_propose_local_workspace(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        workspace: ID,
        environment_vars_overrides: Option<Vec<EnvironmentVariable>>,
    ) -> Result<Run, Error> {
        let overrides = environment_vars_overrides.unwrap_or_default().into_iter();
        let wish = PreviewRequest {
            stack: &stack,
            workspace: &workspace,
            overrides: overrides
                .map(|one| (one.key, Secret::new(one.value)))
                .collect(),
            metadata: metadata(ctx),
        };
        Ok(Run::one(operate(ctx)?.preview(wish).await?))
    }
}
