//! The variables, files and hooks of a run: computed ones, those of contexts, the stack's own, the run's own.
//!
//! Takes a run as recorded, reads what stands at the stack and at its contexts in this moment, opens
//! write-only values. The stronger comes later, and of a name the last one counts. Never: a value in a log.

use gantry_protocol::payload::{Hooks, MountedFile, Variable};
use gantry_protocol::{Secret, StackId};

use super::payload::PayloadError;
use crate::domain::{ContextAttachment, ContextId, expand, joined_hooks};
use crate::store::runs::RunRecord;
use crate::store::stack_config::{self, ConfigElement, ConfigKind, StoredValue};
use crate::store::stacks::Stack;
use crate::store::{Conn, StoreError, contexts, run_overrides};
use crate::vault::Vault;

/// Where a run's workspace stands in its container.
const WORKSPACE_ROOT: &str = "/mnt/workspace";

/// What surrounds a run.
pub(super) struct Surroundings {
    /// In the order in which they are set.
    pub(super) environment: Vec<Variable>,
    /// At most one of a path.
    pub(super) files: Vec<MountedFile>,
    /// Those of contexts around the run's own.
    pub(super) hooks: Hooks,
}

/// Whose elements are being opened.
enum Owner<'a> {
    Stack(&'a StackId),
    Context(&'a ContextId),
}

impl Surroundings {
    /// Those of a run of `stack` now.
    pub(super) async fn of(
        conn: &mut Conn,
        vault: &Vault,
        (record, stack): (&RunRecord, &Stack),
        account: &str,
    ) -> Result<Result<Self, PayloadError>, StoreError> {
        let attached = contexts::attached(conn, stack).await?;
        let mut found = Self {
            environment: computed(record, account),
            files: Vec::new(),
            hooks: Hooks::default(),
        };
        // The weakest first.
        for (context, _) in attached.iter().rev() {
            let elements = contexts::config(conn, &context.id).await?;
            if let Err(error) = found.take(vault, &Owner::Context(&context.id), elements) {
                return Ok(Err(error));
            }
        }
        let own = stack_config::list(conn, &stack.id).await?;
        if let Err(error) = found.take(vault, &Owner::Stack(&stack.id), own) {
            return Ok(Err(error));
        }
        if let Err(error) = found.override_for(conn, vault, record).await? {
            return Ok(Err(error));
        }
        let hooks = attached.into_iter();
        found.finish(record, hooks.map(|(context, how)| (how, context.hooks)));
        Ok(Ok(found))
    }

    fn finish(
        &mut self,
        record: &RunRecord,
        hooks: impl Iterator<Item = (ContextAttachment, Hooks)>,
    ) {
        let of_run = record.settings.environment.iter();
        self.environment
            .extend(of_run.map(|(name, value)| Variable {
                name: name.clone(),
                value: Secret::new(value.clone()),
                secret: false,
            }));
        self.hooks = joined_hooks(hooks.collect(), record.settings.hooks.clone());
        self.environment = expand(std::mem::take(&mut self.environment));
    }

    /// Variables that were given for this run alone: the strongest of all.
    async fn override_for(
        &mut self,
        conn: &mut Conn,
        vault: &Vault,
        record: &RunRecord,
    ) -> Result<Result<(), PayloadError>, StoreError> {
        let run = record.run.id;
        for (name, sealed) in run_overrides::list(conn, run).await? {
            let purpose = run_overrides::sealing_purpose(run, &name);
            let value = match vault.open_text(&purpose, &sealed) {
                Ok(value) => value,
                Err(source) => {
                    let stack = record.run.stack.clone();
                    return Ok(Err(PayloadError::Config {
                        stack,
                        name,
                        source,
                    }));
                }
            };
            let secret = true;
            self.environment.push(Variable {
                name,
                value,
                secret,
            });
        }
        Ok(Ok(()))
    }

    fn take(
        &mut self,
        vault: &Vault,
        owner: &Owner<'_>,
        elements: Vec<ConfigElement>,
    ) -> Result<(), PayloadError> {
        for element in elements {
            let (value, secret) = owner.opened(vault, &element)?;
            match element.kind {
                ConfigKind::Variable => self.environment.push(Variable {
                    name: element.id,
                    value,
                    secret,
                }),
                ConfigKind::File => {
                    self.files.retain(|file| file.path != element.id);
                    self.files.push(MountedFile {
                        path: element.id,
                        content: value,
                        secret,
                    });
                }
            }
        }
        Ok(())
    }
}

impl Owner<'_> {
    fn opened(
        &self,
        vault: &Vault,
        element: &ConfigElement,
    ) -> Result<(Secret, bool), PayloadError> {
        let sealed = match &element.value {
            StoredValue::Plain(text) => return Ok((Secret::new(text.clone()), false)),
            StoredValue::Sealed(sealed) => sealed,
        };
        let name = element.id.clone();
        let value = match self {
            Self::Stack(stack) => {
                let purpose = stack_config::sealing_purpose(stack, &name);
                let opened = vault.open_text(&purpose, sealed);
                opened.map_err(|source| PayloadError::Config {
                    stack: (*stack).clone(),
                    name,
                    source,
                })
            }
            Self::Context(context) => {
                let purpose = contexts::sealing_purpose(context, &name);
                let opened = vault.open_text(&purpose, sealed);
                opened.map_err(|source| PayloadError::ContextConfig {
                    context: (*context).clone(),
                    name,
                    source,
                })
            }
        };
        Ok((value?, true))
    }
}

/// Names of the documented variables that every run gets, after `TF_VAR_spacelift_`.
pub const COMPUTED: [&str; 15] = [
    "account_name",
    "commit_branch",
    "commit_sha",
    "local_preview",
    "project_root",
    "repository",
    "run_id",
    "run_trigger",
    "run_type",
    "space_id",
    "stack_branch",
    "stack_id",
    "stack_labels",
    "stack_labels_list",
    "workspace_root",
];

/// The documented variables that are known before the run starts. The worker adds those that change with
/// its phases; a stack's own variable of the same name comes later and wins.
fn computed(record: &RunRecord, account: &str) -> Vec<Variable> {
    let settings = &record.settings;
    let labels = serde_json::to_string(&settings.labels).expect("invariant: texts serialise");
    let values: [(&str, String); COMPUTED.len()] = [
        ("account_name", account.to_owned()),
        ("commit_branch", record.commit.branch.clone()),
        ("commit_sha", record.commit.hash.clone()),
        ("local_preview", settings.archive.is_some().to_string()),
        ("project_root", settings.project_root.clone()),
        ("repository", settings.repository.clone()),
        ("run_id", record.run.id.to_string()),
        (
            "run_trigger",
            record
                .triggered_by
                .clone()
                .unwrap_or_else(|| "commit".to_owned()),
        ),
        ("run_type", record.run.run_type.to_string()),
        ("space_id", settings.space.clone()),
        ("stack_branch", settings.stack_branch.clone()),
        ("stack_id", record.run.stack.to_string()),
        ("stack_labels", settings.labels.join(",")),
        ("stack_labels_list", labels),
        ("workspace_root", WORKSPACE_ROOT.to_owned()),
    ];
    let variable = |(name, value): (&str, String)| Variable {
        name: format!("TF_VAR_spacelift_{name}"),
        value: Secret::new(value),
        secret: false,
    };
    values.into_iter().map(variable).collect()
}
