//! OpenPGP keys that may sign a tool's checksums.
//!
//! Takes key files and a detached signature, gives the fingerprint of the key that made it. Never: a key that
//! is built in, or a signature by one that expired, was revoked, or may not sign.

use std::io;
use std::path::{Path, PathBuf};

use pgp::composed::{Deserializable as _, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, Signature, SignatureType};
use pgp::types::{KeyDetails as _, Tag, Timestamp, VerifyingKey};

/// Largest key file in bytes.
const MAX_KEY: u64 = 1 << 20;

/// A signature may come from a clock that is this much ahead, in seconds.
const SKEW: u32 = 300;

/// Why a key file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It can't be read.
    #[error("GANTRY_TOOL_KEYS: `{}` can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds no public key.
    #[error("GANTRY_TOOL_KEYS: `{}` is not a file of OpenPGP public keys", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pgp::errors::Error,
    },
    /// It is empty.
    #[error("GANTRY_TOOL_KEYS: `{}` holds no OpenPGP public key", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Why a signature is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not an OpenPGP signature.
    #[error("the signature is not an OpenPGP one")]
    Malformed,
    /// Made by nobody that is trusted.
    #[error("it is signed by key {issuer}, which no file of GANTRY_TOOL_KEYS holds")]
    Unknown {
        /// What the signature says of its maker.
        issuer: String,
    },
    /// A trusted key's name, but not its work.
    #[error("the signature that names key {key} was not made by it over these checksums")]
    Bad {
        /// The key.
        key: String,
    },
    /// The key may not be used (any more).
    #[error("it is signed by key {key}, which {rule}")]
    Unusable {
        /// The key.
        key: String,
        /// What is wrong with it.
        rule: KeyFault,
    },
    /// The signature itself is too weak, too old or from the future.
    #[error("the signature by key {key} {rule}")]
    Weak {
        /// The key.
        key: String,
        /// What is wrong with it.
        rule: &'static str,
    },
}

/// What keeps a key from being believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// Its time is over.
    Expired,
    /// Its owner took it back.
    Revoked,
    /// It is for other things, or nothing valid says what for.
    NotForSigning,
}

impl std::fmt::Display for KeyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Expired => "has expired; fetch the publisher's renewed key",
            Self::Revoked => "is revoked; fetch the publisher's new key",
            Self::NotForSigning => "is not valid for signing",
        })
    }
}

/// The keys of the operator's files.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<SignedPublicKey>);

