//! Contract tests of the API and the process: the real server on a free port, the texts of real clients.

mod logins;
mod pools;
mod process;
mod runs;
mod stacks;
mod world;
