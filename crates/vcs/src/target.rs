//! What is asked for, in one normal form.
//!
//! Takes a request target (path and query, as it arrived), gives decoded segments and query pairs, and writes them
//! again. Everything that judges or forwards a request works on this form only. Never: an authority, a dot segment, an
//! empty segment, or a character that some server in between may read as another one.

mod query;
mod segment;

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use query::Pair;

/// Longest target, in bytes as it arrived.
pub const TARGET_LIMIT: usize = 8 * 1024;
/// Longest segment, in bytes after decoding.
pub const SEGMENT_LIMIT: usize = 1024;
/// Most segments of a path.
const SEGMENTS: usize = 64;

/// What a segment is written with as it is; everything else is escaped. A colon or an at sign is escaped because
/// there are readers that take one for the end of a scheme or of a user name.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A segment that holds slashes is written with its dots escaped, as the clients of the hosts that have such
/// segments write it.
const IN_LONG_SEGMENT: &AsciiSet = &IN_SEGMENT.add(b'.');

/// Why a text is no target that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than [`TARGET_LIMIT`].
    #[error("the target is longer than {TARGET_LIMIT} bytes")]
    TooLong,
    /// It does not begin with one slash and a segment.
    #[error(
        "the target does not begin with a single `/`: it has to be a path below the base endpoint"
    )]
    NotAPath,
    /// Two slashes without anything between them, or an escaped slash at the edge of a segment.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.`, `..`, or what a server may take for one of them.
    #[error("the path has a dot segment")]
    DotSegment,
    /// A character that has no place in a path or query, as it is or escaped.
    #[error("the target has a character that has no place in it: U+{0:04X}")]
    Character(u32),
    /// A `%` without two hexadecimal digits behind it.
    #[error("the target has a `%` that is not followed by two hexadecimal digits")]
    BadEscape,
    /// Escapes that do not make up UTF-8.
    #[error("the target's escapes are not UTF-8")]
    NotUtf8,
    /// What is escaped is an escape again.
    #[error("the path is escaped twice")]
    EscapedTwice,
    /// A segment is longer than [`SEGMENT_LIMIT`].
    #[error("the path has a segment of more than {SEGMENT_LIMIT} bytes")]
    LongSegment,
    /// More than [`SEGMENTS`] segments.
    #[error("the path has more than {SEGMENTS} segments")]
    ManySegments,
    /// More pairs than [`query::PAIRS`].
    #[error("the query has more than {} pairs", query::PAIRS)]
    ManyPairs,
    /// A query that climbs with dot segments.
    #[error("the query has a value with the segment `..`")]
    QueryClimbs,
    /// A query with a parameter that changes who asks or how.
    #[error(
        "the query has a parameter that replaces the method, the user or the credential of a request"
    )]
    QueryPower,
}

/// A target in its normal form. It says nothing yet about whether it may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Normal {
    segments: Vec<String>,
    trailing_slash: bool,
    query: Vec<Pair>,
}

impl Normal {
    /// Reads a target.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(crate) fn read(target: &str) -> Result<Self, TargetError> {
        if target.len() > TARGET_LIMIT {
            return Err(TargetError::TooLong);
        }
        if let Some(wrong) = target.chars().find(|c| !c.is_ascii_graphic() || *c == '\\') {
            return Err(TargetError::Character(u32::from(wrong)));
        }
        if target.contains('#') {
            return Err(TargetError::Character(u32::from('#')));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let inside = path.strip_prefix('/').ok_or(TargetError::NotAPath)?;
        if inside.is_empty() || inside.starts_with('/') {
            return Err(TargetError::NotAPath);
        }
        let (inside, trailing_slash) = match inside.strip_suffix('/') {
            Some(inside) => (inside, true),
            None => (inside, false),
        };
        let segments: Vec<_> = inside
            .split('/')
            .take(SEGMENTS + 1)
            .map(segment::read)
            .collect::<Result<_, _>>()?;
        if segments.len() > SEGMENTS {
            return Err(TargetError::ManySegments);
        }
        Ok(Self {
            segments,
            trailing_slash,
            query: query::read(query)?,
        })
    }

    /// The decoded segments.
    pub(crate) fn segments(&self) -> &[String] {
        &self.segments
    }

    /// Whether a slash stands at the end of the path.
    pub(crate) fn trailing_slash(&self) -> bool {
        self.trailing_slash
    }

    /// The decoded query, in its order.
    pub(crate) fn query(&self) -> &[Pair] {
        &self.query
    }

    /// The path, decoded, for people and for blocklists.
    pub(crate) fn decoded_path(&self) -> String {
        let end = if self.trailing_slash { "/" } else { "" };
        format!("/{}{end}", self.segments.join("/"))
    }

    /// The path, escaped anew.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            let set = if segment.contains('/') {
                IN_LONG_SEGMENT
            } else {
                IN_SEGMENT
            };
            path.push('/');
            path.extend(utf8_percent_encode(segment, set));
        }
        if self.trailing_slash {
            path.push('/');
        }
        path
    }

    /// The query, escaped anew, without `?`; empty for none.
    pub(crate) fn query_text(&self) -> String {
        query::write(&self.query)
    }
}

impl fmt::Display for Normal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.path())?;
        match self.query_text() {
            query if query.is_empty() => Ok(()),
            query => write!(out, "?{query}"),
        }
    }
}

/// Decodes escapes, once.
fn decode(text: &str) -> Result<String, TargetError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |at: usize| {
            after
                .get(at)
                .and_then(|byte| char::from(*byte).to_digit(16))
        };
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(TargetError::BadEscape);
        };
        bytes.push((high * 16 + low) as u8);
        rest = &after[2..];
    }
    let text = String::from_utf8(bytes).map_err(|_| TargetError::NotUtf8)?;
    match text.chars().find(|c| is_unfit(*c)) {
        Some(wrong) => Err(TargetError::Character(u32::from(wrong))),
        None => Ok(text),
    }
}

/// Characters that are in no name of a repository, branch or file that anybody needs, and that some server, proxy or
/// log reader takes for another character, for the end of a line or for nothing.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\\' | '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2024}'..='\u{202E}' | '\u{2044}' | '\u{2060}'..='\u{206F}'
            | '\u{2215}' | '\u{2216}' | '\u{29F5}' | '\u{29F8}' | '\u{29F9}' | '\u{FE52}' | '\u{FE68}' | '\u{FEFF}'
            | '\u{FF00}'..='\u{FFEF}' | '\u{FFFD}')
}

/// Whether a piece between slashes is a dot segment, or may become one where trailing dots and spaces are cut.
fn is_dots(piece: &str) -> bool {
    !piece.is_empty() && piece.chars().all(|c| c == '.' || c == ' ')
}

#[cfg(test)]
mod tests;
