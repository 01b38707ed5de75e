//! A server that can't be trusted, and what launchers let it do.
//!
//! Real launcher, worker, Docker, Git and Terraform; only the control plane is ours to command
//! (`crates/test-support/src/hostile`). What was executed is seen by marks that commands leave on the host. The list of
//! attacks stands in docs/SECURITY.md.

mod envelopes;
mod lies;
mod scene;
mod signed;
mod signing;
mod table;
mod unsigned;
mod workers;
mod workspaces;
