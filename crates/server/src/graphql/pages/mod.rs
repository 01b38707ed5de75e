//! Things that are shown together, and what their fields need of others.
//!
//! Takes a page of stacks, runs or pools, gives each field its part of one answer about all of them: the first field that
//! needs it asks, the others wait for it. Never: a statement for each thing of a page.

mod pools;
mod runs;
mod stacks;

pub(super) use pools::{Busy, PoolPage};
pub(super) use runs::RunPage;
pub(super) use stacks::StackPage;
