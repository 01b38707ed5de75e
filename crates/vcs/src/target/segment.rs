//! One segment of a path.
//!
//! Takes the text between two slashes, gives it decoded. Never: a segment that is empty, climbs, or means something
//! else to who decodes it again.

use super::{SEGMENT_LIMIT, TargetError, decode, is_dots};

/// What may stand in a path as it is (RFC 3986), without the `;` that begins parameters for some servers.
fn is_raw(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,=:@".contains(&byte)
}

/// Reads a segment.
pub(super) fn read(raw: &str) -> Result<String, TargetError> {
    if let Some(wrong) = raw.bytes().find(|byte| !is_raw(*byte)) {
        return Err(TargetError::Character(u32::from(wrong)));
    }
    let segment = decode(raw)?;
    if segment.contains(';') {
        return Err(TargetError::Character(u32::from(';')));
    }
    // An escaped slash divides a segment for whoever decodes before splitting: each piece has to be sound.
    for piece in segment.split('/') {
        if piece.is_empty() {
            return Err(TargetError::EmptySegment);
        }
        if is_dots(piece) {
            return Err(TargetError::DotSegment);
        }
    }
    if is_escaped_again(&segment) {
        return Err(TargetError::EscapedTwice);
    }
    if segment.len() > SEGMENT_LIMIT {
        return Err(TargetError::LongSegment);
    }
    Ok(segment)
}

/// Whether decoding once more would change it.
fn is_escaped_again(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    bytes.windows(3).any(|three| {
        three[0] == b'%' && three[1].is_ascii_hexdigit() && three[2].is_ascii_hexdigit()
    })
}
