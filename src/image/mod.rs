//! From the image that a run asks for to one pulled digest that the host's list allows.
//!
//! Takes a reference as text and the host's allowlist; gives a [`PulledImage`]. Never: a pull
//! of a reference that was not admitted, and never a container from a tag. The types see to it: only
//! [`Allowlist::admit`] makes an [`AdmittedReference`], only [`Images::resolve`] a [`ResolvedImage`], only
//! [`Images::pull`] a [`PulledImage`].

mod admit;
mod allowlist;
mod error;
mod hold;
mod keyed;
mod ledger;
mod policy;
mod progress;
mod pull;
mod pulled;
mod reference;

pub use admit::{AdmittedReference, Refusal};
pub use allowlist::{Allowlist, InvalidEntry};
pub use error::ImageError;
pub use ledger::Ledger;
pub use policy::PullPolicy;
pub use pull::Images;
pub use pulled::{PulledImage, ResolvedImage};
pub use reference::{InvalidReference, Reference};
