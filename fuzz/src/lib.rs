//! What each fuzz target does with its bytes.
//!
//! Takes bytes of anybody's choosing, panics where a promise does not hold. `fuzz_targets` feeds these to libFuzzer,
//! `tests/it/fuzz.rs` runs them over `corpus`. Never: a file outside a directory of the call's own, the network.

mod plans;
mod policies;
mod signatures;
mod vcs;

use std::path::Path;

pub use plans::plan_json;
pub use policies::{jwt, policy, policy_input};
pub use signatures::signature;
pub use vcs::vcs_target;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_launcher::container::{MountRule, split};
use gantry_launcher::image::{Allowlist, Reference};
use gantry_launcher::mask::Mask;
use gantry_launcher::registry::{LoginSettings, Logins};
use gantry_launcher::workspace::{Bounds, LogRead, Owner, SpoolReader, pack, unpack};
use gantry_protocol::control::envelope::{self, EnvelopeClaims, Expected};
use gantry_protocol::control::inbox::SealedRun;
use gantry_protocol::control::token::PoolToken;
use gantry_protocol::crypto::{EdKey, jws};
use gantry_protocol::socket::frame::{PREFIX, lengths};
use gantry_protocol::socket::spool::{EVENTS, parse_segment_name, segment_name};
use gantry_protocol::socket::{Frame, FromLauncher, FromWorker, HandedTo};
use gantry_service::duration;

/// What takes a target's bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 15] = [
    ("reference", reference),
    ("duration", go_duration),
    ("mounts", mounts),
    ("frame", frame),
    ("spool", spool),
    ("envelope", envelope),
    ("signature", signature),
    ("mask", mask),
    ("tar", tar),
    ("docker_config", docker_config),
    ("policy", policy),
    ("policy_input", policy_input),
    ("jwt", jwt),
    ("plan_json", plan_json),
    ("vcs_target", vcs_target),
];

/// Image references and the allowlist: what is admitted is in a registry of the list, by its exact host.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(parsed) = Reference::parse(text) {
        let written = parsed.to_string();
        let again = Reference::parse(&written).expect("what is written can be read");
        assert_eq!(again, parsed, "{written}");
        assert!(!parsed.registry().contains(['@', '/', ' ']), "{parsed}");
    }
    let list = Allowlist::new(["registry.example", "ghcr.io/an-owner"]).expect("a list");
    if let Ok(admitted) = list.admit(text) {
        let name = admitted.reference().name();
        let inside = |prefix: &str| name == prefix || name.starts_with(&format!("{prefix}/"));
        assert!(
            inside("registry.example") || inside("ghcr.io/an-owner"),
            "{text} is {name}"
        );
    }
    let _ = Allowlist::new([text]);
}

/// Durations: what is taken is longer than nothing and means the same in nanoseconds.
pub fn go_duration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(parsed) = duration::parse(text) {
        assert!(!parsed.is_zero());
        let nanos = format!("{}ns", parsed.as_nanos());
        assert_eq!(duration::parse(&nanos), Ok(parsed), "{text}");
    }
}

/// The list of mounts: what is taken has absolute paths that climb nowhere.
pub fn mounts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(entries) = split(text, ',') else {
        return;
    };
    for entry in entries {
        if let Ok(rule) = MountRule::parse(&entry, HandedTo::Every) {
            let target = Path::new(&rule.target);
            for path in [rule.source.as_path(), target] {
                assert!(path.is_absolute(), "{rule:?}");
                assert!(
                    path.components().all(|part| part.as_os_str() != ".."),
                    "{rule:?}"
                );
            }
        }
    }
}

/// Frames of the run socket: lengths are bounded, what was read can be written and read again.
pub fn frame(data: &[u8]) {
    let Some((prefix, rest)) = data.split_first_chunk::<PREFIX>() else {
        return;
    };
    if let Ok((header, body)) = lengths(*prefix)
        && let Some((header, rest)) = rest.split_at_checked(header)
        && let Some((body, _)) = rest.split_at_checked(body)
    {
        read_again::<FromWorker>(header, body);
        read_again::<FromLauncher>(header, body);
    }
    read_again::<FromWorker>(rest, &[]);
    read_again::<FromLauncher>(rest, &[]);
}

