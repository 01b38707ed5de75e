//! What the evaluating process takes from itself before it reads anything.
//!
//! Takes numbers. Never: a limit that is left out because it could not be set.

use std::io;

use nix::sys::prctl;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files: the three streams, and pipes to one command.
const FILES: u64 = 64;

/// Processes of this user on the host, this one included.
const PROCESSES: u64 = 128;

/// Longest file that a command may write.
const FILE_SIZE: u64 = 64 << 20;

/// `memory` in bytes of address space, `seconds` of processor time.
pub(super) fn raise(memory: u64, seconds: u64) -> io::Result<()> {
    prctl::set_no_new_privs()?;
    // Neither a core file nor another process of this user gets to see the policy's text.
    prctl::set_dumpable(false)?;
    hard(Resource::Core, 0)?;
    hard(Resource::Nofile, FILES)?;
    hard(Resource::Nproc, PROCESSES)?;
    hard(Resource::Fsize, FILE_SIZE)?;
    hard(Resource::Cpu, seconds)?;
    // Soft: a command of `exec` gets another kind of limit, because some programs reserve far more than they use.
    soft(Resource::As, memory)
}

/// For the process that watches an evaluation with commands.
pub(super) fn watcher() -> io::Result<()> {
    prctl::set_no_new_privs()?;
    prctl::set_dumpable(false)?;
    // What a command leaves behind becomes this process's own child, whatever session it made for itself.
    prctl::set_child_subreaper(true)?;
    hard(Resource::Core, 0)
}

/// For a command, in its own process: `memory` bytes that it really fills instead of addresses.
pub(super) fn for_command(memory: u64) -> io::Result<()> {
    let unlimited = getrlimit(Resource::As).maximum;
    setrlimit(
        Resource::As,
        Rlimit {
            current: unlimited,
            maximum: unlimited,
        },
    )?;
    hard(Resource::Data, memory)
}

fn hard(resource: Resource, limit: u64) -> io::Result<()> {
    let limit = capped(resource, limit);
    Ok(setrlimit(
        resource,
        Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        },
    )?)
}

fn soft(resource: Resource, limit: u64) -> io::Result<()> {
    let maximum = getrlimit(resource).maximum;
    let current = Some(capped(resource, limit));
    Ok(setrlimit(resource, Rlimit { current, maximum })?)
}

/// A limit that holds already may be tighter.
fn capped(resource: Resource, limit: u64) -> u64 {
    getrlimit(resource)
        .maximum
        .map_or(limit, |maximum| maximum.min(limit))
}
