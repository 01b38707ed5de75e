//! A stack's variables and files.
//!
//! Takes values, stores them; a write-only one is sealed and never comes back. Never: a checksum from which a
//! write-only value could be guessed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::{Digest, Secret, StackId};
use rand_core::{OsRng, RngCore};

use super::deed::{self, By};
use super::{Operate, OperationError, door};
use crate::clock::UnixMillis;
use crate::store::stack_config::{self, ConfigElement, ConfigKind, StoredValue, sealing_purpose};
use crate::store::{StoreError, Tx};
use crate::vault::Vault;

/// The largest value, in bytes as sent.
const VALUE_LIMIT: usize = 4 * 1024 * 1024;

/// The longest description, in bytes.
const DESCRIPTION_LIMIT: usize = 4 * 1024;

/// A variable or file to set.
#[derive(Clone, Debug)]
pub struct ConfigInput<'a> {
    /// Name of the variable, or path of the file below `/mnt/workspace`.
    pub id: &'a str,
    /// Which of the two.
    pub kind: ConfigKind,
    /// The value; of a file in standard base64.
    pub value: Secret,
    /// Whether it never comes back.
    pub write_only: bool,
    /// What it is for.
    pub description: Option<&'a str>,
}

impl ConfigInput<'_> {
    /// The element as it is stored; a write-only value is sealed for `purpose`.
    pub(super) fn element(
        &self,
        vault: &Vault,
        purpose: &str,
    ) -> Result<ConfigElement, OperationError> {
        check(self)?;
        let value = self.value.expose();
        let value = if self.write_only {
            StoredValue::Sealed(vault.seal(purpose, value.as_bytes())?)
        } else {
            StoredValue::Plain(value.to_owned())
        };
        Ok(ConfigElement {
            id: self.id.to_owned(),
            kind: self.kind,
            value,
            checksum: checksum(self),
            description: self.description.map(ToOwned::to_owned),
            created_at: UnixMillis::now(),
        })
    }
}

impl Operate {
    /// Sets a variable or file, replacing the one of the same id.
    pub async fn set_config(
        &self,
        stack: &str,
        input: ConfigInput<'_>,
    ) -> Result<ConfigElement, OperationError> {
        let stack: StackId = stack.parse()?;
        let element = input.element(&self.app.vault, &sealing_purpose(&stack, input.id))?;
        let mut tx = self.app.store.begin().await?;
        door::stack(&mut tx, &self.principal, stack.as_str()).await?;
        stack_config::set(&mut tx, &stack, &element).await?;
        self.record_config(&mut tx, "stack.config.set", &stack, input.id)
            .await?;
        self.app.store.commit(tx).await?;
        Ok(element)
    }

    /// Removes a variable or file; gives it back, if there was one.
    pub async fn remove_config(
        &self,
        stack: &str,
        id: &str,
    ) -> Result<Option<ConfigElement>, OperationError> {
        let stack: StackId = stack.parse()?;
        let mut tx = self.app.store.begin().await?;
        door::stack(&mut tx, &self.principal, stack.as_str()).await?;
        let removed = stack_config::remove(&mut tx, &stack, id).await?;
        if removed.is_some() {
            self.record_config(&mut tx, "stack.config.delete", &stack, id)
                .await?;
        }
        self.app.store.commit(tx).await?;
        Ok(removed)
    }

    async fn record_config(
        &self,
        tx: &mut Tx,
        action: &'static str,
        stack: &StackId,
        id: &str,
    ) -> Result<(), StoreError> {
        let by = By(&self.app, &self.principal);
        deed::record(by, tx, (action, format!("stack:{stack}")), Some(id)).await
    }
}

fn check(input: &ConfigInput<'_>) -> Result<(), OperationError> {
    let value = input.value.expose();
    if value.len() > VALUE_LIMIT {
        let rule = "its value is longer than 4 MiB";
        return Err(OperationError::input("id", input.id, rule));
    }
    let long = |text: &str| text.len() > DESCRIPTION_LIMIT || text.contains('\0');
    if input.description.is_some_and(long) {
        return Err(OperationError::input(
            "description",
            input.id,
            "its description is longer than 4 KiB",
        ));
    }
    match input.kind {
        ConfigKind::Variable if !is_variable_name(input.id) => {
            let rule =
                "the name of a variable has letters, digits and `_`, and begins with no digit";
            Err(OperationError::input("id", input.id, rule))
        }
        ConfigKind::Variable if value.contains(['\n', '\r', '\0']) => {
            let rule = "the value of a variable is one line; mount a file for more";
            Err(OperationError::input("id", input.id, rule))
        }
        ConfigKind::File if !is_inner_path(input.id) => {
            let rule = "the path of a file is relative to /mnt/workspace and stays inside it";
            Err(OperationError::input("id", input.id, rule))
        }
        ConfigKind::File if STANDARD.decode(value).is_err() => {
            let rule = "the content of a file is sent in standard base64";
            Err(OperationError::input("id", input.id, rule))
        }
        ConfigKind::Variable | ConfigKind::File => Ok(()),
    }
}

pub(super) fn is_variable_name(name: &str) -> bool {
    let starts = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    starts && name.len() <= 256 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_inner_path(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.len() <= 1024 && !path.contains(['\0', '\n', '\\']) && path.split('/').all(plain)
}

/// Of a readable value its SHA-256; of a write-only one with salt that is kept nowhere, so that it only
/// tells that something was set anew.
fn checksum(input: &ConfigInput<'_>) -> String {
    let mut bytes = Vec::new();
    if input.write_only {
        let mut salt = [0; 32];
        OsRng.fill_bytes(&mut salt);
        bytes.extend_from_slice(&salt);
    }
    bytes.extend_from_slice(input.value.expose().as_bytes());
    Digest::of(&bytes).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input<'a>(kind: ConfigKind, id: &'a str, value: &str) -> ConfigInput<'a> {
        ConfigInput {
            id,
            kind,
            value: Secret::new(value),
            write_only: true,
            description: None,
        }
    }

    #[test]
    fn inputs_are_checked_and_values_never_quoted() {
        use ConfigKind::{File, Variable};
        for (kind, id, value) in [
            (Variable, "TF_VAR_x", "1"),
            (Variable, "_a", ""),
            (File, "a/b.json", "e30="),
        ] {
            assert!(check(&input(kind, id, value)).is_ok(), "{id}");
        }
        for (kind, id, value) in [
            (Variable, "1A", "hunter2"),
            (Variable, "A B", "hunter2"),
            (Variable, "", "hunter2"),
            (Variable, "A", "hunter2\n"),
            (File, "/etc/passwd", ""),
            (File, "../x", ""),
            (File, "a//b", ""),
            (File, "a", "hunter2!"),
        ] {
            let refused = check(&input(kind, id, value)).unwrap_err().to_string();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn a_checksum_tells_nothing_about_a_write_only_value() {
        let secret = || input(ConfigKind::Variable, "A", "1");
        assert_ne!(checksum(&secret()), checksum(&secret()));
        let plain = || ConfigInput {
            write_only: false,
            ..secret()
        };
        assert_eq!(checksum(&plain()), checksum(&plain()));
    }
}
