//! Takes secrets out of output before it leaves the host.
//!
//! Takes secrets once ([`Mask`]) and then raw bytes of one log section ([`MaskStream`]); gives bytes in which
//! every occurrence is five asterisks, with the raw offset up to which they are decided. Never: a byte given
//! out that a later byte could still turn into a part of a secret, and never a secret in a `Debug` output.
//!
//! What is looked for: each secret as it is and each longer line of a secret of several lines, both also as
//! JSON, HCL, shells and URLs write them, and its base64 (at the three alignments that it can have in a longer
//! encoded text, in both alphabets, wrapped or not) and hexadecimal. Occurrences that overlap are hidden
//! together, so a secret that begins inside another leaves no tail; where bytes are missing, what could be the
//! torn end of a secret is hidden too.

mod forms;
mod patterns;
mod search;
mod stream;

pub use patterns::is_too_short;
pub use stream::{Mask, MaskStream, Masked};

/// What stands in a secret's place.
pub const REPLACEMENT: &[u8] = b"*****";

/// Shorter secrets are not hidden: they would blacken ordinary words and still be guessable from the gaps.
pub const MIN_SECRET: usize = 4;
