//! Signatures and sealing, by kept crates and published formats only: JWS (RFC 7515) and age.
//!
//! Takes keys and documents, gives signed or sealed texts and the reverse. Never: an algorithm chosen by
//! the peer, a decrypted byte before its signature was checked by the caller's type, a key in an error.

mod ed;
pub mod jws;
mod pool;
pub mod seal;

pub use ed::{EdKey, EdKeyError, EdPublic};
pub use jws::{JwsError, Signed};
pub use pool::{PoolKey, PoolKeyError, PoolPublic};
pub use seal::SealError;

use base64::Engine as _;
use rand_core::RngCore as _;

use crate::secret::Secret;

/// 32 random bytes from the system's entropy, as 43 characters of base64url: nonces, session keys, API secrets.
pub fn random_text() -> Secret {
    let mut bytes = [0; 32];
    rand_core::OsRng.fill_bytes(&mut bytes);
    Secret::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}
