//! Finds patterns in text: for each position the longest pattern that begins there.
//!
//! Takes sorted patterns once, then texts. Gives matches in the order of their starts, overlapping ones too.
//! Never: a match that depends on another; whoever asks decides what overlaps mean.
//!
//! Most positions are skipped by the method of Wu and Manber: three bytes at the end of a window as long as
//! the shortest pattern tell how far the window may move. Unlike an automaton, whose tables would be hundreds of
//! times the patterns' size, this needs little more memory than the patterns themselves.

use zeroize::Zeroize as _;

/// Bytes that are looked at to decide how far to move.
const BLOCK: usize = 3;

/// Longest window: a longer one would make the table fuller and moves hardly longer.
const MAX_WINDOW: usize = 16;

/// Patterns, ready for searching.
pub(super) struct Search {
    /// Sorted, without duplicates, each at least [`BLOCK`] bytes.
    patterns: Vec<Vec<u8>>,
    /// For each pattern the longest other one that it begins with.
    parents: Vec<Option<usize>>,
    longest: usize,
    window: usize,
    /// How far the window may move, by the hash of its last [`BLOCK`] bytes; its length is a power of two.
    moves: Vec<u8>,
    begins: Begins,
}

impl Search {
    /// `None` when there is nothing to look for.
    pub(super) fn new(patterns: Vec<Vec<u8>>) -> Option<Self> {
        let shortest = patterns.iter().map(Vec::len).min()?;
        let window = shortest.min(MAX_WINDOW);
        Some(Self {
            parents: parents(&patterns),
            longest: patterns.iter().map(Vec::len).max().unwrap_or(0),
            moves: moves(&patterns, window),
            begins: Begins::new(&patterns),
            window,
            patterns,
        })
    }

    pub(super) fn patterns(&self) -> &[Vec<u8>] {
        &self.patterns
    }

    /// Length of the longest pattern.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// The first position in `from..to` where a pattern begins, with the end of the longest one there.
    pub(super) fn next(&self, text: &[u8], from: usize, to: usize) -> Option<(usize, usize)> {
        let mut at = from;
        while at < to {
            let block = text.get(at + self.window - BLOCK..at + self.window)?;
            let step = usize::from(self.moves[hash(block, self.moves.len())]);
            if step == 0 {
                if let Some(length) = self.longest_at(&text[at..]) {
                    return Some((at, at + length));
                }
                at += 1;
            }
            at += step;
        }
        None
    }

    fn longest_at(&self, text: &[u8]) -> Option<usize> {
        if !self.begins.may_begin(text) {
            return None;
        }
        // All patterns that `text` begins with are beginnings of the last one that is not behind it.
        let next = self
            .patterns
            .partition_point(|pattern| pattern.as_slice() <= text);
        let mut at = next.checked_sub(1)?;
        let nearest = &self.patterns[at];
        let common = nearest.iter().zip(text).take_while(|(a, b)| a == b).count();
        while self.patterns[at].len() > common {
            at = self.parents[at]?;
        }
        Some(self.patterns[at].len())
    }

    /// The first position from which `text` could continue to a pattern that it does not hold yet; its length
    /// if there is none.
    pub(super) fn first_open(&self, text: &[u8]) -> usize {
        let near = text.len().saturating_sub(self.longest.saturating_sub(1));
        (near..text.len())
            .find(|at| self.begins_longer(&text[*at..]))
            .unwrap_or(text.len())
    }

    fn begins_longer(&self, piece: &[u8]) -> bool {
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

    /// Length of the longest end of a pattern, `least` bytes or more, that `text` begins with: what may be left
    /// of a secret whose beginning is missing.
    pub(super) fn torn(&self, text: &[u8], least: usize) -> usize {
        let ends = self.patterns.iter().flat_map(|pattern| {
            let last = pattern.len().saturating_sub(least);
            (1..=last).map(|cut| &pattern[cut..])
        });
        let ends = ends.filter(|end| text.starts_with(end));
        ends.map(<[u8]>::len).max().unwrap_or(0)
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.patterns.zeroize();
    }
}

fn parents(patterns: &[Vec<u8>]) -> Vec<Option<usize>> {
    let mut chain: Vec<usize> = Vec::new();
    let mut parents = Vec::with_capacity(patterns.len());
    for (index, pattern) in patterns.iter().enumerate() {
        while chain
            .last()
            .is_some_and(|last| !pattern.starts_with(&patterns[*last]))
        {
            chain.pop();
        }
        parents.push(chain.last().copied());
        chain.push(index);
    }
    parents
}

fn moves(patterns: &[Vec<u8>], window: usize) -> Vec<u8> {
    let last = window - BLOCK;
    let blocks = patterns.len() * (last + 1);
    let size = (blocks * 16).next_power_of_two().clamp(1 << 13, 1 << 18);
    let most = u8::try_from(last + 1).expect("invariant: windows are short");
    let mut moves = vec![most; size];
    for pattern in patterns {
        for at in 0..=last {
            let entry = &mut moves[hash(&pattern[at..at + BLOCK], size)];
            let step = u8::try_from(last - at).expect("invariant: windows are short");
            *entry = step.min(*entry);
        }
    }
    moves
}

/// A number below `size`, which is a power of two.
fn hash(block: &[u8], size: usize) -> usize {
    let number = block
        .iter()
        .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    (number.wrapping_mul(0x9E37_79B1) >> (32 - size.trailing_zeros())) as usize
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn search(patterns: &[String]) -> Search {
        let mut patterns: Vec<_> = patterns.iter().map(|p| p.as_bytes().to_vec()).collect();
        patterns.sort();
        patterns.dedup();
        Search::new(patterns).unwrap()
    }

    proptest! {
        #[test]
        fn it_finds_what_looking_everywhere_finds(
            patterns in proptest::collection::vec("[ab]{4,9}|[abc]{4,40}|ab{4,7}", 1..12),
            text in "[abcd]{0,200}",
        ) {
            let search = search(&patterns);
            let text = text.as_bytes();
            let everywhere = (0..text.len()).filter_map(|at| {
                let here = search.patterns().iter().filter(|p| text[at..].starts_with(p));
                Some((at, at + here.map(Vec::len).max()?))
            });
            let mut found = Vec::new();
            let mut at = 0;
            while let Some(hit) = search.next(text, at, text.len()) {
                found.push(hit);
                at = hit.0 + 1;
            }
            prop_assert_eq!(found, everywhere.collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_left_of_a_torn_secret() {
        let search = search(&["hunter2hunter2".into(), "other-secret".into()]);
        for (text, left) in [
            ("secret and", 6),
            ("r2hunter2", 9),
            ("hunter2hunter2", 7),
            ("et and", 0),
            ("nothing", 0),
        ] {
            assert_eq!(search.torn(text.as_bytes(), 4), left, "{text}");
        }
    }
}
