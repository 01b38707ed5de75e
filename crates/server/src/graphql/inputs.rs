//! Inputs of mutations, and their way to checked values.
//!
//! Takes what clients send, gives settings or the name of the field that can't be taken.

use async_graphql::{Error, ID, InputObject, OneofObject};
use gantry_protocol::Secret;
use gantry_protocol::payload::ToolKind;

use super::contexts::HooksInput;
use super::enums::ConfigType;
use super::vendor::TerraformWorkflowTool;
use crate::domain::Approval;
use crate::domain::stack::{Code, StackSettings, Vendor};
use crate::operations::{self, OperationError};

/// Settings of a stack.
#[derive(Debug, InputObject)]
pub(super) struct StackInput {
    name: String,
    /// Clone URL.
    repository: String,
    /// The part of the repository's name before its own; taken from the URL when it is left out.
    namespace: Option<String>,
    branch: String,
    project_root: Option<String>,
    runner_image: Option<String>,
    worker_pool: Option<ID>,
    autodeploy: Option<bool>,
    labels: Option<Vec<String>>,
    description: Option<String>,
    space: Option<ID>,
    administrative: Option<bool>,
    local_preview_enabled: Option<bool>,
    vendor_config: Option<VendorConfigInput>,
    #[graphql(flatten)]
    hooks: HooksInput,
}

/// The tool of a stack.
#[derive(Debug, OneofObject)]
pub(super) enum VendorConfigInput {
    /// Terraform, or OpenTofu in its place.
    Terraform(TerraformInput),
    /// OpenTofu.
    OpenTofu(OpenTofuInput),
}

/// A Terraform stack.
#[derive(Debug, InputObject)]
pub(super) struct TerraformInput {
    version: Option<String>,
    workflow_tool: Option<TerraformWorkflowTool>,
}

/// An OpenTofu stack.
#[derive(Debug, InputObject)]
pub(super) struct OpenTofuInput {
    version: Option<String>,
}

/// A variable or file of a stack.
#[derive(InputObject)]
pub(super) struct ConfigInput {
    /// Name of the variable, or path of the file below `/mnt/workspace`.
    id: ID,
    r#type: ConfigType,
    /// The value; of a file in standard base64.
    value: String,
    write_only: bool,
    /// What it is for.
    description: Option<String>,
}

/// A variable for one run, over the stack's. Its value never comes back.
#[derive(InputObject)]
pub(super) struct EnvironmentVariable {
    pub(super) key: String,
    pub(super) value: String,
}

/// Settings of a run that override the stack's.
#[derive(Debug, InputObject)]
pub(super) struct RuntimeConfigInput {
    yaml: Option<String>,
}

impl RuntimeConfigInput {
    /// The text, if it says anything.
    pub(super) fn yaml(&self) -> Option<&str> {
        self.yaml.as_deref().filter(|yaml| !yaml.trim().is_empty())
    }
}

impl ConfigInput {
    /// The value, out of the input's own text.
    pub(super) fn take_value(&mut self) -> Secret {
        Secret::new(std::mem::take(&mut self.value))
    }

    /// The input with this value, which was taken out before.
    pub(super) fn with(&self, value: Secret) -> operations::ConfigInput<'_> {
        operations::ConfigInput {
            id: &self.id,
            kind: self.r#type.into(),
            value,
            write_only: self.write_only,
            description: self.description.as_deref(),
        }
    }
}

impl StackInput {
    /// The settings, with defaults for what was left out; `space` is the one to be in unless another is named.
    pub(super) fn settings(self, space: String) -> Result<StackSettings, Error> {
        let (from_url, repository) = name_in(&self.repository);
        let pool = self
            .worker_pool
            .map(|id| id.parse().map_err(OperationError::from));
        let approval = match self.autodeploy {
            Some(true) => Approval::Automatic,
            Some(false) | None => Approval::Person,
        };
        Ok(StackSettings {
            name: self.name,
            description: self.description,
            space: self.space.map_or(space, |id| id.to_string()),
            labels: self.labels.unwrap_or_default(),
            code: Code {
                namespace: self.namespace.unwrap_or(from_url),
                repository,
                url: self.repository,
                branch: self.branch,
                project_root: self
                    .project_root
                    .map(|root| root.trim_matches('/').to_owned())
                    .filter(|root| root != ".")
                    .unwrap_or_default(),
            },
            runner_image: self.runner_image.filter(|image| !image.is_empty()),
            vendor: self
                .vendor_config
                .map_or(Ok(DEFAULT_VENDOR), VendorConfigInput::vendor)?,
            pool: pool.transpose()?,
            approval,
            hooks: self.hooks.into(),
            administrative: self.administrative.unwrap_or(false),
            local_preview: self.local_preview_enabled.unwrap_or(false),
        })
    }
}

/// What a stack gets that names no tool, as in the API that this one follows.
const DEFAULT_VENDOR: Vendor = Vendor::Terraform {
    version: None,
    workflow: ToolKind::Terraform,
};

impl VendorConfigInput {
    fn vendor(self) -> Result<Vendor, Error> {
        match self {
            Self::OpenTofu(input) => Ok(Vendor::OpenTofu {
                version: checked(input.version)?,
            }),
            Self::Terraform(input) => {
                let version = checked(input.version)?;
                let workflow = match input.workflow_tool {
                    None | Some(TerraformWorkflowTool::TerraformFoss) => ToolKind::Terraform,
                    Some(TerraformWorkflowTool::OpenTofu) => ToolKind::OpenTofu,
                    Some(TerraformWorkflowTool::Custom) => {
                        return Err(OperationError::Unsupported("the workflow tool CUSTOM").into());
                    }
                };
                Ok(Vendor::Terraform { version, workflow })
            }
        }
    }
}

fn checked(version: Option<String>) -> Result<Option<String>, Error> {
    let Some(version) = version.filter(|version| !version.is_empty()) else {
        return Ok(None);
    };
    let plain = version
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-+~><=, ".contains(&b));
    if plain && version.len() <= 64 {
        return Ok(Some(version));
    }
    Err(OperationError::input("version", &version, "expected a version such as `1.9.5`").into())
}

/// The namespace and name that a clone URL ends with.
fn name_in(url: &str) -> (String, String) {
    let path = url.trim_end_matches('/').trim_end_matches(".git");
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => path.split_once(':').map_or("", |(_, path)| path),
    };
    match path.trim_matches('/').rsplit_once('/') {
        Some((before, name)) => {
            let namespace = before.rsplit('/').next().unwrap_or("");
            (namespace.to_owned(), name.to_owned())
        }
        None => (String::new(), path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::name_in;

    #[test]
    fn names_come_from_urls() {
        for (url, namespace, name) in [
            ("https://git.example/acme/net.git", "acme", "net"),
            ("https://git.example/net", "", "net"),
            ("git@git.example:acme/team/net.git/", "team", "net"),
            ("ssh://git@git.example:22/acme/net", "acme", "net"),
            ("file:///srv/repos/demo", "repos", "demo"),
            ("https://git.example", "", ""),
        ] {
            assert_eq!(
                name_in(url),
                (namespace.to_owned(), name.to_owned()),
                "{url}"
            );
        }
    }
}
