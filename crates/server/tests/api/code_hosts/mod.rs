//! Code hosts as the server asks them: what they answer, and how they refuse.

mod agent;
mod answers;
mod behind;
mod git_host;
mod played;
mod refusals;
mod vendors;

/// The file that all hosts have.
const FILE: &str = ".spacelift/config.yml";
