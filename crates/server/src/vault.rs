//! Secrets at rest: the age format with X25519 keys from a file outside the data directory.
//!
//! Takes plain bytes and what they are for, gives sealed text; opens it again only for the same purpose, so
//! that a sealed value moved to another row or name is refused. Never: a key in the database, a value in an
//! error or a log.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use gantry_protocol::Secret;

/// The master keys: the first seals, all open.
pub struct Vault {
    source: PathBuf,
    identities: Vec<Identity>,
    recipient: Recipient,
}

/// Why the vault can't be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file can't be read.
    #[error("could not read the master key file `{}`: make one with `gantry-server master-key generate`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Anybody on the host can change it.
    #[error("the master key file `{}` can be changed by every user of this host: `chmod 600` it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A line is not a key.
    #[error("line {line} of the master key file `{}` is not an age X25519 key: expected `AGE-SECRET-KEY-1…`", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which line; the first is 1.
        line: usize,
    },
    /// No line is a key.
    #[error("the master key file `{}` holds no key: make one with `gantry-server master-key generate`", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// None of the keys fits, or the sealed value was changed or moved.
    #[error("no key of the master key file `{}` opens the stored {what}: is it the file of another installation, or was a key removed before everything was sealed again?", path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// What was to be opened.
        what: String,
    },
    /// Sealing failed.
    #[error("could not seal the {what}")]
    Seal {
        /// What was to be sealed.
        what: String,
        /// Why.
        source: Box<age::EncryptError>,
    },
}

impl Vault {
    /// Reads the master keys: one per line; empty lines and lines that begin with `#` are left out.
    pub fn from_file(path: &Path) -> Result<Self, VaultError> {
        let unreadable = |source| VaultError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o002 != 0 {
            return Err(VaultError::Exposed {
                path: path.to_owned(),
            });
        }
        if mode & 0o004 != 0 {
            tracing::warn!(file = %path.display(), "every user of this host can read the master key file");
        }
        let text = Secret::new(fs::read_to_string(path).map_err(unreadable)?);
        let mut identities: Vec<Identity> = Vec::new();
        for (number, line) in text.expose().lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let malformed = |_| VaultError::Malformed {
                path: path.to_owned(),
                line: number + 1,
            };
            identities.push(line.parse().map_err(malformed)?);
        }
        let first = identities.first().ok_or_else(|| VaultError::Empty {
            path: path.to_owned(),
        })?;
        let recipient = first.to_public();
        Ok(Self {
            source: path.to_owned(),
            identities,
            recipient,
        })
    }

    /// The text of a new master key file.
    pub fn generate() -> Secret {
        let identity = Identity::generate();
        let public = identity.to_public();
        let line = identity.to_string();
        Secret::new(format!(
            "# public key: {public}\n{}\n",
            line.expose_secret()
        ))
    }

    /// Seals a value for one purpose, such as `stack net variable TOKEN`. The text is base64.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<String, VaultError> {
        Ok(STANDARD_NO_PAD.encode(self.seal_bytes(purpose, plain)?))
    }

    /// Opens what [`Vault::seal`] gave for the same purpose.
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Vec<u8>, VaultError> {
        let bytes = STANDARD_NO_PAD
            .decode(sealed)
            .map_err(|_| self.wrong_key(purpose))?;
        self.open_bytes(purpose, &bytes)
    }

    /// As [`Vault::open`], for a value that is text.
    pub fn open_text(&self, purpose: &str, sealed: &str) -> Result<Secret, VaultError> {
        let plain = String::from_utf8(self.open(purpose, sealed)?);
        plain.map(Secret::new).map_err(|_| self.wrong_key(purpose))
    }

    /// As [`Vault::seal`], for blobs: binary age format.
    pub fn seal_bytes(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let failed = |source| VaultError::Seal {
            what: purpose.to_owned(),
            source: Box::new(source),
        };
        age::encrypt(&self.recipient, &bound(purpose, plain)).map_err(failed)
    }

    /// Opens what [`Vault::seal_bytes`] gave for the same purpose.
    pub fn open_bytes(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        for identity in &self.identities {
            let Ok(mut plain) = age::decrypt(identity, sealed) else {
                continue;
            };
            let prefix = bound(purpose, b"");
            if !plain.starts_with(&prefix) {
                break;
            }
            return Ok(plain.split_off(prefix.len()));
        }
        Err(self.wrong_key(purpose))
    }

    fn wrong_key(&self, what: &str) -> VaultError {
        VaultError::WrongKey {
            path: self.source.clone(),
            what: what.to_owned(),
        }
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", self.source.display())
    }
}