fn read_again<M>(header: &[u8], body: &[u8])
where
    M: serde::Serialize + serde::de::DeserializeOwned + PartialEq,
{
    let Ok(frame) = Frame::<M>::from_parts(header, body.to_vec()) else {
        return;
    };
    if let Ok(head) = frame.head() {
        let again = Frame::<M>::from_parts(&head[PREFIX..], frame.body.clone());
        let again = again.map(|again| again.message == frame.message);
        assert!(matches!(again, Ok(true)), "what is written can be read");
    }
}

/// The spool that a run may write: any facts, any names, any offsets.
pub fn spool(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut parts = data.splitn(4, |byte| *byte == 0);
    let (facts, names) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    std::fs::write(dir.path().join(EVENTS), facts).expect("write facts");
    let names = String::from_utf8_lossy(names).into_owned();
    let contents: Vec<&[u8]> = parts.collect();
    for (name, content) in names.split(',').take(8).zip(contents.iter().cycle()) {
        if let Some((section, start)) = parse_segment_name(name) {
            assert_eq!(segment_name(section, start), name);
        }
        if !name.is_empty() && !name.contains(['/', '\0']) && name.len() < 100 && name != ".." {
            let _ = std::fs::write(dir.path().join(name), content);
        }
    }
    let mut reader = SpoolReader::open(dir.path(), 0).expect("a spool");
    while reader.facts().is_ok_and(|facts| !facts.is_empty()) {
        assert!(reader.cursor() <= facts.len() as u64);
    }
    for section in 0..3 {
        let mut at = 0;
        for _ in 0..50 {
            at = match reader.log(section, at, 7) {
                Ok(LogRead::Bytes(bytes)) => {
                    assert!(!bytes.is_empty() && bytes.len() <= 7);
                    at.saturating_add(bytes.len() as u64)
                }
                Ok(LogRead::Gap { from, to }) => {
                    assert!(from == at && to > from);
                    to
                }
                Ok(LogRead::Nothing) | Err(_) => break,
            };
        }
        let _ = reader.release(section, at / 2, true);
    }
}

/// Tokens and envelopes: nothing passes without a signature; claims of any shape behind a good one.
pub fn envelope(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(token) = PoolToken::decode(&text) {
        let again = PoolToken::decode(&token.encode()).expect("what is written can be read");
        assert_eq!(again, token);
    }
    let _ = PoolToken::decode(&STANDARD.encode(data));

    let key = EdKey::generate();
    let keys = [key.public()];
    let expected = Expected {
        server_keys: &keys,
        pool: "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().expect("an id"),
        launcher: "01JB8M6Q7N4T0V2X5Y8Z9A1B2D".parse().expect("an id"),
        now: Some(1_700_000_000),
    };
    let (signed, sealed) = text.split_once('\n').unwrap_or((&text, ""));
    let arrived = |envelope: String| SealedRun {
        envelope,
        sealed: sealed.to_owned(),
    };
    let unsigned = envelope::verify(&arrived(signed.to_owned()), &expected);
    assert!(unsigned.is_err(), "nobody signed this");
    if let Ok(claims) = serde_json::from_str::<EnvelopeClaims>(signed)
        && let Ok(envelope) = jws::sign_ed(&claims, &key)
        && let Ok(verified) = envelope::verify(&arrived(envelope), &expected)
    {
        assert_eq!(verified.claims().pool, expected.pool);
        assert_eq!(verified.claims().launcher, expected.launcher);
    }
}

