//! From the image that a run asks for to one pulled digest that the host's list allows.
//!
//! Takes a reference as text, the host's allowlist and registry logins; gives a [`PulledImage`]. Never: a pull
//! of a reference that was not admitted, and never a container from a tag. The types see to it: only
//! [`Allowlist::admit`] makes an [`AdmittedReference`], only [`Images::resolve`] a [`ResolvedImage`], only
//! [`Images::pull`] a [`PulledImage`].

mod admit;
mod allowlist;
mod credentials;
mod policy;
mod progress;
mod pull;
mod reference;

pub use admit::{AdmittedReference, Refusal};
pub use allowlist::{Allowlist, InvalidEntry};
pub use credentials::{Credentials, CredentialsError, DockerAuths};
pub use policy::PullPolicy;
pub use pull::{ImageError, Images, PulledImage, ResolvedImage};
pub use reference::{InvalidReference, Reference};
