//! The streaming replacement.
//!
//! Takes chunks of any size, gives what is decided. Never: a result that depends on how the input was cut.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::REPLACEMENT;
use super::patterns::patterns;

/// Below this many bytes of patterns the faster automaton is affordable (it takes about 1 KiB per byte).
const DFA_BYTES: usize = 16 << 10;

/// A chain of overlapping occurrences is cut here, so that the held bytes stay bounded.
const MAX_CHAIN: usize = 64 << 10;

/// Compiled secrets of one run. Cheap to clone.
#[derive(Clone)]
pub struct Mask {
    inner: Arc<Compiled>,
}

struct Compiled {
    search: Option<Search>,
    /// Sorted, to find those that begin with a given text.
    patterns: Vec<Vec<u8>>,
    /// The patterns' first bytes: spares most positions the search among the patterns.
    begins: Begins,
    longest: usize,
    short: usize,
}

struct Search {
    /// Fast test for the first occurrence.
    first: AhoCorasick,
    /// All occurrences, overlapping ones too.
    all: AhoCorasick,
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
        write!(f, "Mask({} patterns)", self.inner.patterns.len())
    }
}

impl Mask {
    /// Compiles `secrets`. White space around each is not part of it.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (patterns, short) = patterns(secrets);
        let bytes: usize = patterns.iter().map(Vec::len).sum();
        let kind = match bytes <= DFA_BYTES {
            true => AhoCorasickKind::DFA,
            false => AhoCorasickKind::ContiguousNFA,
        };
        let build = |matches| {
            AhoCorasick::builder()
                .kind(Some(kind))
                .match_kind(matches)
                .build(&patterns)
                .expect("invariant: the patterns' total size is far below the automaton's 2 GiB")
        };
        let search = (!patterns.is_empty()).then(|| Search {
            first: build(MatchKind::LeftmostLongest),
            all: build(MatchKind::Standard),
        });
        Self {
            inner: Arc::new(Compiled {
                search,
                longest: patterns.iter().map(Vec::len).max().unwrap_or(0),
                begins: Begins::new(&patterns),
                patterns,
                short,
            }),
        }
    }

    /// How many secrets are too short to be hidden; the run's log should say so, without naming them.
    pub fn too_short(&self) -> usize {
        self.inner.short
    }

    /// Begins at raw offset `at` of a log section: 0, or a value of [`Masked::decided`].
    pub fn stream(&self, at: u64) -> MaskStream {
        MaskStream {
            mask: self.inner.clone(),
            held: Vec::new(),
            decided: at,
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
    mask: Arc<Compiled>,
    held: Vec<u8>,
    decided: u64,
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
    /// held back: at most the longest secret, or a chain of overlapping ones of 64 KiB.
    pub fn push(&mut self, chunk: &[u8]) -> Masked {
        let mask = self.mask.clone();
        let Some(search) = &mask.search else {
            self.decided += chunk.len() as u64;
            return Masked {
                bytes: chunk.to_vec(),
                decided: self.decided,
            };
        };
        if self.held.is_empty() {
            let (masked, kept) = mask.run(search, chunk, false, self.decided);
            self.held.extend_from_slice(&chunk[kept..]);
            self.decided = masked.decided;
            return masked;
        }
        self.held.extend_from_slice(chunk);
        let (masked, kept) = mask.run(search, &self.held, false, self.decided);
        self.held.drain(..kept);
        self.decided = masked.decided;
        masked
    }

    /// Ends the section: everything held is decided now.
    pub fn finish(&mut self) -> Masked {
        let held = std::mem::take(&mut self.held);
        match &self.mask.search {
            Some(search) => {
                let (masked, _) = self.mask.run(search, &held, true, self.decided);
                self.decided = masked.decided;
                masked
            }
            None => Masked {
                bytes: Vec::new(),
                decided: self.decided,
            },
        }
    }

    /// Raw offset up to which everything has been given out.
    pub fn decided(&self) -> u64 {
        self.decided
    }
}

impl Compiled {
    /// Masks the decided part of `text`; gives it with the length of that part.
    fn run(&self, search: &Search, text: &[u8], last: bool, base: u64) -> (Masked, usize) {
        let open_from = |from| match last {
            true => text.len(),
            false => self.first_open(text, from),
        };
        let mut out = Vec::with_capacity(text.len());
        let (mut done, mut open) = (0, open_from(0));
        if let Some(first) = search.first.find(text) {
            for (start, end) in spans(&search.all, text, first.start()) {
                // A span that reaches into the open part may still grow.
                if end > open && open < start + MAX_CHAIN {
                    open = open.min(start);
                    break;
                }
                out.extend_from_slice(&text[done..start]);
                out.extend_from_slice(REPLACEMENT);
                done = end;
                if done > open {
                    open = open_from(done);
                }
            }
        }
        out.extend_from_slice(&text[done..open]);
        let masked = Masked {
            bytes: out,
            decided: base + open as u64,
        };
        (masked, open)
    }

    /// First position, `from` or later, from which `text` could continue to a pattern that it does not hold
    /// yet; its length if there is none.
    fn first_open(&self, text: &[u8], from: usize) -> usize {
        let near = text.len().saturating_sub(self.longest.saturating_sub(1));
        (near.max(from)..text.len())
            .find(|at| self.begins_a_pattern(&text[*at..]))
            .unwrap_or(text.len())
    }

    fn begins_a_pattern(&self, piece: &[u8]) -> bool {
        if !self.begins.may_begin(piece) {
            return false;
        }
        // Patterns are sorted, so those that begin with `piece` directly follow it.
        let next = self
            .patterns
            .partition_point(|pattern| pattern.as_slice() <= piece);
        self.patterns
            .get(next)
            .is_some_and(|pattern| pattern.starts_with(piece))
    }
}

/// First bytes, and first two bytes (one bit each), of the patterns.
struct Begins {
    one: [bool; 256],
    two: Vec<u64>,
}

impl Begins {
    fn new(patterns: &[Vec<u8>]) -> Self {
        let mut begins = Self {
            one: [false; 256],
            two: vec![0; 1024],
        };
        for pattern in patterns {
            if let [first, second, ..] = pattern[..] {
                begins.one[usize::from(first)] = true;
                let bit = usize::from(u16::from_be_bytes([first, second]));
                begins.two[bit / 64] |= 1 << (bit % 64);
            }
        }
        begins
    }

    fn may_begin(&self, piece: &[u8]) -> bool {
        match *piece {
            [] => false,
            [first] => self.one[usize::from(first)],
            [first, second, ..] => {
                let bit = usize::from(u16::from_be_bytes([first, second]));
                self.two[bit / 64] & (1 << (bit % 64)) != 0
            }
        }
    }
}

/// Spans of overlapping occurrences from `from` on, in order, each cut at [`MAX_CHAIN`].
fn spans(all: &AhoCorasick, text: &[u8], from: usize) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = all
        .find_overlapping_iter(&text[from..])
        .map(|m| (from + m.start(), from + m.end()))
        .collect();
    found.sort_unstable_by_key(|(start, end)| (*start, std::cmp::Reverse(*end)));
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (start, end) in found {
        match spans.last_mut() {
            Some(span) if start < span.1 => {
                if start - span.0 < MAX_CHAIN {
                    span.1 = span.1.max(end);
                }
            }
            _ => spans.push((start, end)),
        }
    }
    spans
}

#[cfg(test)]
#[path = "stream/tests.rs"]
mod tests;