/// The mask: the result does not depend on how the text comes, and no secret is left in it.
pub fn mask(data: &[u8]) {
    let mut parts = data.splitn(5, |byte| *byte == 0xFF);
    let text = parts.next().unwrap_or_default();
    let cuts = parts.next().unwrap_or_default();
    let secrets: Vec<&[u8]> = parts.collect();
    let mask = Mask::new(secrets.iter().copied());

    // Secrets in some of their writings are put where the text has bytes from 0xF0 on.
    let mut input = Vec::new();
    for byte in text {
        match (byte.checked_sub(0xF0), secrets.is_empty()) {
            (Some(which), false) => {
                let secret = secrets[usize::from(which) % secrets.len()];
                match which / 4 {
                    0 | 1 => input.extend_from_slice(secret),
                    2 => input.extend(STANDARD.encode(secret).into_bytes()),
                    _ => input.extend(
                        serde_json::to_vec(&String::from_utf8_lossy(secret)).unwrap_or_default(),
                    ),
                }
            }
            _ => input.push(*byte),
        }
    }
    let whole = mask.whole(&input);

    let (mut stream, mut pieces, mut rest) = (mask.stream(0), Vec::new(), input.as_slice());
    for cut in cuts
        .iter()
        .cycle()
        .take(if cuts.is_empty() { 0 } else { 10_000 })
    {
        let (now, later) = rest.split_at(rest.len().min(usize::from(*cut)));
        let masked = stream.push(now);
        pieces.extend(masked.bytes);
        rest = later;
        if let Some(decided) = usize::try_from(masked.decided).ok().filter(|_| *cut == 1) {
            // Another process goes on where this one was.
            let mut again = pieces.clone();
            again.extend(mask.whole(&input[decided..]));
            assert_eq!(again, whole, "taken up at {decided}");
        }
        if rest.is_empty() {
            break;
        }
    }
    pieces.extend(stream.push(rest).bytes);
    let end = stream.finish();
    pieces.extend(end.bytes);
    assert_eq!(end.decided, input.len() as u64);
    assert_eq!(pieces, whole, "cuts {cuts:?}");

    for secret in secrets.iter().map(|secret| secret.trim_ascii()) {
        let found = |form: &[u8]| whole.windows(form.len()).any(|window| window == form);
        // What replaces a secret may itself look like one that is made of asterisks.
        if secret.len() >= 4 && !secret.contains(&b'*') {
            assert!(!found(secret), "left in plain");
            let encoded = STANDARD.encode(secret).into_bytes();
            assert!(encoded.len() < 12 || !found(&encoded), "left in base64");
        }
    }
    // Torn apart anywhere, it does not panic and decides everything.
    let (before, after) = input.split_at(input.len() / 2);
    let mut torn = mask.stream(0);
    torn.push(before);
    assert_eq!(torn.finish_at_gap().decided, before.len() as u64);
    let mut torn = mask.stream_after_gap(0);
    torn.push(after);
    assert_eq!(torn.finish().decided, after.len() as u64);
}

/// Packed workspaces: nothing is laid outside the root, and what was laid can be packed again.
pub fn tar(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    std::fs::create_dir(&root).expect("a root");
    std::fs::create_dir(&outside).expect("a place outside");
    std::fs::write(outside.join("file"), "as it was").expect("a file outside");
    let bounds = Bounds {
        entries: 100,
        bytes: 1 << 20,
    };
    let packed = zstd::encode_all(data, 1).expect("memory");
    let unpacked = unpack(&root, Owner::own(), bounds, packed.as_slice());
    let _ = unpack(&dir.path().join("root"), Owner::own(), bounds, data);
    let left = |place: &Path| std::fs::read_dir(place).expect("a directory").count();
    assert_eq!(
        (left(dir.path()), left(&outside)),
        (2, 1),
        "something was laid outside"
    );
    let file = std::fs::read(outside.join("file")).expect("the file outside");
    assert_eq!(file, b"as it was");
    if let Ok(report) = unpacked {
        assert!(report.entries <= bounds.entries && report.bytes <= bounds.bytes);
        let _ = pack(&root, bounds, Vec::new());
    }
    // Modes of the archive may keep this process from removing what it made.
    let parent = std::fs::File::open(dir.path()).expect("the directory");
    let left = gantry_launcher::workspace::remove_tree(&parent, b"root");
    assert!(left.is_empty(), "{left:?}");
}

/// Docker client configurations: any content, asked for registries that look alike.
pub fn docker_config(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("config.json"), data).expect("write a configuration");
    let settings = LoginSettings {
        docker_config: Some(dir.path().to_owned()),
        ..LoginSettings::default()
    };
    match Logins::new(settings) {
        Ok(logins) => {
            for registry in [
                "docker.io",
                "index.docker.io",
                "ghcr.io",
                "127.0.0.1:5000",
                "",
            ] {
                let _ = logins.source_for(registry);
            }
        }
        Err(error) => {
            // What is wrong is told without the content.
            let told = format!(
                "{error} {:?}",
                std::error::Error::source(&error).map(ToString::to_string)
            );
            assert!(told.len() < 2000, "{told}");
        }
    }
}
