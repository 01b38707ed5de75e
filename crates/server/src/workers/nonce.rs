//! Nonces: numbers that a proof must contain, so that a proof can't be used twice or kept for later.
//!
//! Takes a key and the time, gives 32 bytes as text: expiry, randomness, and an HMAC over both. So handing
//! one out writes nothing (anybody may ask), and only a nonce inside a valid proof is remembered, until its
//! time is over. Never: a nonce accepted that was not made here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use rand_core::{OsRng, RngCore};
use sha2::Sha256;

use crate::clock::UnixMillis;

/// How long a nonce is good for, in milliseconds.
pub(super) const LIFE: i64 = 60_000;

type Tag = Hmac<Sha256>;

/// A fresh nonce.
pub(super) fn make(key: &[u8; 32], now: UnixMillis) -> String {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&now.plus(LIFE).0.to_be_bytes());
    OsRng.fill_bytes(&mut bytes[8..16]);
    let tag = tag(key, &bytes[..16]).finalize().into_bytes();
    bytes[16..].copy_from_slice(&tag[..16]);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// When a nonce of ours expires; nothing for any other text and for one whose time is over.
pub(super) fn check(key: &[u8; 32], nonce: &str, now: UnixMillis) -> Option<UnixMillis> {
    let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
    tag(key, &bytes[..16])
        .verify_truncated_left(&bytes[16..])
        .ok()?;
    let expiry: [u8; 8] = bytes[..8].try_into().ok()?;
    let expiry = UnixMillis(i64::from_be_bytes(expiry));
    (expiry > now).then_some(expiry)
}

fn tag(key: &[u8; 32], bytes: &[u8]) -> Tag {
    let mut tag =
        <Tag as Mac>::new_from_slice(key).expect("invariant: HMAC takes keys of any length");
    tag.update(bytes);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_for_a_minute_and_only_here() {
        let now = UnixMillis(1_700_000_000_000);
        let (ours, theirs) = ([1; 32], [2; 32]);
        let nonce = make(&ours, now);
        assert_ne!(nonce, make(&ours, now));
        assert_eq!(check(&ours, &nonce, now), Some(now.plus(LIFE)));
        assert_eq!(
            check(&ours, &nonce, now.plus(LIFE - 1)),
            Some(now.plus(LIFE))
        );
        assert_eq!(check(&ours, &nonce, now.plus(LIFE)), None);
        assert_eq!(check(&theirs, &nonce, now), None);
        for at in 0..nonce.len() {
            let mut changed = nonce.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(check(&ours, &changed, now), None, "{changed}");
        }
        for text in ["", "AAAA", &nonce[1..], "!"] {
            assert_eq!(check(&ours, text, now), None);
        }
    }
}
