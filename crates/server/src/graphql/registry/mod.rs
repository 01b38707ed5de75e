//! What clients select of modules, blueprints, templates and providers: this server keeps none of them.
//!
//! An operation that names an unknown field fails as a whole, so every type is here under its name. Lists are
//! empty, single things are null, and a change says what is not there. Never: a made-up value.

pub(super) mod blueprints;
pub(super) mod dependencies;
pub(super) mod modules;
pub(super) mod providers;

use crate::operations::OperationError;

/// The refusal of a change of something that this server does not keep.
pub(super) fn not_kept(what: &'static str) -> async_graphql::Error {
    OperationError::Unsupported(what).into()
}
