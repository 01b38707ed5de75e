//! The server's own keys for launchers: what signs run envelopes, sessions and nonces.
//!
//! Takes the database and the vault, gives keys that live in memory only. Envelope keys are a set: a pool's
//! launchers trust the keys that stood in the token when it was made, so an envelope is signed with the
//! newest key that the pool's token names, and a new token names all.

use gantry_protocol::control::token::{Broker, PoolToken, VERSION};
use gantry_protocol::crypto::{EdKey, EdKeyError, EdPublic};
use gantry_protocol::{PoolId, Secret};
use rand_core::{OsRng, RngCore};
use time::OffsetDateTime;

use super::authority::{Authority, PoolCertificate};
use super::request::{CsrError, SigningRequest};
use crate::clock::UnixMillis;
use crate::store::server_keys::{self, ServerKey};
use crate::store::{Store, StoreError, Tx};
use crate::vault::{Vault, VaultError};

const ENVELOPE: &str = "envelope";
const SESSION: &str = "session";
const NONCE: &str = "nonce";
const AUTHORITY: &str = "authority";

/// Every key that the control channel needs. Prints public halves only.
pub struct Keyring {
    pub(super) envelope: Vec<Dated>,
    session: EdKey,
    nonce: [u8; 32],
    pub(super) authority: Authority,
}

pub(super) struct Dated {
    key: EdKey,
    pub(super) made: UnixMillis,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keyring")
            .field(&self.envelope_keys())
            .finish()
    }
}

