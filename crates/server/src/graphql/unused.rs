//! Types that clients select and that this server has no values for yet: lists of them are empty.
//!
//! They stand here because an operation that names an unknown field fails as a whole.

use async_graphql::{ID, SimpleObject};

use super::stack::Stack;

/// A version of a module.
#[derive(SimpleObject)]
pub(super) struct ModuleVersion {
    id: ID,
    number: String,
    module: Module,
}

/// A module.
#[derive(SimpleObject)]
pub(super) struct Module {
    id: ID,
    name: String,
    owner: String,
}

/// A stack that waits for another one.
#[derive(SimpleObject)]
pub(super) struct StackDependency {
    id: ID,
    stack: Stack,
    depends_on_stack: Stack,
}
