//! One line on standard output for every request, whatever became of it.
//!
//! Takes what was asked and what came of it, gives one JSON object per line, keys in alphabetical order. Never: a
//! request without a line (one that is cut gets its line when it is dropped), a credential, a header, a body, or the
//! value of a query parameter.

mod debug;
mod redact;
mod tally;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use percent_encoding::percent_decode_str;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use tally::{Tally, Up};

/// Longest path in a line, in bytes; what is cut off was refused anyway.
const PATH_LIMIT: usize = 8 * 1024;
const KEYS_LIMIT: usize = 32;
const KEY_LIMIT: usize = 64;

/// Where lines go. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
}

struct Shared {
    pool: String,
    dump: bool,
    out: Mutex<Box<dyn Write + Send>>,
    tally: Arc<Tally>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The host answered, and the answer went out whole.
    Served,
    /// It never left the agent.
    Refused {
        /// What the gateway is told.
        error: String,
        /// What is said here.
        reason: String,
    },
    /// It was sent, or should have been, and something failed.
    Failed {
        /// The whole cause.
        error: String,
    },
    /// The gateway took it back.
    Cancelled,
    /// The stream ended, or the agent was stopped, before the answer was whole.
    Cut,
}

/// The record of one request: one line, when it ends or is dropped.
#[must_use = "a record that is dropped says that its request was cut"]
pub struct Record {
    audit: Audit,
    begun: Instant,
    line: Line,
    written: bool,
}

/// Serialised as it stands: the order of the fields is the order of the keys.
#[derive(Serialize)]
struct Line {
    bytes_in: u64,
    bytes_out: u64,
    decision: &'static str,
    elapsed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    id: String,
    level: &'static str,
    method: String,
    milliseconds: u64,
    msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    path: String,
    pool_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    query_keys: Vec<String>,
    raw_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    stream: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    subdomain: Option<&'static str>,
    ts: String,
}

/// What was asked, as it came from the gateway.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The gateway's name for the request.
    pub id: &'a str,
    /// Its method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Bytes of its body.
    pub body: usize,
    /// The slot whose stream it came on.
    pub stream: usize,
}

impl Audit {
    /// Lines of the pool `pool` go to `out`; `dump` adds requests and responses with their headers.
    pub fn new(pool: String, dump: bool, out: Box<dyn Write + Send>, tally: Arc<Tally>) -> Self {
        let shared = Shared {
            pool,
            dump,
            out: Mutex::new(out),
            tally,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A request has arrived.
    pub fn begin(&self, wanted: &Wanted<'_>) -> Record {
        self.shared.tally.began();
        let (path, query) = match wanted.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (wanted.target, None),
        };
        let raw_path = cut(path, PATH_LIMIT);
        let line = Line {
            bytes_in: wanted.body as u64,
            bytes_out: 0,
            decision: "refused",
            elapsed: String::new(),
            error: None,
            id: cut(wanted.id, KEY_LIMIT).to_owned(),
            level: "error",
            method: cut(wanted.method, KEY_LIMIT).to_owned(),
            milliseconds: 0,
            msg: String::new(),
            name: None,
            path: percent_decode_str(raw_path)
                .decode_utf8_lossy()
                .into_owned(),
            pool_id: self.shared.pool.clone(),
            project: None,
            query_keys: keys(query.unwrap_or_default()),
            raw_path: raw_path.to_owned(),
            reason: None,
            status_code: None,
            stream: wanted.stream,
            subdomain: None,
            ts: String::new(),
        };
        Record {
            audit: self.clone(),
            begun: Instant::now(),
            line,
            written: false,
        }
    }

    fn write(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        let mut out = self
            .shared
            .out
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = out.write_all(&line).and_then(|()| out.flush()) {
            tracing::error!(%error, "a line about a request can't be written to standard output");
        }
    }
}

impl Record {
    /// The rules let it through.
    pub fn admitted(&mut self, name: &'static str, project: Option<&str>, codeload: bool) {
        self.line.decision = "admitted";
        self.line.name = Some(name);
        self.line.project = project.map(str::to_owned);
        self.line.subdomain = codeload.then_some("codeload");
    }

    /// What it would have been, as far as the rules know.
    pub fn refused(&mut self, name: Option<&'static str>, project: Option<&str>) {
        self.line.name = name;
        self.line.project = project.map(str::to_owned);
    }

    /// The host answered with this.
    pub fn status(&mut self, status: u16) {
        self.line.status_code = Some(status);
    }

    /// So much of the body has gone out.
    pub fn sent(&mut self, bytes: usize) {
        self.line.bytes_out += bytes as u64;
    }

    /// It is over.
    pub fn finish(mut self, ending: Ending) {
        self.write(ending);
    }

    fn write(&mut self, ending: Ending) {
        self.written = true;
        let tally = &self.audit.shared.tally;
        tally.ended(&ending, self.line.bytes_out);
        let line = &mut self.line;
        (line.level, line.msg) = match &ending {
            Ending::Served => ("info", "Request served.".to_owned()),
            Ending::Refused { error, .. } => ("error", error.clone()),
            Ending::Failed { .. } => ("error", "Error serving request.".to_owned()),
            Ending::Cancelled => ("info", "Request taken back.".to_owned()),
            Ending::Cut => ("error", "Request cut.".to_owned()),
        };
        match ending {
            Ending::Refused { reason, .. } => line.reason = Some(reason),
            Ending::Failed { error } => line.error = Some(error),
            Ending::Served | Ending::Cancelled | Ending::Cut => {}
        }
        let taken = self.begun.elapsed();
        line.milliseconds = u64::try_from(taken.as_millis()).unwrap_or(u64::MAX);
        line.elapsed = format!("{:.1}ms", taken.as_secs_f64() * 1000.0);
        line.ts = OffsetDateTime::now_utc()
            .format(&Rfc3339)
            .unwrap_or_default();
        let text =
            serde_json::to_vec(&self.line).expect("invariant: texts and numbers have a JSON form");
        self.audit.write(text);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.written {
            self.write(Ending::Cut);
        }
    }
}

/// `text` up to `limit` bytes, at a character's end.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Names of a query's parameters. One without `=` may itself be what somebody hides.
fn keys(query: &str) -> Vec<String> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let names = parts.map(|part| part.split_once('=').map_or(part, |(name, _)| name));
    let names = names.map(|name| cut(name, KEY_LIMIT));
    names.map(redact::name).take(KEYS_LIMIT).collect()
}

#[cfg(test)]
mod tests;
