//! Code hosts as the server asks them: what they answer, and how they refuse.

mod played;
mod refusals;
mod vendors;
