//! Making API keys and exchanging them for sessions.
//!
//! Takes an id and a secret, gives a token. What must never happen: a secret stored or logged, or an unknown
//! id answered sooner than a wrong secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gantry_protocol::{Digest, Secret};
use rand_core::{OsRng, RngCore};
use subtle::ConstantTimeEq;

use super::{Principal, Role, Session, Tokens};
use crate::clock::UnixMillis;
use crate::domain::Actor;
use crate::store::api_keys::{self, ApiKey};
use crate::store::audit::{self, Deed};
use crate::store::{Store, StoreError};

/// A key as shown once, to whoever made it.
#[derive(Debug)]
pub struct IssuedKey {
    /// Its id.
    pub id: String,
    /// Its secret: 32 random bytes in base64url.
    pub secret: Secret,
}

/// Makes a key.
pub async fn create_key(store: &Store, name: &str, role: Role) -> Result<IssuedKey, StoreError> {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    let secret = Secret::new(URL_SAFE_NO_PAD.encode(bytes));
    let key = ApiKey {
        id: store.new_id().to_string(),
        name: name.to_owned(),
        role,
        secret_hash: Digest::of(secret.expose().as_bytes()),
        created_at: UnixMillis::now(),
    };
    let mut tx = store.begin().await?;
    api_keys::insert(&mut tx, &key).await?;
    let deed = Deed {
        actor: &Actor::Server,
        action: "api_key.create",
        subject: format!("api_key:{}", key.id),
        detail: serde_json::json!({ "name": name, "role": role.as_str() }),
    };
    audit::record(store, &mut tx, deed).await?;
    store.commit(tx).await?;
    Ok(IssuedKey { id: key.id, secret })
}

/// The session and bearer for a right pair of id and secret.
pub async fn exchange(
    store: &Store,
    tokens: &Tokens,
    id: &str,
    secret: &Secret,
) -> Result<Option<(Principal, Session)>, StoreError> {
    let key = api_keys::find(&mut *store.read().await?, id).await?;
    let given = Digest::of(secret.expose().as_bytes()).hex();
    // An unknown id is compared too, with a digest that no secret has in practice.
    let expected = key
        .as_ref()
        .map_or_else(|| "0".repeat(64), |key| key.secret_hash.hex());
    let right = bool::from(given.as_bytes().ct_eq(expected.as_bytes()));
    Ok(key.filter(|_| right).map(|key| {
        let session = tokens.issue(&key.id, UnixMillis::now());
        (Principal::of(key), session)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::World;
    use crate::vault::Vault;

    #[tokio::test]
    async fn a_key_opens_a_session_until_it_is_revoked() {
        let World { store, .. } = &World::new().await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), Vault::generate().expose()).unwrap();
        let vault = Vault::from_file(file.path()).unwrap();
        let tokens = Tokens::load(store, &vault, "http://127.0.0.1:1")
            .await
            .unwrap();
        let key = create_key(store, "ci", Role::Writer).await.unwrap();
        assert_eq!(key.secret.expose().len(), 43);

        for (id, secret) in [
            (key.id.as_str(), "wrong"),
            (key.id.as_str(), ""),
            ("01JB8M6Q7N4T0V2X5Y8Z9A1B2C", key.secret.expose()),
        ] {
            let refused = exchange(store, &tokens, id, &Secret::new(secret))
                .await
                .unwrap();
            assert!(refused.is_none(), "{id}");
        }
        let (principal, session) = exchange(store, &tokens, &key.id, &key.secret)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (principal.name(), principal.allows(Role::Admin)),
            ("ci", false)
        );
        let jwt = session.jwt.expose();
        assert_eq!(tokens.bearer(store, jwt).await.unwrap(), Some(principal));

        // The same keys are there after a restart; another installation's token is nothing here.
        let again = Tokens::load(store, &vault, "http://127.0.0.1:1")
            .await
            .unwrap();
        assert!(again.bearer(store, jwt).await.unwrap().is_some());
        let moved = Tokens::load(store, &vault, "http://127.0.0.1:2")
            .await
            .unwrap();
        assert_eq!(moved.bearer(store, jwt).await.unwrap(), None);
        assert_eq!(
            tokens.bearer(store, &jwt[..jwt.len() - 4]).await.unwrap(),
            None
        );

        let mut tx = store.begin().await.unwrap();
        assert!(
            api_keys::revoke(&mut tx, &key.id, UnixMillis::now())
                .await
                .unwrap()
        );
        store.commit(tx).await.unwrap();
        assert_eq!(tokens.bearer(store, jwt).await.unwrap(), None);
        assert!(
            exchange(store, &tokens, &key.id, &key.secret)
                .await
                .unwrap()
                .is_none()
        );
    }
}
