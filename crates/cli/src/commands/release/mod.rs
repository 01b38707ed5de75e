//! `gantry release …`: the release key, the worker's signed manifest, whole releases. Offline: no server is asked.
//!
//! Never: a manifest for a file that is not a Linux executable of a known architecture.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use gantry_protocol::control::manifest::{PRODUCT, WorkerManifest};
use gantry_protocol::crypto::jws::sign_ed;
use gantry_protocol::crypto::{EdKey, EdPublic};
use gantry_protocol::{Digest, Secret};
use serde_json::json;

use crate::args::ReleaseCommand;
use crate::context::Context;
use crate::exit::Exit;
use crate::files::NewFile;

mod whole;

/// What is signed, and with which key.
pub struct SignRequest<'a> {
    /// The release key's PEM file.
    pub key: &'a Path,
    /// The worker executable.
    pub binary: &'a Path,
    /// Version to state.
    pub release: &'a str,
}

pub fn run(context: &Context, command: ReleaseCommand) -> anyhow::Result<Exit> {
    match command {
        ReleaseCommand::Keygen { out } => {
            let public = keygen(&out)?;
            let lines = [("public key", public.clone())];
            context
                .printer
                .details(&json!({ "publicKey": public }), &lines)?;
        }
        ReleaseCommand::Public { key } => {
            let line = format!("{}\n", public_key(&key)?);
            context.printer.data(line.as_bytes())?;
        }
        ReleaseCommand::Seal {
            key,
            commit,
            release,
            dir,
        } => {
            let files = whole::seal(&dir, &release, &commit, &read_key(&key)?)?;
            let note = format!("{files} files signed as release {release}");
            context.printer.note(&note);
        }
        ReleaseCommand::Verify {
            trust,
            partial,
            dir,
        } => verify(context, &dir, &trust, partial)?,
        ReleaseCommand::Sign {
            key,
            binary,
            release,
            out,
        } => {
            let request = SignRequest {
                key: &key,
                binary: &binary,
                release: &release,
            };
            let manifest = sign(&request)?;
            match out {
                Some(path) => write(&path, &manifest)?,
                None => context.printer.data(format!("{manifest}\n").as_bytes())?,
            }
        }
    }
    Ok(Exit::Done)
}

fn verify(context: &Context, dir: &Path, trust: &[EdPublic], partial: bool) -> anyhow::Result<()> {
    let (manifest, found) = whole::verify(dir, trust, partial)?;
    context.printer.note(&format!(
        "release {} of commit {}, as signed",
        manifest.version, manifest.commit
    ));
    context.printer.rows(&found)
}

/// Makes a key into a new private file; gives the public half as launchers trust it.
pub fn keygen(out: &Path) -> anyhow::Result<String> {
    let key = EdKey::generate();
    NewFile::create(out)?.finish(key.to_pem().expose().as_bytes())?;
    Ok(key.public().to_string())
}

/// The public half of a key's file, as launchers trust it.
pub fn public_key(path: &Path) -> anyhow::Result<String> {
    Ok(read_key(path)?.public().to_string())
}

/// The signed manifest of a worker executable.
pub fn sign(request: &SignRequest<'_>) -> anyhow::Result<String> {
    let (path, binary) = (request.binary.display(), request.binary);
    let content = fs::read(binary).with_context(|| format!("cannot read the worker `{path}`"))?;
    let manifest = WorkerManifest {
        product: PRODUCT.to_owned(),
        version: request.release.to_owned(),
        arch: architecture(&content)
            .with_context(|| format!("`{path}` can't be a worker"))?
            .to_owned(),
        sha256: Digest::of(&content),
        size: content.len() as u64,
    };
    let signed = sign_ed(&manifest, &read_key(request.key)?);
    signed.with_context(|| format!("cannot sign the manifest of `{path}`"))
}

fn read_key(path: &Path) -> anyhow::Result<EdKey> {
    let pem = fs::read_to_string(path).map(Secret::new);
    let pem = pem.with_context(|| format!("cannot read the release key `{}`", path.display()))?;
    EdKey::from_pem(&pem).with_context(|| format!("`{}` is not a release key", path.display()))
}

fn write(path: &Path, manifest: &str) -> anyhow::Result<()> {
    fs::write(path, format!("{manifest}\n"))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// The architecture that an ELF executable is for.
fn architecture(content: &[u8]) -> anyhow::Result<&'static str> {
    // ELF magic, 64 bit, little endian; the machine is the half-word at offset 18.
    if !content.starts_with(b"\x7fELF\x02\x01") || content.len() < 20 {
        bail!("it is not a 64-bit Linux executable");
    }
    match u16::from_le_bytes([content[18], content[19]]) {
        62 => Ok("x86_64"),
        183 => Ok("aarch64"),
        other => {
            bail!("it is for ELF machine {other}; workers run on x86_64 (62) and aarch64 (183)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_protocol::crypto::jws::verify_ed;

    fn elf(machine: u16) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(18, 0);
        file.extend(machine.to_le_bytes());
        file
    }

    #[test]
    fn what_is_signed_is_what_a_launcher_verifies() {
        let dir = tempfile::tempdir().unwrap();
        let (key, binary) = (dir.path().join("key.pem"), dir.path().join("worker"));
        let public = keygen(&key).unwrap();
        fs::write(&binary, elf(62)).unwrap();
        let request = SignRequest {
            key: &key,
            binary: &binary,
            release: "1.2.3",
        };
        let signed = sign(&request).unwrap();
        let manifest: WorkerManifest = verify_ed(&signed, &[public.parse().unwrap()]).unwrap();
        let expected = WorkerManifest {
            product: PRODUCT.to_owned(),
            version: "1.2.3".to_owned(),
            arch: "x86_64".to_owned(),
            sha256: Digest::of(&elf(62)),
            size: 20,
        };
        assert_eq!(manifest, expected);
    }

    #[test]
    fn only_executables_of_known_machines_are_signed() {
        assert_eq!(architecture(&elf(62)).unwrap(), "x86_64");
        assert_eq!(architecture(&elf(183)).unwrap(), "aarch64");
        let mut big_endian = elf(62);
        big_endian[5] = 2;
        for bad in [
            elf(40),
            big_endian,
            b"#!/bin/sh\n".to_vec(),
            elf(62)[..19].to_vec(),
            vec![],
        ] {
            assert!(architecture(&bad).is_err(), "{bad:?}");
        }
    }
}
