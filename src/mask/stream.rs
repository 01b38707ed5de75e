//! The streaming replacement.
//!
//! Takes chunks of any size, gives what is decided. Never: a result that depends on how the input was cut.

use std::sync::Arc;

use super::patterns::patterns;
use super::search::Search;
use super::{MIN_SECRET, REPLACEMENT};

/// A chain of overlapping occurrences is cut at the first occurrence behind this many bytes, so that the held
/// bytes stay bounded.
const MAX_CHAIN: usize = 64 << 10;

/// Compiled secrets of one run. Cheap to clone.
#[derive(Clone)]
pub struct Mask {
    search: Option<Arc<Search>>,
}

/// Output of a step.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Masked {
    /// Bytes without secrets.
    pub bytes: Vec<u8>,
    /// Raw offset up to which the input is decided: a stream begun there continues with the same output.
    pub decided: u64,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} patterns)", self.patterns().len())
    }
}

impl Mask {
    /// Compiles `secrets`. White space around each is not part of it; what is shorter than [`MIN_SECRET`] is not
    /// hidden (see [`super::is_too_short`]).
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self {
            search: Search::new(patterns(secrets)).map(Arc::new),
        }
    }

    fn patterns(&self) -> &[Vec<u8>] {
        self.search.as_deref().map_or(&[], Search::patterns)
    }

    /// Begins at raw offset `at` of a log section: 0, or a value of [`Masked::decided`].
    pub fn stream(&self, at: u64) -> MaskStream {
        MaskStream {
            mask: self.clone(),
            held: Vec::new(),
            decided: at,
            torn: false,
        }
    }

    /// Begins at raw offset `at` behind a gap: what could be the end of a secret whose beginning is in the gap
    /// is hidden too.
    pub fn stream_after_gap(&self, at: u64) -> MaskStream {
        MaskStream {
            torn: self.search.is_some(),
            ..self.stream(at)
        }
    }

    /// Hides the secrets of one whole text.
    pub fn whole(&self, text: &[u8]) -> Vec<u8> {
        let mut stream = self.stream(0);
        let mut bytes = stream.push(text).bytes;
        bytes.extend(stream.finish().bytes);
        bytes
    }
}

/// One log section on its way through the mask.
pub struct MaskStream {
    mask: Mask,
    held: Vec<u8>,
    decided: u64,
    /// Begun behind a gap, and not far enough yet to know what of a secret is left.
    torn: bool,
}

impl std::fmt::Debug for MaskStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "MaskStream({} held at {})",
            self.held.len(),
            self.decided
        )
    }
}

impl MaskStream {
    /// Takes the next raw bytes, gives what is decided by now. What could be the beginning of a secret is
    /// held back: at most the longest pattern, or a chain of overlapping ones of 64 KiB.
    pub fn push(&mut self, chunk: &[u8]) -> Masked {
        let Some(search) = self.mask.search.clone() else {
            self.decided += chunk.len() as u64;
            return self.given(chunk.to_vec());
        };
        if self.held.is_empty() && !self.torn {
            let (bytes, kept) = run(&search, chunk, 0, search.first_open(chunk));
            self.held.extend_from_slice(&chunk[kept..]);
            self.decided += kept as u64;
            return self.given(bytes);
        }
        self.held.extend_from_slice(chunk);
        if self.torn && self.held.len() < search.longest() {
            return self.given(Vec::new());
        }
        let open = search.first_open(&self.held);
        self.decide(&search, open)
    }

    /// Ends the section: everything held is decided now.
    pub fn finish(&mut self) -> Masked {
        match self.mask.search.clone() {
            Some(search) => self.decide(&search, self.held.len()),
            None => self.given(Vec::new()),
        }
    }

    /// Ends the section where bytes are missing: held bytes that could be the beginning of a secret are hidden.
    pub fn finish_at_gap(&mut self) -> Masked {
        let Some(search) = self.mask.search.clone() else {
            return self.given(Vec::new());
        };
        let open = search.first_open(&self.held);
        let mut masked = self.decide(&search, open);
        let held = std::mem::take(&mut self.held);
        self.torn = false;
        self.decided += held.len() as u64;
        masked.decided = self.decided;
        match held.len() >= MIN_SECRET {
            true => masked.bytes.extend_from_slice(REPLACEMENT),
            false => masked.bytes.extend_from_slice(&held),
        }
        masked
    }

    /// Raw offset up to which everything has been given out.
    pub fn decided(&self) -> u64 {
        self.decided
    }

    /// Gives out the held bytes as far as positions below `open` decide them.
    fn decide(&mut self, search: &Search, open: usize) -> Masked {
        let torn = match self.torn {
            true => search.torn(&self.held, MIN_SECRET),
            false => 0,
        };
        if torn > open {
            return self.given(Vec::new());
        }
        self.torn = false;
        let (bytes, kept) = run(search, &self.held, torn, open);
        // A new buffer of what is left: the old one had room for a whole chunk.
        self.held = self.held.split_off(kept);
        self.decided += kept as u64;
        self.given(bytes)
    }

    fn given(&self, bytes: Vec<u8>) -> Masked {
        Masked {
            bytes,
            decided: self.decided,
        }
    }
}

/// Masks `text`, of which the first `torn` bytes are a secret's rest, and where what begins at `open` or later
/// is not decided. Gives it with the length of the part that is.
fn run(search: &Search, text: &[u8], torn: usize, open: usize) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    let mut span = (torn > 0).then_some((0, torn));
    let mut from = 0;
    while let Some((start, end)) = search.next(text, from, open) {
        from = start + 1;
        match &mut span {
            Some((_, reach)) if start < *reach && end <= *reach => {}
            Some((begin, reach)) if start < *reach && start - *begin < MAX_CHAIN => *reach = end,
            Some((_, reach)) => {
                // A chain is cut where one begins that reaches further than all before: a stream that is
                // begun there sees everything that matters from there on.
                out.extend_from_slice(REPLACEMENT);
                let clear = *reach;
                out.extend_from_slice(text.get(clear..start).unwrap_or_default());
                done = start;
                span = Some((start, end));
            }
            None => {
                out.extend_from_slice(&text[done..start]);
                done = start;
                span = Some((start, end));
            }
        }
    }
    match span {
        // It may still grow.
        Some((begin, reach)) if reach > open => return (out, begin),
        Some((_, reach)) => {
            out.extend_from_slice(REPLACEMENT);
            done = reach;
        }
        None => {}
    }
    out.extend_from_slice(&text[done..open]);
    (out, open)
}

#[cfg(test)]
#[path = "stream/tests.rs"]
mod tests;
