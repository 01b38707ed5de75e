//! The tool of a stack in the API: one union with the names that clients spell out.
//!
//! Terraform and OpenTofu have values here; the others stand for the operations that name them.

use async_graphql::{Enum, SimpleObject, Union};
use gantry_protocol::payload::ToolKind;

use crate::domain::stack::Vendor;

/// The tool of a stack.
#[derive(Union)]
pub(super) enum VendorConfig {
    Ansible(StackConfigVendorAnsible),
    CloudFormation(StackConfigVendorCloudFormation),
    Kubernetes(StackConfigVendorKubernetes),
    OpenTofu(StackConfigVendorOpenTofu),
    Pulumi(StackConfigVendorPulumi),
    Terraform(StackConfigVendorTerraform),
    Terragrunt(StackConfigVendorTerragrunt),
}

#[derive(SimpleObject)]
pub(super) struct StackConfigVendorAnsible {
    playbook: String,
}

#[derive(SimpleObject)]
pub(super) struct StackConfigVendorCloudFormation {
    entry_template_file: String,
    template_bucket: String,
    stack_name: String,
    region: String,
}

#[derive(SimpleObject)]
pub(super) struct StackConfigVendorKubernetes {
    namespace: String,
    kubectl_version: Option<String>,
    kubernetes_workflow_tool: KubernetesWorkflowTool,
}

#[derive(SimpleObject)]
pub(super) struct StackConfigVendorOpenTofu {
    version: Option<String>,
    workspace: Option<String>,
    use_smart_sanitization: bool,
    external_state_access_enabled: bool,
    concise: bool,
    workflow_tool: OpenTofuWorkflowTool,
}

#[derive(SimpleObject)]
pub(super) struct StackConfigVendorPulumi {
    #[graphql(name = "loginURL")]
    login_url: String,
    stack_name: String,
}

#[derive(SimpleObject)]
pub(super) struct StackConfigVendorTerraform {
    version: Option<String>,
    workspace: Option<String>,
    use_smart_sanitization: bool,
    external_state_access_enabled: bool,
    workflow_tool: TerraformWorkflowTool,
}

#[derive(SimpleObject)]
pub(super) struct StackConfigVendorTerragrunt {
    terraform_version: String,
    terragrunt_version: String,
    use_run_all: bool,
    use_smart_sanitization: bool,
    tool: TerragruntTool,
    use_state_management: bool,
}

/// Which executable does a Terraform stack's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum TerraformWorkflowTool {
    /// HashiCorp Terraform.
    TerraformFoss,
    /// OpenTofu.
    OpenTofu,
    /// One of the image's own.
    Custom,
}

/// Which executable does an OpenTofu stack's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum OpenTofuWorkflowTool {
    OpenTofu,
    Custom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum KubernetesWorkflowTool {
    Kubernetes,
    Custom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum TerragruntTool {
    TerraformFoss,
    OpenTofu,
    ManuallyProvisioned,
}

impl From<Vendor> for VendorConfig {
    fn from(vendor: Vendor) -> Self {
        match vendor {
            Vendor::Terraform { version, workflow } => {
                Self::Terraform(StackConfigVendorTerraform {
                    version,
                    workspace: None,
                    use_smart_sanitization: false,
                    external_state_access_enabled: false,
                    workflow_tool: match workflow {
                        ToolKind::Terraform => TerraformWorkflowTool::TerraformFoss,
                        ToolKind::OpenTofu => TerraformWorkflowTool::OpenTofu,
                    },
                })
            }
            Vendor::OpenTofu { version } => Self::OpenTofu(StackConfigVendorOpenTofu {
                version,
                workspace: None,
                use_smart_sanitization: false,
                external_state_access_enabled: false,
                concise: false,
                workflow_tool: OpenTofuWorkflowTool::OpenTofu,
            }),
        }
    }
}
