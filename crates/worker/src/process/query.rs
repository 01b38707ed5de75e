//! Runs a command for its answer, not for its output in the log.
//!
//! Takes a command and a reader of its standard output, gives what the reader made of it. Must never
//! happen here: a command that blocks because nobody reads, or unbounded memory for what it prints.

use std::io::{PipeReader, Read};
use std::process::Command;

use crate::process::{Exit, Processes, Role, SpawnError};

/// How much of a command's complaint is kept, in bytes.
const COMPLAINT: u64 = 4 << 10;

/// Why a command gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// No pipe or thread for it.
    #[error("could not read the output of a command")]
    Pipe(#[source] std::io::Error),
    /// It failed.
    #[error("{exit}: {complaint}", exit = words(*exit))]
    Failed {
        /// How it ended.
        exit: Exit,
        /// The start of its standard error.
        complaint: String,
    },
}

/// How a process ended, in words.
pub fn words(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("ended with exit code {code}"),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
    }
}

/// Runs `command` and gives what `read` made of its standard output. What `read` leaves is discarded.
///
/// # Errors
/// [`QueryError`] when the command does not start or does not exit with 0.
pub async fn query<T: Send + 'static>(
    processes: &Processes,
    command: &mut Command,
    read: impl FnOnce(&mut PipeReader) -> T + Send + 'static,
) -> Result<T, QueryError> {
    let (mut out, out_writer) = std::io::pipe().map_err(QueryError::Pipe)?;
    let (mut err, err_writer) = std::io::pipe().map_err(QueryError::Pipe)?;
    command.stdout(out_writer).stderr(err_writer);
    let running = processes.spawn(command, Role::Aside);
    // The command holds write ends of its own: without this the readers would never see the end.
    command.stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    let running = running?;
    let complaint = tokio::task::spawn_blocking(move || {
        let mut complaint = Vec::new();
        let _ = err.by_ref().take(COMPLAINT).read_to_end(&mut complaint);
        discard(&mut err);
        String::from_utf8_lossy(&complaint).trim().to_owned()
    });
    let answer = tokio::task::spawn_blocking(move || {
        let answer = read(&mut out);
        discard(&mut out);
        answer
    });
    let exit = running.exit().await;
    let (answer, complaint) = tokio::join!(answer, complaint);
    let joined = |error: tokio::task::JoinError| QueryError::Pipe(std::io::Error::other(error));
    let (answer, complaint) = (answer.map_err(joined)?, complaint.map_err(joined)?);
    match exit {
        Exit::Code(0) => Ok(answer),
        exit => Err(QueryError::Failed { exit, complaint }),
    }
}

fn discard(reader: &mut PipeReader) {
    let _ = std::io::copy(reader, &mut std::io::sink());
}
