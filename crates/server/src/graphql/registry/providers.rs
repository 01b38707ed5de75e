//! Terraform providers and the keys that sign them.
//!
//! See [`super`]: there are none.

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};

use crate::graphql::context::manage;
use crate::graphql::mutation::previews::StringMap;

/// What is said of every change of a provider.
const NOT_KEPT: &str = "the registry of providers";

/// A key that signs providers.
#[derive(SimpleObject)]
#[graphql(name = "GPGKey")]
pub(in crate::graphql) struct GpgKey {
    id: ID,
    created_at: i64,
    created_by: String,
    description: Option<String>,
    name: String,
    revoked_at: Option<i64>,
    revoked_by: Option<String>,
    updated_at: i64,
}

/// A provider.
#[derive(SimpleObject)]
pub(in crate::graphql) struct TerraformProvider {
    versions: Vec<TerraformProviderVersion>,
}

/// A version of a provider.
#[derive(SimpleObject)]
pub(in crate::graphql) struct TerraformProviderVersion {
    id: ID,
    created_at: i64,
    description: Option<String>,
    number: String,
    platforms: Vec<TerraformProviderVersionPlatform>,
    protocol_versions: Vec<String>,
    status: String,
    updated_at: i64,
}

/// What a version runs on.
#[derive(SimpleObject)]
struct TerraformProviderVersionPlatform {
    architecture: String,
    os: String,
}

/// A version to make.
#[derive(InputObject)]
pub(in crate::graphql) struct TerraformProviderVersionInput {
    number: String,
    protocol_versions: Vec<String>,
    #[graphql(name = "shaSumsFileSHA")]
    sha_sums_file_sha: String,
    #[graphql(name = "signatureFileSHA")]
    signature_file_sha: String,
    signing_key_id: ID,
}

/// A platform to add.
#[derive(InputObject)]
pub(in crate::graphql) struct TerraformProviderVersionPlatformInput {
    architecture: String,
    archive_checksum: String,
    binary_checksum: String,
    os: String,
}

/// Where the files of a version go.
#[derive(SimpleObject)]
pub(in crate::graphql) struct TerraformProviderVersionCreateResult {
    #[graphql(name = "sha256SumsUploadURL")]
    sums_url: String,
    #[graphql(name = "sha256SumsUploadHeaders")]
    sums_headers: StringMap,
    #[graphql(name = "sha256SumsSigUploadURL")]
    signature_url: String,
    #[graphql(name = "sha256SumsSigUploadHeaders")]
    signature_headers: StringMap,
    version: TerraformProviderVersion,
}

/// Where the archive of a platform goes.
#[derive(SimpleObject)]
pub(in crate::graphql) struct TerraformProviderVersionRegisterPlatformResult {
    upload_url: String,
    upload_headers: StringMap,
}

#[derive(Default)]
pub(in crate::graphql) struct ProviderMutation;

/// None of these is offered: there is no registry of providers.
#[Object]
impl ProviderMutation {
    async fn gpg_key_create(
        &self,
        ctx: &Context<'_>,
        name: String,
        ascii_armor: String,
    ) -> Result<GpgKey, Error> {
        drop((name, ascii_armor));
        refused(ctx)
    }

    async fn gpg_key_revoke(&self, ctx: &Context<'_>, id: ID) -> Result<GpgKey, Error> {
        drop(id);
        refused(ctx)
    }

    async fn terraform_provider_version_create(
        &self,
        ctx: &Context<'_>,
        provider: ID,
        input: TerraformProviderVersionInput,
    ) -> Result<TerraformProviderVersionCreateResult, Error> {
        let files = (input.sha_sums_file_sha, input.signature_file_sha);
        drop((provider, input.number, input.protocol_versions, files));
        drop(input.signing_key_id);
        refused(ctx)
    }

    async fn terraform_provider_version_register_platform(
        &self,
        ctx: &Context<'_>,
        version: ID,
        input: TerraformProviderVersionPlatformInput,
    ) -> Result<String, Error> {
        drop((version, input.os, input.architecture));
        drop((input.archive_checksum, input.binary_checksum));
        refused(ctx)
    }

    #[graphql(name = "terraformProviderVersionRegisterPlatformV2")]
    async fn terraform_provider_version_register_platform_v2(
        &self,
        ctx: &Context<'_>,
        version: ID,
        input: TerraformProviderVersionPlatformInput,
    ) -> Result<TerraformProviderVersionRegisterPlatformResult, Error> {
        drop((version, input.os, input.architecture));
        drop((input.archive_checksum, input.binary_checksum));
        refused(ctx)
    }

    async fn terraform_provider_version_update(
        &self,
        ctx: &Context<'_>,
        version: ID,
        description: String,
    ) -> Result<TerraformProviderVersion, Error> {
        drop((version, description));
        refused(ctx)
    }

    async fn terraform_provider_version_publish(
        &self,
        ctx: &Context<'_>,
        version: ID,
    ) -> Result<TerraformProviderVersion, Error> {
        drop(version);
        refused(ctx)
    }

    async fn terraform_provider_version_revoke(
        &self,
        ctx: &Context<'_>,
        version: ID,
    ) -> Result<TerraformProviderVersion, Error> {
        drop(version);
        refused(ctx)
    }

    async fn terraform_provider_version_delete(
        &self,
        ctx: &Context<'_>,
        version: ID,
    ) -> Result<Option<TerraformProviderVersion>, Error> {
        drop(version);
        refused(ctx)
    }

    async fn terraform_provider_version_upload_docs(
        &self,
        ctx: &Context<'_>,
        version: ID,
        archive: String,
    ) -> Result<TerraformProviderVersion, Error> {
        drop((version, archive));
        refused(ctx)
    }
}

fn refused<T>(ctx: &Context<'_>) -> Result<T, Error> {
    manage(ctx)?;
    Err(super::not_kept(NOT_KEPT))
}
