//! What a VCS gateway and its agents say to each other.
//!
//! Gives the messages and the service of `proto/privatevcs.proto`, the pool token, and the names of the metadata that
//! an agent sends when it connects. No I/O. Never: a pool key in a type that can be printed, or a message that the
//! other side did not say it knows.
#![forbid(unsafe_code)]

mod features;
mod token;

pub use features::{Features, metadata};
pub use token::{PoolToken, TokenError};

/// The messages and the service, as generated from the description.
#[expect(
    clippy::allow_attributes_without_reason,
    reason = "generated code allows itself things without saying why"
)]
pub mod wire {
    tonic::include_proto!("privatevcs");
}
