//! Stacks that wait for other stacks.
//!
//! See [`super`]: there are none.

use async_graphql::{ID, SimpleObject};

use crate::graphql::stack::Stack;

/// A stack that waits for another one.
#[derive(SimpleObject)]
pub(in crate::graphql) struct StackDependency {
    id: ID,
    stack: Stack,
    depends_on_stack: Stack,
}
