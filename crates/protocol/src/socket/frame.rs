//! Framing of the run socket: `u32` header length, `u32` body length (big endian), JSON header, raw body.
//!
//! Only managed-state messages have a body. Both lengths are bounded before anything is allocated.

/// Longest JSON header in bytes: a work order with mounted files (2 MB each, base64) has to fit.
pub const MAX_HEADER: usize = 64 << 20;

/// Longest body in bytes: the largest Terraform state that is carried.
pub const MAX_BODY: usize = 256 << 20;

/// Bytes before the header.
pub const PREFIX: usize = 8;

/// One message with its raw body.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame<M> {
    /// The message.
    pub message: M,
    /// Raw bytes that belong to it; empty for most.
    pub body: Vec<u8>,
}

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A length is over its bound.
    #[error(
        "run socket frame of {header}+{body} bytes is over the limit of {MAX_HEADER}+{MAX_BODY}"
    )]
    TooLong {
        /// Announced header length.
        header: usize,
        /// Announced body length.
        body: usize,
    },
    /// The header is not the expected JSON.
    #[error("run socket frame has a header that is not a known message")]
    Header(#[source] serde_json::Error),
}

/// Lengths announced by a frame's first [`PREFIX`] bytes.
///
/// # Errors
/// [`FrameError::TooLong`] when either is over its bound.
pub fn lengths(prefix: [u8; PREFIX]) -> Result<(usize, usize), FrameError> {
    let [a, b, c, d, e, f, g, h] = prefix;
    let header = u32::from_be_bytes([a, b, c, d]) as usize;
    let body = u32::from_be_bytes([e, f, g, h]) as usize;
    if header > MAX_HEADER || body > MAX_BODY {
        return Err(FrameError::TooLong { header, body });
    }
    Ok((header, body))
}

impl<M> From<M> for Frame<M> {
    fn from(message: M) -> Self {
        Self {
            message,
            body: Vec::new(),
        }
    }
}

impl<M: serde::Serialize> Frame<M> {
    /// The frame's prefix and header; the body follows as it is.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] when the message or the body is over its bound.
    pub fn head(&self) -> Result<Vec<u8>, FrameError> {
        let header = serde_json::to_vec(&self.message).map_err(FrameError::Header)?;
        let too_long = FrameError::TooLong {
            header: header.len(),
            body: self.body.len(),
        };
        if header.len() > MAX_HEADER || self.body.len() > MAX_BODY {
            return Err(too_long);
        }
        let mut bytes = Vec::with_capacity(PREFIX + header.len());
        for length in [header.len(), self.body.len()] {
            bytes.extend_from_slice(
                &u32::try_from(length)
                    .map_err(|_| FrameError::TooLong {
                        header: header.len(),
                        body: self.body.len(),
                    })?
                    .to_be_bytes(),
            );
        }
        bytes.extend_from_slice(&header);
        Ok(bytes)
    }
}

impl<M: serde::de::DeserializeOwned> Frame<M> {
    /// Reads a frame whose two parts have arrived whole.
    ///
    /// # Errors
    /// [`FrameError::Header`] when the header is not a known message.
    pub fn from_parts(header: &[u8], body: Vec<u8>) -> Result<Self, FrameError> {
        let message = serde_json::from_slice(header).map_err(FrameError::Header)?;
        Ok(Self { message, body })
    }
}
