//! Who is asking, and what they may do.
//!
//! Takes API keys and tokens, gives a principal, and from it handles that have only the methods its role
//! may call. Never: a comparison of secrets that takes longer the more of it is right.

mod role;

pub use role::Role;