impl Keys {
    /// Reads every key of every file, armored or binary.
    ///
    /// # Errors
    /// [`KeyFileError`] names the file.
    pub fn load(files: &[PathBuf]) -> Result<Self, KeyFileError> {
        let mut keys = Vec::new();
        for path in files {
            let bytes = read(path).map_err(|source| KeyFileError::Read {
                path: path.clone(),
                source,
            })?;
            let found = parse(&bytes).map_err(|source| KeyFileError::Parse {
                path: path.clone(),
                source,
            })?;
            if found.is_empty() {
                return Err(KeyFileError::Empty { path: path.clone() });
            }
            keys.extend(found);
        }
        Ok(Self(keys))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fingerprint and first name of each key, and what keeps it from being believed now.
    pub fn list(&self) -> Vec<(String, String, Option<KeyFault>)> {
        let now = Timestamp::now();
        let name = |key: &SignedPublicKey| {
            let user = key.details.users.first();
            user.map(|user| String::from_utf8_lossy(user.id.id()).into_owned())
        };
        let row = |key| {
            let fault = standing(key, now).err();
            (fingerprint(key), name(key).unwrap_or_default(), fault)
        };
        self.0.iter().map(row).collect()
    }

    /// Verifies a detached signature over `content`; gives the fingerprint of the signer's primary key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, content: &[u8], signature: &[u8]) -> Result<String, SignatureError> {
        let (signatures, _) = DetachedSignature::from_reader_many(signature)
            .map_err(|_| SignatureError::Malformed)?;
        let mut refusal = SignatureError::Malformed;
        for signature in signatures.take(8) {
            let Ok(DetachedSignature { signature }) = signature else {
                continue;
            };
            match self.verify_one(content, &signature) {
                Ok(key) => return Ok(key),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn verify_one(&self, content: &[u8], signature: &Signature) -> Result<String, SignatureError> {
        let now = Timestamp::now();
        for key in &self.0 {
            if named(signature, &key.primary_key) {
                return by_primary(key, content, signature, now);
            }
            for subkey in &key.public_subkeys {
                if named(signature, &subkey.key) {
                    return by_subkey(key, subkey, content, signature, now);
                }
            }
        }
        Err(SignatureError::Unknown {
            issuer: issuer(signature),
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_KEY).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> pgp::errors::Result<Vec<SignedPublicKey>> {
    let (keys, _) = SignedPublicKey::from_reader_many(bytes)?;
    keys.collect()
}

fn by_primary(
    key: &SignedPublicKey,
    content: &[u8],
    signature: &Signature,
    now: Timestamp,
) -> Result<String, SignatureError> {
    let name = fingerprint(key);
    let usable = standing(key, now).and_then(|own| match may_sign(own) {
        true => Ok(()),
        false => Err(KeyFault::NotForSigning),
    });
    check(name, usable, &key.primary_key, content, signature, now)
}

fn by_subkey(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    content: &[u8],
    signature: &Signature,
    now: Timestamp,
) -> Result<String, SignatureError> {
    let usable = standing(key, now).and_then(|_| subkey_standing(key, subkey, now));
    check(
        fingerprint(key),
        usable,
        &subkey.key,
        content,
        signature,
        now,
    )
}

fn check(
    key: String,
    usable: Result<(), KeyFault>,
    by: &impl VerifyingKey,
    content: &[u8],
    signature: &Signature,
    now: Timestamp,
) -> Result<String, SignatureError> {
    if signature.verify(by, content).is_err() {
        return Err(SignatureError::Bad { key });
    }
    if let Err(rule) = usable {
        return Err(SignatureError::Unusable { key, rule });
    }
    match weakness(signature, by.created_at(), now) {
        Some(rule) => Err(SignatureError::Weak { key, rule }),
        None => Ok(key),
    }
}

/// What speaks against a signature that was really made by its key.
fn weakness(signature: &Signature, key_made: Timestamp, now: Timestamp) -> Option<&'static str> {
    let strong = matches!(
        signature.hash_alg(),
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
    );
    if !strong {
        return Some("uses a hash that is not SHA-256, SHA-384 or SHA-512");
    }
    if signature.typ() != Some(SignatureType::Binary) {
        return Some("is not one over a file");
    }
    let Some(made) = signature.created() else {
        return Some("does not say when it was made");
    };
    if made.as_secs() > now.as_secs().saturating_add(SKEW) {
        return Some("is from the future; check this host's clock");
    }
    if made < key_made {
        return Some("is older than its key");
    }
    match signature.signature_expiration_time() {
        Some(life) if life.as_secs() != 0 && over(made, life.as_secs(), now) => Some("has expired"),
        _ => None,
    }
}

/// The newest valid statement of a key about itself, if the key may be believed at `now`.
fn standing(key: &SignedPublicKey, now: Timestamp) -> Result<&Signature, KeyFault> {
    // One that does not verify counts too: nobody but the key's file could have brought it here.
    if !key.details.revocation_signatures.is_empty() {
        return Err(KeyFault::Revoked);
    }
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter();
    let direct = direct.filter(|own| own.verify_key(primary).is_ok());
    let users = key.details.users.iter().flat_map(|user| {
        let own = user.signatures.iter().filter(|own| own.is_certification());
        own.filter(|own| {
            own.verify_certification(primary, Tag::UserId, &user.id)
                .is_ok()
        })
    });
    let newest = newest(direct.chain(users), now).ok_or(KeyFault::NotForSigning)?;
    match expired(newest, primary.created_at(), now) {
        true => Err(KeyFault::Expired),
        false => Ok(newest),
    }
}

fn subkey_standing(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    now: Timestamp,
) -> Result<(), KeyFault> {
    let revoked = |own: &Signature| own.typ() == Some(SignatureType::SubkeyRevocation);
    if subkey.signatures.iter().any(revoked) {
        return Err(KeyFault::Revoked);
    }
    let bindings = subkey.signatures.iter();
    let primary: &PublicKey = &key.primary_key;
    let bound = |own: &&Signature| own.verify_subkey_binding(primary, &subkey.key).is_ok();
    let newest = newest(bindings.filter(bound), now).ok_or(KeyFault::NotForSigning)?;
    // The subkey has to agree, or anybody's signing key could be bound to anybody's primary one.
    let agreed = newest.embedded_signature().is_some_and(|back| {
        back.verify_primary_key_binding(&subkey.key, primary)
            .is_ok()
    });
    if !agreed || !newest.key_flags().sign() {
        return Err(KeyFault::NotForSigning);
    }
    match expired(newest, subkey.key.created_at(), now) {
        true => Err(KeyFault::Expired),
        false => Ok(()),
    }
}

fn newest<'a>(
    statements: impl Iterator<Item = &'a Signature>,
    now: Timestamp,
) -> Option<&'a Signature> {
    let limit = now.as_secs().saturating_add(SKEW);
    let dated = statements.filter_map(|own| Some((own.created()?.as_secs(), own)));
    let past = dated.filter(|(made, _)| *made <= limit);
    past.max_by_key(|(made, _)| *made).map(|(_, own)| own)
}

fn expired(statement: &Signature, made: Timestamp, now: Timestamp) -> bool {
    let life = statement
        .key_expiration_time()
        .map_or(0, |life| life.as_secs());
    life != 0 && over(made, life, now)
}

fn over(from: Timestamp, seconds: u32, now: Timestamp) -> bool {
    from.as_secs().saturating_add(seconds) <= now.as_secs()
}

/// A primary key without any flags is one of the time before there were flags.
fn may_sign(statement: &Signature) -> bool {
    let flags = statement.key_flags();
    flags.sign() || !(flags.certify() || flags.encrypt_comms() || flags.encrypt_storage())
}

fn named(signature: &Signature, key: &impl VerifyingKey) -> bool {
    let id = key.legacy_key_id();
    let print = key.fingerprint();
    signature.issuer_key_id().contains(&&id) || signature.issuer_fingerprint().contains(&&print)
}

fn issuer(signature: &Signature) -> String {
    let print = signature
        .issuer_fingerprint()
        .first()
        .map(|print| format!("{print:X}"));
    let id = signature
        .issuer_key_id()
        .first()
        .map(|id| id.to_string().to_uppercase());
    print.or(id).unwrap_or_else(|| "(unnamed)".to_owned())
}

fn fingerprint(key: &SignedPublicKey) -> String {
    format!("{:X}", key.fingerprint())
}
