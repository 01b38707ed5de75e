//! What the server's fuzz targets do with their bytes.
//!
//! Takes bytes of anybody's choosing, panics where a promise does not hold. `fuzz_targets` feeds these to libFuzzer,
//! `crates/server/tests/api/fuzz.rs` runs them over `corpus`. Never: a file, the network.

use std::io::Write as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use flate2::Compression;
use flate2::write::GzEncoder;
use gantry_protocol::Secret;
use gantry_protocol::archive::MAX_ENTRIES;
use gantry_server::commits::{Message, Refusal, read_webhook};
use gantry_server::domain::{CodeHost, ENTRY_LIMIT, MetadataEntry};
use gantry_server::runtime_config::{FILE_LIMIT, parse_file, parse_given};
use gantry_server::uploads::look_through;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Longest sentence about a mistake, in characters: an error repeats no whole file.
const SENTENCE: usize = 2000;

/// Settings in a repository and with a trigger: reading ends, is the same twice, and mistakes are told in a sentence.
pub fn config_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for read in [parse_file, parse_given] {
        let (first, again) = (read(text, "net"), read(text, "net"));
        assert_eq!(format!("{first:?}"), format!("{again:?}"), "{text}");
        match first {
            Ok(_) => assert!(text.len() <= FILE_LIMIT),
            Err(error) => {
                let error = error.to_string();
                assert!(error.chars().count() <= SENTENCE, "{error}");
                assert!(!error.contains(char::is_control), "{error:?}");
            }
        }
    }
}

/// Values of the header that carries run metadata, a line each: what is taken is the one value, one line of text.
pub fn run_metadata(data: &[u8]) {
    let values: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    match MetadataEntry::from_headers(values.iter().copied()) {
        Ok(Some(entry)) => {
            assert_eq!((values.len(), entry.as_str().as_bytes()), (1, values[0]));
            assert!(entry.as_str().len() <= ENTRY_LIMIT);
            assert_eq!(entry.as_str().lines().count(), 1);
        }
        Ok(None) => assert!(values.iter().all(|value| value.is_empty())),
        Err(error) => assert!(error.to_string().chars().count() <= SENTENCE),
    }
}

/// Archives that people send, packed here: bounds hold, and looking twice finds the same.
pub fn upload(data: &[u8]) {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(data).expect("memory takes everything");
    let packed = packed.finish().expect("memory takes everything");
    let (first, again) = (look_through(&packed[..]), look_through(&packed[..]));
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
    match first {
        Ok(scanned) => assert!((1..=MAX_ENTRIES).contains(&scanned.entries)),
        Err(error) => assert!(error.to_string().chars().count() <= SENTENCE),
    }
    // As it came, it is hardly ever an archive.
    let _ = look_through(data);
}

/// What the integration and a real code host share.
const WEBHOOK_SECRET: &str = "shared";

/// Bodies of webhooks behind a good proof: what is taken is bounded and names branches and commits as git does, and the
/// same body without the proof is refused before it is read.
pub fn webhook(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let hosts = [
        CodeHost::Github,
        CodeHost::Gitlab,
        CodeHost::BitbucketDatacenter,
        CodeHost::AzureDevops,
    ];
    let host = hosts[usize::from(*first) % hosts.len()];
    let (secret, other) = (Secret::new(WEBHOOK_SECRET), Secret::new("another"));
    let headers = proven(host, body);
    match read_webhook(host, &secret, &headers, body) {
        Ok(message) => is_sound(&message),
        Err(Refusal::Unproven(what)) => panic!("{what} is right, and was refused"),
        Err(refusal) => assert!(refusal.to_string().chars().count() <= SENTENCE),
    }
    let unproven = read_webhook(host, &other, &headers, body);
    assert!(matches!(unproven, Err(Refusal::Unproven(_))));
}

fn is_sound(message: &Message) {
    assert!(!message.delivery.is_empty());
    assert!(message.pushes.len() <= 100);
    for push in &message.pushes {
        assert!(
            !push.branch.is_empty() && !push.branch.starts_with('-'),
            "{push:?}"
        );
        for hash in push.head.iter().chain(&push.before) {
            assert!(hash.len() == 40 || hash.len() == 64, "{hash}");
            assert!(hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        }
    }
}

/// The headers of a push, as each host sends them.
fn proven(host: CodeHost, body: &[u8]) -> HeaderMap {
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("any length");
    mac.update(body);
    let digits = mac.finalize().into_bytes();
    let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = format!("sha256={digits}");
    let sent = match host {
        CodeHost::Github => [
            ("x-hub-signature-256", signature.as_str()),
            ("x-github-event", "push"),
        ],
        CodeHost::Gitlab => [
            ("x-gitlab-token", WEBHOOK_SECRET),
            ("x-gitlab-event", "Push Hook"),
        ],
        CodeHost::BitbucketDatacenter => [
            ("x-hub-signature", signature.as_str()),
            ("x-event-key", "repo:refs_changed"),
        ],
        // `any:shared` in base64.
        _ => [("authorization", "Basic YW55OnNoYXJlZA=="), ("x-none", "")],
    };
    let value = |text: &str| HeaderValue::from_str(text).expect("plain text");
    sent.into_iter()
        .map(|(name, text)| (HeaderName::from_static(name), value(text)))
        .collect()
}
