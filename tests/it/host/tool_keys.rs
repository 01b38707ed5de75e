//! Whose signatures are believed: keys as `gpg` makes, renews, expires and revokes them.
//!
//! Takes key files, gives verdicts. Never: a key that a person would have to make.

use std::fs;

use gantry_launcher::tool::{KeyFault, KeyFileError, Keys, SignatureError};
use gantry_test_support::KeyRing;

use super::tools::{Publisher, publisher};

const SUMS: &[u8] = b"0000  terraform_1.2.3_linux_amd64.zip\n";

/// When keys of the past were made, and when they signed.
const THEN: &str = "20200101T000000";
const LATER: &str = "20200601T000000";

/// Another publisher.
pub(super) fn other() -> Publisher {
    let ring = KeyRing::new();
    let key = ring.generate("other", "ed25519", "sign,cert", "2y", "");
    (ring, key)
}

fn keys(files: &[Vec<u8>]) -> Keys {
    let temp = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..files.len())
        .map(|number| temp.path().join(number.to_string()))
        .collect();
    for (path, content) in paths.iter().zip(files) {
        fs::write(path, content).unwrap();
    }
    Keys::load(&paths).unwrap()
}

#[test]
fn armored_and_binary_keys_of_several_files_count() {
    let publisher = publisher();
    let ((ring, key), (other, second)) = (&*publisher, &other());
    let keys = keys(&[other.export(second, false), ring.export(key, true)]);
    for (ring, key) in [(ring, key), (other, second)] {
        assert_eq!(
            keys.verify(SUMS, &ring.sign(key, SUMS, "")),
            Ok(key.clone())
        );
    }
    let listed = keys.list();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].0, *key);
    assert!(listed[1].1.contains("publisher@example.org") && listed[1].2.is_none());
}

#[test]
fn only_the_named_keys_count() {
    let publisher = publisher();
    let ((ring, key), (other, second)) = (&*publisher, &other());
    let keys = keys(&[ring.export(key, true)]);
    let foreign = keys.verify(SUMS, &other.sign(second, SUMS, ""));
    let issuer = second.clone();
    assert_eq!(foreign, Err(SignatureError::Unknown { issuer }));
    let good = ring.sign(key, SUMS, "");
    let bad = SignatureError::Bad { key: key.clone() };
    assert_eq!(keys.verify(b"other content", &good), Err(bad));
    assert_eq!(keys.verify(SUMS, b""), Err(SignatureError::Malformed));
    // One that is believed among others is enough: publishers sign with the old and the new key for a while.
    let both = [other.sign(second, SUMS, ""), good].concat();
    assert_eq!(keys.verify(SUMS, &both), Ok(key.clone()));
}

#[test]
fn a_damaged_signature_never_counts_and_never_panics() {
    let publisher = publisher();
    let (ring, key) = &*publisher;
    let keys = keys(&[ring.export(key, true)]);
    let good = ring.sign(key, SUMS, "");
    for at in 0..good.len() {
        for bit in [1, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            // The unhashed half of a signature is not signed for: what stands there changes nothing.
            if let Ok(by) = keys.verify(SUMS, &bad) {
                assert_eq!(by, *key);
            }
            assert!(keys.verify(b"other content", &bad).is_err(), "byte {at}");
        }
    }
    for length in 0..good.len() {
        assert!(keys.verify(SUMS, &good[..length]).is_err(), "{length}");
    }
}

#[test]
fn an_expired_key_counts_no_more() {
    let ring = KeyRing::new();
    let key = ring.generate("old", "ed25519", "sign,cert", "1y", THEN);
    let signature = ring.sign(&key, SUMS, LATER);
    let keys = keys(&[ring.export(&key, true)]);
    let expired = SignatureError::Unusable {
        key: key.clone(),
        rule: KeyFault::Expired,
    };
    assert_eq!(keys.verify(SUMS, &signature), Err(expired));
    assert_eq!(keys.list()[0].2, Some(KeyFault::Expired));
}

#[test]
fn a_revoked_key_counts_no_more() {
    let ring = KeyRing::new();
    let key = ring.generate("gone", "ed25519", "sign,cert", "never", "");
    let signature = ring.sign(&key, SUMS, "");
    let before = keys(&[ring.export(&key, true)]);
    assert!(before.verify(SUMS, &signature).is_ok());
    ring.revoke(&key);
    let after = keys(&[ring.export(&key, true)]);
    let revoked = SignatureError::Unusable {
        key,
        rule: KeyFault::Revoked,
    };
    assert_eq!(after.verify(SUMS, &signature), Err(revoked));
}

#[test]
fn a_signing_subkey_counts_while_it_lasts() {
    let ring = KeyRing::new();
    let key = ring.generate("sub", "rsa3072", "cert", "never", THEN);
    ring.add_signing_subkey(&key, "1y", THEN);
    let old = ring.sign(&key, SUMS, LATER);
    ring.add_signing_subkey(&key, "1y", "");
    let new = ring.sign(&key, SUMS, "");
    let keys = keys(&[ring.export(&key, false)]);
    assert_eq!(keys.verify(SUMS, &new), Ok(key.clone()));
    let expired = SignatureError::Unusable {
        key,
        rule: KeyFault::Expired,
    };
    assert_eq!(keys.verify(SUMS, &old), Err(expired));
}

#[test]
fn a_key_file_that_holds_no_key_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("key.asc");
    let load = || Keys::load(std::slice::from_ref(&path));
    assert!(matches!(load(), Err(KeyFileError::Read { .. })));
    let publisher = publisher();
    let (ring, key) = &*publisher;
    let armored = ring.export(key, true);
    let signature = ring.sign(key, SUMS, "");
    let cut = &armored[..armored.len() / 2];
    for content in [b"".as_slice(), b"no key", cut, &signature] {
        fs::write(&path, content).unwrap();
        let error = load().unwrap_err().to_string();
        assert!(
            error.contains("GANTRY_TOOL_KEYS") && error.contains("key.asc"),
            "{error}"
        );
    }
}
