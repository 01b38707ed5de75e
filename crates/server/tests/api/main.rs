//! Contract tests of the API and the process: the real server on a free port, the texts of real clients.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod approval;
mod audit;
mod contexts;
mod contract;
mod code_hosts;
mod concurrency;
mod chosen;
mod documents;
mod drift;
mod fuzz;
mod ingress;
mod joined;
mod kept;
mod limits;
mod logins;
mod matrix;
mod managed;
mod metadata;
mod notifications;
mod policies;
mod pools;
mod previews;
mod process;
mod pushes;
mod runs;
mod runtime;
mod spaces;
mod stacks;
mod statements;
mod states;
mod vcs_pools;
mod world;
