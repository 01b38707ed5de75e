//! Session tokens of the API: JWTs that this server signs with its own Ed25519 key.
//!
//! Takes a key's id, gives a token of one hour whose audience is the server's base URL, as clients of this
//! API expect. Never: an algorithm chosen by the token, a token of another server, a role inside the token.

use axum::http::{HeaderMap, header};
use gantry_protocol::Secret;
use gantry_protocol::crypto::{EdKey, EdPublic};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{Principal, Scope};
use crate::clock::UnixMillis;
use crate::store::server_keys::{self, ServerKey};
use crate::store::{Store, StoreError, api_keys};
use crate::vault::{Vault, VaultError};

/// Seconds that a session lasts.
const LIFETIME: i64 = 3600;

/// Seconds that a permission for one thing lasts.
const LINK_LIFETIME: i64 = 60;

/// What the keys are for, in the store.
const PURPOSE: &str = "api-token";

/// A token and its end.
#[derive(Clone, Debug)]
pub struct Session {
    /// The token.
    pub jwt: Secret,
    /// Unix seconds.
    pub valid_until: i64,
}

/// Issues and checks tokens.
pub struct Tokens {
    audience: String,
    signing_id: String,
    signing: EncodingKey,
    verifying: Vec<(String, DecodingKey)>,
}

/// Why the token keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key does not fit.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A stored key is not one.
    #[error("the stored token key `{id}` is damaged")]
    Damaged {
        /// The key.
        id: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    sub: String,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// Reads the token keys, making the first one; every one has to open with the master key.
    pub async fn load(store: &Store, vault: &Vault, base_url: &str) -> Result<Self, TokenError> {
        let mut keys = server_keys::list(&mut *store.read().await?, PURPOSE).await?;
        if keys.is_empty() {
            keys.push(create(store, vault).await?);
        }
        let mut pairs = Vec::new();
        for key in &keys {
            let private = vault.open_text(&purpose_of(&key.id), &key.sealed)?;
            let damaged = || TokenError::Damaged { id: key.id.clone() };
            let encoding = EncodingKey::from_ed_pem(private.expose().as_bytes());
            let decoding = DecodingKey::from_ed_components(&key.public_key);
            let pair = encoding.ok().zip(decoding.ok()).ok_or_else(damaged)?;
            pairs.push((key.id.clone(), pair));
        }
        let verifying = pairs
            .iter()
            .map(|(id, (_, key))| (id.clone(), key.clone()))
            .collect();
        let (signing_id, (signing, _)) = pairs.swap_remove(0);
        Ok(Self {
            audience: base_url.to_owned(),
            signing_id,
            signing,
            verifying,
        })
    }

    /// A token for the bearer of an API key, which does not outlive the key.
    pub fn issue(&self, key: &str, ends: Option<UnixMillis>, now: UnixMillis) -> Session {
        let longest = now.seconds() + LIFETIME;
        let valid_until = ends.map_or(longest, |ends| ends.seconds().min(longest));
        let claims = Claims {
            aud: vec![self.audience.clone()],
            sub: key.to_owned(),
            iat: now.seconds(),
            exp: valid_until,
        };
        Session {
            jwt: self.signed(&claims),
            valid_until,
        }
    }

    /// A permission for one thing, for a minute, for whoever has it. It is good for nothing else, above all not as a
    /// session.
    pub fn link(&self, subject: &str, now: UnixMillis) -> Secret {
        let claims = Claims {
            aud: vec![self.link_audience()],
            sub: subject.to_owned(),
            iat: now.seconds(),
            exp: now.seconds() + LINK_LIFETIME,
        };
        self.signed(&claims)
    }

    /// Whether `link` is a permission for this thing.
    pub fn permits(&self, link: &str, subject: &str) -> bool {
        self.claimed(link, &self.link_audience()).as_deref() == Some(subject)
    }

    fn link_audience(&self) -> String {
        format!("{}/links", self.audience)
    }

    fn signed(&self, claims: &Claims) -> Secret {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.signing_id.clone());
        let jwt = jsonwebtoken::encode(&header, claims, &self.signing);
        Secret::new(jwt.expect("invariant: an Ed25519 key signs plain claims"))
    }

    /// Whose token it is, if it is a valid one and its key is still in use.
    pub async fn bearer(&self, store: &Store, jwt: &str) -> Result<Option<Principal>, StoreError> {
        let Some(key) = self.subject(jwt) else {
            return Ok(None);
        };
        let mut conn = store.read().await?;
        let Some(key) = api_keys::find(&mut conn, &key, UnixMillis::now()).await? else {
            return Ok(None);
        };
        let scope = Scope::of(&mut conn, &key.reach).await?;
        Ok(Some(Principal::of(key, scope)))
    }

    fn subject(&self, jwt: &str) -> Option<String> {
        self.claimed(jwt, &self.audience)
    }

    fn claimed(&self, jwt: &str, audience: &str) -> Option<String> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        validation.leeway = 0;
        let kid = jsonwebtoken::decode_header(jwt).ok()?.kid?;
        let (_, key) = self.verifying.iter().find(|(id, _)| *id == kid)?;
        let token = jsonwebtoken::decode::<Claims>(jwt, key, &validation).ok()?;
        Some(token.claims.sub)
    }
}

/// The token of an `Authorization: Bearer …` header.
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens(audience {})", self.audience)
    }
}

async fn create(store: &Store, vault: &Vault) -> Result<ServerKey, TokenError> {
    let pair = EdKey::generate();
    let public: EdPublic = pair.public();
    let id = public.key_id();
    let key = ServerKey {
        sealed: vault.seal(&purpose_of(&id), pair.to_pem().expose().as_bytes())?,
        id,
        purpose: PURPOSE.to_owned(),
        public_key: public.to_string(),
        created_at: UnixMillis::now().0,
    };
    let mut tx = store.begin().await?;
    server_keys::insert(&mut tx, &key).await?;
    store.commit(tx).await?;
    Ok(key)
}

fn purpose_of(id: &str) -> String {
    format!("server key {id}")
}
