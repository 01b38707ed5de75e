//! The host side of the launcher against the real Docker Engine and a real registry.
//!
//! Takes a running engine, `docker-registry` and a static busybox; gives verdicts. Never: an image from the
//! internet, a container or registry that outlives its test.

mod containers;
pub(crate) mod aws;
mod ecr;
pub(crate) mod front;
mod images;
mod logins;
mod metadata;
mod networks;
mod pulls;
mod tool_keys;
mod tools;
mod world;
