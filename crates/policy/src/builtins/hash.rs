//! Digests. SHA-1 and MD5 are there because policies compare with what others computed.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use hmac::{Hmac, Mac};
use md5::Md5;
use regorus::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use super::{Row, text};

pub(super) const ALL: [Row; 9] = [
    ("crypto.sha256", 1, digest::<Sha256>),
    ("crypto.sha1", 1, digest::<Sha1>),
    ("crypto.md5", 1, digest::<Md5>),
    ("crypto.hmac.sha256", 2, hmac_sha256),
    ("crypto.hmac.sha512", 2, hmac_sha512),
    ("crypto.hmac.sha1", 2, hmac_sha1),
    ("crypto.hmac.md5", 2, hmac_md5),
    ("crypto.hmac.equal", 2, equal),
    ("sanitized", 1, sanitize),
];

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The value that documents with plans show for `text` when it is sensitive: 8 hex digits, the end of its SHA-256.
/// Anybody who can guess `text` can check the guess.
pub fn sanitized(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    hex(&digest[digest.len() - 4..])
}

fn sanitize(values: &[Value]) -> Result<Value> {
    Ok(sanitized(text(&values[0])?).into())
}

fn digest<D: Digest>(values: &[Value]) -> Result<Value> {
    Ok(hex(&D::digest(text(&values[0])?.as_bytes())).into())
}

macro_rules! keyed {
    ($name:ident, $hash:ty) => {
        fn $name(values: &[Value]) -> Result<Value> {
            let (message, key) = (text(&values[0])?, text(&values[1])?);
            if key.is_empty() {
                bail!("the key is empty");
            }
            let mut mac = <Hmac<$hash> as Mac>::new_from_slice(key.as_bytes())?;
            mac.update(message.as_bytes());
            Ok(hex(&mac.finalize().into_bytes()).into())
        }
    };
}

keyed!(hmac_sha256, Sha256);
keyed!(hmac_sha512, Sha512);
keyed!(hmac_sha1, Sha1);
keyed!(hmac_md5, Md5);

fn equal(values: &[Value]) -> Result<Value> {
    let (left, right) = (text(&values[0])?, text(&values[1])?);
    Ok(bool::from(left.as_bytes().ct_eq(right.as_bytes())).into())
}