/// The purpose, its length first so that no purpose is the beginning of another, then the value.
fn bound(purpose: &str, plain: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{}:{purpose}\n", purpose.len()).into_bytes();
    bytes.extend_from_slice(plain);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    fn vault(text: &str) -> Vault {
        Vault::from_file(file(text).path()).unwrap()
    }

    #[test]
    fn a_value_opens_for_its_purpose_only() {
        let vault = vault(Vault::generate().expose());
        let sealed = vault.seal("stack a variable X", b"hunter2").unwrap();
        assert!(!sealed.contains("hunter2"));
        assert_eq!(
            vault.open("stack a variable X", &sealed).unwrap(),
            b"hunter2"
        );
        for other in [
            "stack a variable Y",
            "stack a variable",
            "",
            "stack a variable X\n",
        ] {
            let refused = vault.open(other, &sealed).unwrap_err();
            assert!(matches!(refused, VaultError::WrongKey { .. }));
            assert!(!refused.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn an_old_key_still_opens_and_the_new_one_seals() {
        let (old, new) = (Vault::generate(), Vault::generate());
        let sealed = vault(old.expose()).seal("x", b"v").unwrap();
        let both = vault(&format!("{}\n{}", new.expose(), old.expose()));
        assert_eq!(both.open("x", &sealed).unwrap(), b"v");
        let again = both.seal("x", b"v").unwrap();
        assert_eq!(vault(new.expose()).open("x", &again).unwrap(), b"v");
        let refused = vault(new.expose()).open("x", &sealed).unwrap_err();
        assert!(
            refused.to_string().contains("opens the stored x"),
            "{refused}"
        );
    }

    #[test]
    fn bad_files_are_named_and_never_quoted() {
        for (text, expected) in [
            ("", "holds no key"),
            ("# only a comment\n\n", "holds no key"),
            ("\nAGE-SECRET-KEY-1QQQQ", "line 2"),
            ("correct horse battery staple", "line 1"),
        ] {
            let file = file(text);
            let refused = Vault::from_file(file.path()).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
            assert!(
                refused.contains(&file.path().display().to_string()),
                "{refused}"
            );
            assert!(
                !refused.contains("horse") && !refused.contains("1QQQQ"),
                "{refused}"
            );
        }
        let missing = Vault::from_file(Path::new("/nowhere/key")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/key"), "{missing}");
        let open = file(Vault::generate().expose());
        fs::set_permissions(open.path(), fs::Permissions::from_mode(0o666)).unwrap();
        let refused = Vault::from_file(open.path()).unwrap_err();
        assert!(matches!(refused, VaultError::Exposed { .. }), "{refused}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn a_changed_value_never_opens(at in 0usize..400, plain in prop::collection::vec(any::<u8>(), 0..60)) {
            let vault = vault(Vault::generate().expose());
            let mut sealed = vault.seal_bytes("p", &plain).unwrap();
            prop_assert_eq!(vault.open_bytes("p", &sealed).unwrap(), plain);
            let at = at % sealed.len();
            sealed[at] ^= 1;
            prop_assert!(vault.open_bytes("p", &sealed).is_err());
        }
    }
}
