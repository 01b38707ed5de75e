//! Who is asking, and what they may do.
//!
//! Takes API keys and tokens, gives a principal, which opens handles (`operations`) that have only the
//! methods its role may call. Never: a comparison of secrets that takes longer the more of it is right, or a
//! role read from anywhere but the key's row.

mod keys;
mod limits;
mod principal;
mod role;
mod scope;
mod tokens;

pub use keys::{IssuedKey, NewKey, create_key, exchange, issue_key, revoke_key};
pub use limits::{Asker, Limits, TooMany};
pub use principal::{Forbidden, Principal};
pub use role::Role;
pub use scope::Scope;
pub use tokens::{Session, TokenError, Tokens, bearer_token};
