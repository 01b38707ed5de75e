//! Bytes → lines.
//!
//! Takes bytes in any pieces, gives texts without line feeds. Never: a line longer than [`MAX_LINE`], a character
//! torn where a line is cut.

/// Longer lines are cut, in bytes: collectors of logs have limits of about this size.
const MAX_LINE: usize = 16 << 10;

/// One line, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Text; what is not UTF-8 is replaced.
    pub(super) text: String,
    /// Whether the line goes on.
    pub(super) partial: bool,
}

/// The line that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The lines that `bytes` complete.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (piece, after) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
                None => (bytes, &[][..]),
            };
            self.add(piece, &mut lines);
            if end.is_some() {
                let text = std::mem::take(&mut self.rest);
                lines.push(line(&text, false));
            }
            bytes = after;
        }
        lines
    }

    /// What has no line feed.
    pub(super) fn finish(&mut self) -> Option<Line> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| line(&rest, false))
    }

    fn add(&mut self, mut piece: &[u8], lines: &mut Vec<Line>) {
        while self.rest.len() + piece.len() > MAX_LINE {
            let (now, later) = piece.split_at(MAX_LINE - self.rest.len());
            self.rest.extend_from_slice(now);
            let torn = self.rest.split_off(boundary(&self.rest));
            lines.push(line(&self.rest, true));
            self.rest = torn;
            piece = later;
        }
        self.rest.extend_from_slice(piece);
    }
}

fn line(bytes: &[u8], partial: bool) -> Line {
    Line {
        text: String::from_utf8_lossy(bytes).into_owned(),
        partial,
    }
}

/// Where to cut `bytes` so that a character at their end stays whole.
fn boundary(bytes: &[u8]) -> usize {
    let continues = |byte: &u8| byte & 0xC0 == 0x80;
    let tail = bytes
        .iter()
        .rev()
        .take(3)
        .take_while(|byte| continues(byte));
    let before = bytes.len() - tail.count();
    match before.checked_sub(1).map(|at| bytes[at]) {
        Some(first) if first >= 0xC0 => before - 1,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8], step: usize) -> Vec<Line> {
        let mut lines = Lines::default();
        let mut found: Vec<Line> = text
            .chunks(step)
            .flat_map(|chunk| lines.push(chunk))
            .collect();
        found.extend(lines.finish());
        found
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let text = format!("x{}", "é".repeat(MAX_LINE));
        let found = all(format!("{text}\nshort\n").as_bytes(), 1000);
        let (short, long) = found.split_last().expect("lines");
        assert_eq!(short.text, "short");
        let joined: String = long.iter().map(|line| line.text.as_str()).collect();
        assert!(joined == text, "nothing is torn");
        let partial: Vec<_> = found.iter().map(|line| line.partial).collect();
        assert_eq!(partial, [true, true, false, false]);
        assert!(found.iter().all(|line| line.text.len() <= MAX_LINE));
    }

    proptest! {
        #[test]
        fn lines_are_the_texts_lines_however_they_come(text in "[a\\né😀 ]{0,300}", step in 1_usize..50) {
            let found = all(text.as_bytes(), step);
            let texts: Vec<String> = found.into_iter().map(|line| line.text).collect();
            let expected: Vec<String> = text.split_terminator('\n').map(str::to_owned).collect();
            prop_assert_eq!(texts, expected);
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..500), step in 1_usize..50) {
            let feeds = bytes.iter().filter(|byte| **byte == b'\n').count();
            let found = all(&bytes, step);
            prop_assert!(found.len() == feeds || found.len() == feeds + 1);
        }
    }
}
