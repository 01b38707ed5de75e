//! Rego policies: compiled, checked, and evaluated in a process of their own under hard limits.
//!
//! Takes a policy's text and an input document ([`Policy`], [`Sandbox`]); gives what its rules said, or why there is
//! no answer ([`Evaluation`], [`EvalError`]). Never: an evaluation that outlives its limit or grows beyond its memory,
//! a line of a policy in an error (it may hold a secret), an error that a caller could take for "allowed".
#![forbid(unsafe_code)]

mod builtins;
mod check;
mod child;
mod depth;
mod dialect;
mod engine;
mod evaluation;
mod kin;
mod kind;
mod limits;
mod policy;
mod prelude;
mod said;
mod sample;
mod sandbox;
mod walk;

pub use builtins::sanitized;
pub use child::{ARGUMENT, EXEC_ARGUMENT, WATCH_ARGUMENT, enter_if_asked};
pub use dialect::Dialect;
pub use engine::evaluate_here;
pub use evaluation::{EvalError, Evaluation, Verdict};
pub use kind::{PolicyKind, Rule, Shape};
pub use limits::{ExecLimits, Limits};
pub use policy::{CompileError, Policy};
pub use sample::{Sample, without_signatures};
pub use sandbox::{Sandbox, User};
