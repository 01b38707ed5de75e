//! Making API keys and exchanging them for sessions.
//!
//! Takes an id and a secret, gives a token. What must never happen: a secret stored or logged, or an unknown
//! id answered sooner than a wrong secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gantry_protocol::{Digest, Secret};
use rand_core::{OsRng, RngCore};
use subtle::ConstantTimeEq;

use super::{Principal, Role, Scope, Session, Tokens};
use crate::clock::UnixMillis;
use crate::domain::Actor;
use crate::store::api_keys::{self, ApiKey, Reach};
use crate::store::audit::{self, Deed};
use crate::store::{Store, StoreError, spaces};

/// A key as shown once, to whoever made it.
#[derive(Debug)]
pub struct IssuedKey {
    /// Its id.
    pub id: String,
    /// Its secret: 32 random bytes in base64url.
    pub secret: Secret,
}

/// A key to make.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The name that histories show.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// What its bearer may do.
    pub role: Role,
    /// And where.
    pub reach: Reach,
    /// When it stops to work; none is never.
    pub expires_at: Option<UnixMillis>,
}

/// Makes a key for all spaces, in the server's own name.
pub async fn create_key(store: &Store, name: &str, role: Role) -> Result<IssuedKey, StoreError> {
    let new = NewKey {
        name: name.to_owned(),
        description: None,
        role,
        reach: Reach::All,
        expires_at: None,
    };
    Ok(issue_key(store, new, &Actor::Server).await?.1)
}

/// Makes a key.
pub async fn issue_key(
    store: &Store,
    new: NewKey,
    by: &Actor,
) -> Result<(ApiKey, IssuedKey), StoreError> {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    let secret = Secret::new(URL_SAFE_NO_PAD.encode(bytes));
    let key = ApiKey {
        id: store.new_id().to_string(),
        name: new.name,
        description: new.description,
        role: new.role,
        reach: new.reach,
        secret_hash: Digest::of(secret.expose().as_bytes()),
        created_by: by.to_string(),
        created_at: UnixMillis::now(),
        expires_at: new.expires_at,
        last_used_at: None,
    };
    let mut tx = store.begin().await?;
    let mut detail = serde_json::json!({ "name": key.name, "role": key.role.as_str() });
    if let Reach::Spaces(named) = &key.reach {
        for space in named {
            spaces::get(&mut tx, space).await?;
        }
        detail["spaces"] = named.clone().into();
    }
    api_keys::insert(&mut tx, &key).await?;
    let deed = Deed {
        actor: by,
        action: "api_key.create",
        subject: format!("api_key:{}", key.id),
        detail,
    };
    audit::record(store, &mut tx, deed).await?;
    store.commit(tx).await?;
    let id = key.id.clone();
    Ok((key, IssuedKey { id, secret }))
}

/// Takes a key back; what its bearers hold stops working at once.
pub async fn revoke_key(store: &Store, id: &str, by: &Actor) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    if !api_keys::revoke(&mut tx, id, UnixMillis::now()).await? {
        return Err(StoreError::NotFound {
            kind: "API key",
            id: id.to_owned(),
        });
    }
    let deed = Deed {
        actor: by,
        action: "api_key.delete",
        subject: format!("api_key:{id}"),
        detail: serde_json::json!({}),
    };
    audit::record(store, &mut tx, deed).await?;
    store.commit(tx).await
}

/// The session and bearer for a right pair of id and secret.
pub async fn exchange(
    store: &Store,
    tokens: &Tokens,
    id: &str,
    secret: &Secret,
) -> Result<Option<(Principal, Session)>, StoreError> {
    let now = UnixMillis::now();
    let mut conn = store.read().await?;
    let key = api_keys::find(&mut conn, id, now).await?;
    let given = Digest::of(secret.expose().as_bytes()).hex();
    // An unknown id is compared too, with a digest that no secret has in practice.
    let expected = key
        .as_ref()
        .map_or_else(|| "0".repeat(64), |key| key.secret_hash.hex());
    let right = bool::from(given.as_bytes().ct_eq(expected.as_bytes()));
    let Some(key) = key.filter(|_| right) else {
        return Ok(None);
    };
    let scope = Scope::of(&mut conn, &key.reach).await?;
    drop(conn);
    if api_keys::is_used_anew(&key, now) {
        let mut tx = store.begin().await?;
        api_keys::used(&mut tx, &key.id, now).await?;
        store.commit(tx).await?;
    }
    let session = tokens.issue(&key.id, key.expires_at, now);
    Ok(Some((Principal::of(key, scope), session)))
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
