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
