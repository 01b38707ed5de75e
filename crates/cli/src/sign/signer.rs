//! Who signs: a key in a file or in the environment, or a command that has the key elsewhere.
//!
//! Takes the bytes to sign, gives a signature. Never: a private key in an error, an argument or a file.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use gantry_protocol::Secret;
use gantry_protocol::signature::{PublicKey, SigningKey, kid};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::read;
use crate::args::SignerArgs;
use crate::env::{Env, SIGN_KEY};

/// How long a command may take: a person may have to touch a token.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Someone who signs.
pub struct Signer {
    holder: Holder,
    public: PublicKey,
    kid: String,
}

enum Holder {
    Key(Box<SigningKey>),
    Command(String),
}

impl Signer {
    /// Whom the options name, else whom the environment names.
    pub fn choose(env: &Env, args: &SignerArgs) -> anyhow::Result<Self> {
        let (holder, public, named) = match (&args.key, &args.command, &env.sign_key) {
            (Some(path), ..) => {
                let pem = Secret::new(read(path, "the signing key")?);
                local(&pem).with_context(|| format!("`{}` can't sign", path.display()))?
            }
            (None, Some(command), _) => {
                let path = args.public.as_deref();
                let path =
                    path.context("--sign-command needs --sign-public-key, the key it signs with")?;
                let jwk = public_jwk(path)?;
                let public = PublicKey::from_jwk(&jwk)?;
                (Holder::Command(command.clone()), public, kid(&jwk))
            }
            (None, None, Some(pem)) => {
                local(pem).with_context(|| format!("{SIGN_KEY} can't sign"))?
            }
            (None, None, None) => bail!(
                "nobody signs: name a key with --sign-key or {SIGN_KEY}, or a command with --sign-command"
            ),
        };
        let kid = args.kid.clone().or(named);
        let kid = kid.unwrap_or_else(|| public.thumbprint());
        Ok(Self {
            holder,
            public,
            kid,
        })
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// How launchers know the key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The signature over `input`. Whether it is this key's the caller finds out.
    pub async fn sign(&self, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        match &self.holder {
            Holder::Key(key) => Ok(key.sign(input)),
            Holder::Command(line) => {
                let answer = tokio::time::timeout(PATIENCE, answer(line, input)).await;
                answer.with_context(|| {
                    format!("--sign-command did not answer in {} s", PATIENCE.as_secs())
                })?
            }
        }
    }
}

fn local(pem: &Secret) -> anyhow::Result<(Holder, PublicKey, Option<String>)> {
    let key = SigningKey::from_pem(pem)?;
    let public = key.public();
    Ok((Holder::Key(Box::new(key)), public, None))
}

async fn answer(line: &str, input: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut child = Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start --sign-command")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read all of it says by its end whether that is wrong.
        let _ = stdin.write_all(input).await;
    }
    let done = child
        .wait_with_output()
        .await
        .context("cannot wait for --sign-command")?;
    ensure!(
        done.status.success(),
        "--sign-command failed: {}",
        done.status
    );
    let text: String = String::from_utf8_lossy(&done.stdout)
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '=')
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    STANDARD_NO_PAD
        .decode(text)
        .context("--sign-command has to print the signature in base64, and nothing else")
}

/// The public key of a file, as a JWK: of a private or public PEM, or of a JWK.
pub fn public_jwk(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = Secret::new(read(path, "the key")?);
    jwk_of(&text).with_context(|| format!("`{}` is not a key that signs runs", path.display()))
}

fn jwk_of(text: &Secret) -> anyhow::Result<Map<String, Value>> {
    let plain = text.expose().trim();
    let key = if plain.contains("PRIVATE KEY-----") {
        SigningKey::from_pem(text)?.public()
    } else if plain.contains("-----BEGIN PUBLIC KEY-----") {
        PublicKey::from_pem(plain)?
    } else {
        let Ok(Value::Object(mut jwk)) = serde_json::from_str(plain) else {
            bail!("it is neither PEM nor a JWK");
        };
        let key = PublicKey::from_jwk(&jwk)?;
        if kid(&jwk).is_none() {
            jwk.insert("kid".to_owned(), json!(key.thumbprint()));
        }
        return Ok(jwk);
    };
    match key.to_jwk() {
        Value::Object(jwk) => Ok(jwk),
        _ => unreachable!("invariant: a JWK is an object"),
    }
}