/// Why a key or a certificate is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The database failed.
    #[error("could not read or write the server's keys")]
    Store(#[from] StoreError),
    /// The vault failed.
    #[error("could not seal or open the server's {purpose} key")]
    Vault {
        /// What the key is for.
        purpose: &'static str,
        /// Why.
        source: VaultError,
    },
    /// A stored key is not a key.
    #[error("the stored {purpose} key is damaged; restore the data directory from a backup")]
    Damaged {
        /// What the key is for.
        purpose: &'static str,
    },
    /// The request is not acceptable.
    #[error(transparent)]
    Request(#[from] CsrError),
    /// The certificate could not be made.
    #[error("could not issue the pool's certificate")]
    Certificate(#[source] rcgen::Error),
}

impl Keyring {
    /// Reads the keys; makes those that do not exist yet.
    ///
    /// # Errors
    /// See [`PkiError`].
    pub async fn open(store: &Store, vault: &Vault) -> Result<Self, PkiError> {
        let mut tx = store.begin().await?;
        let mut envelope = Vec::new();
        for row in rows(&mut tx, vault, ENVELOPE, ed_key).await? {
            let made = UnixMillis(row.created_at);
            envelope.push(Dated {
                key: ed(&row, vault, ENVELOPE)?,
                made,
            });
        }
        let session = newest(&mut tx, vault, SESSION, ed_key).await?;
        let nonce = newest(&mut tx, vault, NONCE, random).await?;
        let authority = newest(&mut tx, vault, AUTHORITY, authority_key).await?;
        store.commit(tx).await?;
        let damaged = |purpose| PkiError::Damaged { purpose };
        let secret = open(&nonce, vault, NONCE)?;
        let key = open_text(&authority, vault, AUTHORITY)?;
        Ok(Self {
            envelope,
            session: ed(&session, vault, SESSION)?,
            nonce: secret.try_into().map_err(|_| damaged(NONCE))?,
            authority: Authority::open(&key, &authority.public_key)
                .map_err(|_| damaged(AUTHORITY))?,
        })
    }

    /// Adds an envelope key. Tokens made from now on name it; older tokens keep the keys they name.
    ///
    /// # Errors
    /// See [`PkiError`].
    pub async fn rotate(store: &Store, vault: &Vault) -> Result<EdPublic, PkiError> {
        let mut tx = store.begin().await?;
        let (key, public) = ed_key();
        insert(&mut tx, vault, ENVELOPE, &key, &public).await?;
        store.commit(tx).await?;
        public
            .parse()
            .map_err(|_| PkiError::Damaged { purpose: ENVELOPE })
    }

    /// Public halves of all envelope keys, newest first.
    pub fn envelope_keys(&self) -> Vec<EdPublic> {
        self.envelope
            .iter()
            .map(|dated| dated.key.public())
            .collect()
    }

    /// The key that signs envelopes for a pool whose token was made at `token_made`.
    pub fn envelope_signer(&self, token_made: UnixMillis) -> &EdKey {
        let known = self.envelope.iter().find(|dated| dated.made <= token_made);
        let dated = known.or(self.envelope.last());
        &dated
            .expect("invariant: opening made a key if there was none")
            .key
    }

    /// Signs session tokens.
    pub(crate) fn session(&self) -> &EdKey {
        &self.session
    }

    /// Authenticates nonces.
    pub(crate) fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// Issues a pool's certificate for its signing request.
    ///
    /// # Errors
    /// [`PkiError::Request`] names what is wrong with the request.
    pub fn issue(&self, csr: &str, pool: PoolId) -> Result<PoolCertificate, PkiError> {
        let request = SigningRequest::parse(csr)?;
        let now = OffsetDateTime::now_utc();
        self.authority
            .issue(&request, pool, now)
            .map_err(PkiError::Certificate)
    }

    /// The token that people give to the pool's launchers.
    pub fn token(&self, pool: PoolId, certificate: &str, endpoint: &str) -> PoolToken {
        PoolToken {
            version: VERSION,
            broker: Broker {
                endpoint: endpoint.to_owned(),
            },
            pool,
            certificate: certificate.to_owned(),
            server_keys: self.envelope_keys(),
        }
    }
}

/// A new private key and what stands in the clear beside it.
type Make = fn() -> (Secret, String);

fn ed_key() -> (Secret, String) {
    let key = EdKey::generate();
    (key.to_pem(), key.public().to_string())
}

fn random() -> (Secret, String) {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    let hex = bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    (Secret::new(hex), String::new())
}

fn authority_key() -> (Secret, String) {
    Authority::create(OffsetDateTime::now_utc())
        .expect("invariant: fixed parameters make a certificate")
}

async fn newest(
    tx: &mut Tx,
    vault: &Vault,
    purpose: &'static str,
    make: Make,
) -> Result<ServerKey, PkiError> {
    let found = rows(tx, vault, purpose, make).await?.into_iter().next();
    found.ok_or(PkiError::Damaged { purpose })
}

async fn rows(
    tx: &mut Tx,
    vault: &Vault,
    purpose: &'static str,
    make: Make,
) -> Result<Vec<ServerKey>, PkiError> {
    let found = server_keys::list(tx, purpose).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    let (key, public) = make();
    insert(tx, vault, purpose, &key, &public).await?;
    Ok(server_keys::list(tx, purpose).await?)
}

async fn insert(
    tx: &mut Tx,
    vault: &Vault,
    purpose: &'static str,
    key: &Secret,
    public: &str,
) -> Result<(), PkiError> {
    let at = UnixMillis::now();
    let id = ulid::Ulid::generate().to_string();
    let sealed = vault.seal(&place(purpose, &id), key.expose().as_bytes());
    let row = ServerKey {
        sealed: sealed.map_err(|source| PkiError::Vault { purpose, source })?,
        id,
        purpose: purpose.to_owned(),
        public_key: public.to_owned(),
        created_at: at.0,
    };
    server_keys::insert(tx, &row).await?;
    Ok(())
}

fn place(purpose: &str, id: &str) -> String {
    format!("server key {purpose} {id}")
}

fn open_text(row: &ServerKey, vault: &Vault, purpose: &'static str) -> Result<Secret, PkiError> {
    let opened = vault.open_text(&place(purpose, &row.id), &row.sealed);
    opened.map_err(|source| PkiError::Vault { purpose, source })
}

fn open(row: &ServerKey, vault: &Vault, purpose: &'static str) -> Result<Vec<u8>, PkiError> {
    let text = open_text(row, vault, purpose)?;
    let damaged = |_| PkiError::Damaged { purpose };
    let pair = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).unwrap_or_default();
        u8::from_str_radix(pair, 16).map_err(damaged)
    };
    text.expose().as_bytes().chunks(2).map(pair).collect()
}

fn ed(row: &ServerKey, vault: &Vault, purpose: &'static str) -> Result<EdKey, PkiError> {
    let pem = open_text(row, vault, purpose)?;
    EdKey::from_pem(&pem).map_err(|_: EdKeyError| PkiError::Damaged { purpose })
}
