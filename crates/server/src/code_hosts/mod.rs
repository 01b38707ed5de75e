//! What code hosts are asked: repositories, branches, commits, files, comparisons, archives; and what they are told.
//!
//! Takes an integration, gives a client of its host's API. Reading is tried again a few times within bounds. Never: an
//! answer without a bound in memory, a file taken for missing because its repository is hidden, a message sent twice.

mod ask;
mod client;
mod door;
mod error;
mod place;
mod repository;
mod through;
mod vendors;

pub(crate) use ask::piece;
pub use client::{Client, Listing};
pub use door::{Answer, archives};
pub use error::HostError;
pub use place::Place;
pub use repository::{ReachError, Repository};
pub(crate) use through::Through;
pub use vendors::{Branch, Listed};
