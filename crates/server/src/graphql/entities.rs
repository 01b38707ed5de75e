//! Managed things in the API, under the names that clients spell out.
//!
//! Takes what is in a state, gives its fields. Things of Terraform and OpenTofu have values here; the types of other
//! tools stand for the operations that name them.

use async_graphql::{ID, SimpleObject, Union};

use super::run::Run;
use crate::operations::Managed;
use crate::plans::ChangeKind;
use crate::tfstate::{Entity, EntityDetail};

/// One thing that a stack manages.
#[derive(SimpleObject)]
pub(super) struct ManagedEntity {
    /// Its address, or `output.` and its name.
    id: ID,
    address: Option<String>,
    /// The run that made it, where that is the one that wrote the newest state.
    creator: Option<Run>,
    /// Nothing is known of drift.
    drifted: Option<i64>,
    name: String,
    /// Id of its module; nothing in the root.
    parent: Option<String>,
    third_party_metadata: Option<String>,
    /// A resource's type, `module` or `output`.
    r#type: String,
    /// The run that made or changed it, where that is the one that wrote the newest state.
    updater: Option<Run>,
    vendor: EntityVendor,
}

#[derive(Union)]
enum EntityVendor {
    Ansible(EntityVendorAnsible),
    CloudFormation(EntityVendorCloudFormation),
    Kubernetes(EntityVendorKubernetes),
    Pulumi(EntityVendorPulumi),
    Terraform(EntityVendorTerraform),
}

#[derive(SimpleObject)]
struct EntityVendorAnsible {
    ansible: AnsibleEntity,
}

#[derive(SimpleObject)]
struct EntityVendorCloudFormation {
    cloud_formation: CloudFormationEntity,
}

#[derive(SimpleObject)]
struct EntityVendorKubernetes {
    kubernetes: KubernetesEntity,
}

#[derive(SimpleObject)]
struct EntityVendorPulumi {
    pulumi: PulumiEntity,
}

#[derive(SimpleObject)]
struct EntityVendorTerraform {
    terraform: TerraformEntity,
}

#[derive(Union)]
enum AnsibleEntity {
    Resource(AnsibleResource),
}

#[derive(Union)]
enum CloudFormationEntity {
    Resource(CloudFormationResource),
    Output(CloudFormationOutput),
}

#[derive(Union)]
enum KubernetesEntity {
    Resource(KubernetesResource),
    Root(KubernetesRoot),
}

#[derive(Union)]
enum PulumiEntity {
    Output(PulumiOutput),
    Stack(PulumiStack),
    Resource(PulumiResource),
}

#[derive(Union)]
enum TerraformEntity {
    Resource(TerraformResource),
    Module(TerraformModule),
    Output(TerraformOutput),
}

#[derive(SimpleObject)]
struct AnsibleResource {
    data: String,
}

#[derive(SimpleObject)]
struct CloudFormationResource {
    logical_resource_id: String,
    physical_resource_id: String,
    template: String,
}

#[derive(SimpleObject)]
struct CloudFormationOutput {
    description: Option<String>,
    export: Option<String>,
    value: String,
}

#[derive(SimpleObject)]
struct KubernetesResource {
    data: String,
}

#[derive(SimpleObject)]
struct KubernetesRoot {
    phantom: bool,
}

#[derive(SimpleObject)]
struct PulumiOutput {
    sensitive: bool,
    value: Option<String>,
    hash: String,
}

#[derive(SimpleObject)]
struct PulumiStack {
    phantom: bool,
}

#[derive(SimpleObject)]
struct PulumiResource {
    urn: String,
    id: String,
    provider: String,
    parent: String,
    outputs: String,
}

/// A resource or a data source.
#[derive(SimpleObject)]
struct TerraformResource {
    address: String,
    /// `managed` or `data`.
    mode: String,
    module: Option<String>,
    provider: String,
    tainted: bool,
    /// JSON: what its plan knew of it, without what is sensitive.
    values: String,
}

#[derive(SimpleObject)]
struct TerraformModule {
    phantom: bool,
}

/// An output of the root module. A sensitive one has neither value nor hash.
#[derive(SimpleObject)]
struct TerraformOutput {
    sensitive: bool,
    /// JSON.
    value: Option<String>,
    hash: String,
}

/// Everything in a state.
pub(super) fn all(managed: Managed) -> Vec<ManagedEntity> {
    let shown = managed.entities.iter().map(|entity| {
        let done = managed.done_to(&entity.address);
        let made = matches!(
            done,
            Some(
                ChangeKind::Add
                    | ChangeKind::AddThenDelete
                    | ChangeKind::DeleteThenAdd
                    | ChangeKind::Import
            )
        );
        let writer = || managed.writer.clone().map(Run::one);
        ManagedEntity {
            id: entity.address.clone().into(),
            address: Some(entity.address.clone()),
            creator: if made { writer() } else { None },
            drifted: None,
            name: entity.name.clone(),
            parent: entity.parent.clone(),
            third_party_metadata: None,
            r#type: entity.kind.clone(),
            updater: done.and_then(|_| writer()),
            vendor: EntityVendor::Terraform(EntityVendorTerraform {
                terraform: detail(entity),
            }),
        }
    });
    shown.collect()
}

fn detail(entity: &Entity) -> TerraformEntity {
    match &entity.detail {
        EntityDetail::Module => TerraformEntity::Module(TerraformModule { phantom: false }),
        EntityDetail::Output { value, hash } => TerraformEntity::Output(TerraformOutput {
            sensitive: value.is_none(),
            value: value.clone(),
            hash: hash.map(|hash| hash.to_string()).unwrap_or_default(),
        }),
        EntityDetail::Resource {
            mode,
            provider,
            tainted,
            values,
        } => TerraformEntity::Resource(TerraformResource {
            address: entity.address.clone(),
            mode: mode.clone(),
            module: entity.parent.clone(),
            provider: provider.clone(),
            tainted: *tainted,
            values: values.clone(),
        }),
    }
}
