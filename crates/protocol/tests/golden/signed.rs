//! Golden files of signed and sealed documents: claims as JSON, and texts made with the keys in `keys/`.
//!
//! EdDSA gives the same text every time, so those files are compared both ways. PS256 and age are
//! randomised: their files are read only. The keys here protect nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::control::envelope::{self, EnvelopeClaims, Expected};
use gantry_protocol::control::inbox::SealedRun;
use gantry_protocol::control::manifest::{
    PRODUCT, RELEASE, ReleaseFile, ReleaseManifest, WorkerManifest,
};
use gantry_protocol::control::session::{Claim, EnrolProof, SessionProof, Takeover};
use gantry_protocol::control::token::PoolToken;
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::crypto::{Signed, jws, seal};
use gantry_protocol::payload::Stage;

use crate::control::token;
use crate::fixtures::*;
use crate::table::Unknown::Refused;
use crate::table::{Golden, text};

/// Files that hold no JSON value.
pub(crate) const FILES: &[&str] = &[
    "keys/pool.pem",
    "keys/pool.crt",
    "keys/server.pem",
    "keys/release.pem",
    "keys/launcher.pem",
    "signed-1/envelope.jws",
    "signed-1/manifest.jws",
    "signed-1/release.jws",
    "signed-1/session-proof.jws",
    "signed-1/enrol-proof.jws",
    "signed-1/attestation.jws",
    "signed-1/payload.age.b64",
    "signed-1/token.txt",
];

/// What is signed, as JSON.
pub(crate) fn claims() -> Vec<Golden> {
    let renewed = SessionProof {
        claim: Claim::Renew { epoch: 4 },
        ..session_proof()
    };
    vec![
        Golden::new("signed-1/envelope-claims", Refused, envelope_claims()),
        Golden::new("signed-1/manifest-claims", Refused, manifest()),
        Golden::new("signed-1/release-claims", Refused, release()),
        Golden::new("signed-1/enrol-proof-claims", Refused, enrol_proof()),
        Golden::new("signed-1/session-proof-claims", Refused, session_proof()),
        Golden::new("signed-1/session-proof-renew-claims", Refused, renewed),
        Golden::new("signed-1/attestation-claims", Refused, attestation()),
    ]
}

/// The digest is of the committed sealed payload, so that envelope and payload belong together.
fn envelope_claims() -> EnvelopeClaims {
    EnvelopeClaims {
        v: 1,
        run: run(),
        attempt: attempt(),
        pool: pool(),
        launcher: launcher(),
        stage: Stage::Apply,
        iat: NOW,
        exp: NOW + 600,
        sealed: gantry_protocol::Digest::of(&sealed_payload()),
    }
}

fn sealed_payload() -> Vec<u8> {
    let lines = text("signed-1/payload.age.b64");
    let base64: String = lines.split_whitespace().collect();
    STANDARD.decode(base64).unwrap()
}

fn manifest() -> WorkerManifest {
    WorkerManifest {
        product: PRODUCT.into(),
        version: "0.1.0".into(),
        arch: "aarch64".into(),
        sha256: digest("worker"),
        size: 1_234_567,
    }
}

fn release() -> ReleaseManifest {
    let file = |name: &str, arch: &str| ReleaseFile {
        name: name.into(),
        arch: arch.into(),
        size: 1_234_567,
        sha256: digest(name),
    };
    ReleaseManifest {
        product: RELEASE.into(),
        version: "0.1.0".into(),
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        files: vec![
            file("SHA256SUMS", "any"),
            file("gantry-launcher-0.1.0-x86_64.tar.gz", "x86_64"),
        ],
    }
}

fn enrol_proof() -> EnrolProof {
    EnrolProof {
        nonce: NONCE.into(),
        audience: ENDPOINT.into(),
        pool: pool(),
        launcher_key: ed_key("launcher").public(),
        machine: digest("machine"),
    }
}

fn session_proof() -> SessionProof {
    SessionProof {
        nonce: NONCE.into(),
        audience: ENDPOINT.into(),
        launcher: launcher(),
        claim: Claim::Takeover(Takeover {
            previous_epoch: 3,
            process: "cHJvY2Vzcw".into(),
        }),
    }
}

fn attestation() -> WorkspaceAttestation {
    WorkspaceAttestation {
        v: 1,
        run: run(),
        stack: stack(),
        attempt: attempt(),
        sealed: digest("workspace"),
        plan: digest("plan"),
        rendered: digest("rendered"),
        image: IMAGE.into(),
        worker: digest("worker"),
        tool: None,
        document: None,
        changes: None,
    }
}

fn check_ed<T: Signed + PartialEq + std::fmt::Debug>(file: &str, key: &str, document: T) {
    let key = ed_key(key);
    let golden = text(file);
    let golden = golden.trim_end();
    let written = jws::sign_ed(&document, &key).unwrap();
    assert_eq!(golden, written, "{file}: signed differently now");
    assert_eq!(
        jws::verify_ed::<T>(golden, &[key.public()]).unwrap(),
        document,
        "{file}"
    );
}

#[test]
fn eddsa_documents_are_signed_and_verified_as_their_files() {
    check_ed("signed-1/envelope.jws", "server", envelope_claims());
    check_ed("signed-1/manifest.jws", "release", manifest());
    check_ed("signed-1/release.jws", "release", release());
    check_ed("signed-1/session-proof.jws", "launcher", session_proof());
}

fn check_pool<T: Signed + PartialEq + std::fmt::Debug>(file: &str, document: &T) {
    let fresh = || jws::sign_pool(document, &pool_key()).unwrap();
    let golden = text(file);
    let read = jws::verify_pool::<T>(golden.trim_end(), &pool_key().public());
    let read = read.unwrap_or_else(|error| panic!("{file}: {error}; a fresh one: {}", fresh()));
    assert_eq!(&read, document, "{file}");
}

#[test]
fn documents_of_the_pool_key_are_verified_from_their_files() {
    check_pool("signed-1/enrol-proof.jws", &enrol_proof());
    check_pool("signed-1/attestation.jws", &attestation());
}

#[test]
fn the_committed_run_passes_both_gates() {
    let arrived = SealedRun {
        envelope: text("signed-1/envelope.jws").trim_end().to_owned(),
        sealed: STANDARD.encode(sealed_payload()),
    };
    let server_keys = [ed_key("server").public()];
    let expected = Expected {
        server_keys: &server_keys,
        pool: pool(),
        launcher: launcher(),
        now: Some(NOW + 60),
    };
    let verified = envelope::verify(&arrived, &expected).unwrap();
    assert_eq!(verified.open(&pool_key()).unwrap(), payload_full());
}

#[test]
fn the_sealed_payload_opens_with_the_pool_key() {
    let plain = serde_json::to_vec(&payload_full()).unwrap();
    let opened = seal::open(&pool_key(), &sealed_payload(), envelope::MAX_PAYLOAD);
    let fresh = || STANDARD.encode(seal::seal(&pool_key().public(), &plain).unwrap());
    let opened = opened.unwrap_or_else(|error| panic!("{error}; a fresh one: {}", fresh()));
    assert_eq!(opened, plain);
}

#[test]
fn the_token_is_one_line_that_people_copy() {
    let golden = text("signed-1/token.txt");
    assert_eq!(golden.trim_end(), token().encode());
    assert_eq!(PoolToken::decode(&golden).unwrap(), token());
}
