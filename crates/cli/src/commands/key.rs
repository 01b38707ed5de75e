//! `gantry key …`: keys that sign runs.
//!
//! Takes files, gives files and public halves. Never: a private key printed.

use gantry_protocol::signature::{Algorithm, SigningKey, TrustedKeys};
use serde_json::json;

use crate::args::{AlgorithmArg, KeyCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::files::NewFile;
use crate::sign::public_jwk;

pub fn run(context: &Context, command: KeyCommand) -> anyhow::Result<Exit> {
    match command {
        KeyCommand::Generate { algorithm, out } => {
            // The file first: a key that can't be kept is not made.
            let file = NewFile::create(&out)?;
            let key = SigningKey::generate(match algorithm {
                AlgorithmArg::Eddsa => Algorithm::EdDsa,
                AlgorithmArg::Es256 => Algorithm::Es256,
                AlgorithmArg::Ps256 => Algorithm::Ps256,
            })?;
            file.finish(key.to_pem().expose().as_bytes())?;
            context.printer.json_line(&key.public().to_jwk())?;
            context.printer.note(&format!(
                "the private key is in {}; `gantry key jwks {}` prints what launchers read",
                out.display(),
                out.display()
            ));
        }
        KeyCommand::Jwks { files } => {
            let keys = files.iter().map(|file| public_jwk(file));
            let set = json!({ "keys": keys.collect::<anyhow::Result<Vec<_>>>()? });
            // What no launcher would take is not printed.
            TrustedKeys::parse(&set.to_string())?;
            context.printer.json_line(&set)?;
        }
    }
    Ok(Exit::Done)
}
