//! Where `gantry dev` keeps its things, and where the programs are.
//!
//! Takes the options, gives paths that exist. Never: a directory that others may list; keys and the
//! server's data are closed to them altogether.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use gantry_protocol::Secret;
use serde::{Deserialize, Serialize};

use crate::args::DevArgs;
use crate::env::Env;
use crate::files;
use crate::profile::Login;

/// One directory of `gantry dev`.
pub struct Place {
    root: PathBuf,
    bin: PathBuf,
    address: SocketAddr,
}

/// The API key's file.
#[derive(Serialize, Deserialize)]
pub struct ApiKey {
    pub id: String,
    pub secret: Secret,
}

impl Place {
    /// Makes the directory, and keeps the server's address for the next time: the pool token names it.
    pub fn open(args: &DevArgs, env: &Env) -> anyhow::Result<Self> {
        let root = args.dir.clone().or_else(|| default_root(env));
        let root = root.context("there is no home directory: name one with --dir")?;
        files::passable_dir(&root)?;
        let root =
            fs::canonicalize(&root).with_context(|| format!("cannot open `{}`", root.display()))?;
        let bin = match &args.bin_dir {
            Some(dir) => dir.clone(),
            None => own_directory()?,
        };
        let address = address(&root.join("address"), args.listen)?;
        let place = Self { root, bin, address };
        for name in ["server", "keys"] {
            files::private_dir(&place.root.join(name))?;
        }
        files::passable_dir(&place.launcher_data())?;
        Ok(place)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn server_data(&self) -> PathBuf {
        self.root.join("server")
    }

    pub fn launcher_data(&self) -> PathBuf {
        self.root.join("launcher")
    }

    pub fn master_key(&self) -> PathBuf {
        self.root.join("keys/master.key")
    }

    pub fn release_key(&self) -> PathBuf {
        self.root.join("keys/release.pem")
    }

    pub fn pool_key(&self) -> PathBuf {
        self.root.join("keys/pool.pem")
    }

    pub fn csr(&self) -> PathBuf {
        self.root.join("keys/pool.csr")
    }

    pub fn api_key(&self) -> PathBuf {
        self.root.join("keys/api-key.json")
    }

    pub fn token(&self) -> PathBuf {
        self.root.join("keys/pool.token")
    }

    pub fn manifest(&self) -> PathBuf {
        self.root.join("worker.manifest")
    }

    /// A program of ours.
    pub fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.bin.join(name);
        if path.is_file() {
            return Ok(path);
        }
        bail!(
            "`{}` does not exist: --bin-dir names the directory with {name}",
            path.display()
        )
    }

    /// How the CLI logs in.
    pub fn login(&self) -> anyhow::Result<Login> {
        let path = self.api_key();
        let text = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let key: ApiKey = serde_json::from_slice(&text)
            .with_context(|| format!("`{}` is not an API key", path.display()))?;
        Ok(Login {
            endpoint: self.url(),
            key_id: key.id,
            key_secret: key.secret,
        })
    }
}

/// Runs are another user who passes through to its workspace, and root's home lets nobody pass.
fn default_root(env: &Env) -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/gantry-dev"));
    }
    env.data_dir().map(|dir| dir.join("dev"))
}

fn own_directory() -> anyhow::Result<PathBuf> {
    let own =
        std::env::current_exe().context("cannot find this program's own file: use --bin-dir")?;
    let parent = own
        .parent()
        .context("this program's file has no directory: use --bin-dir")?;
    Ok(parent.to_owned())
}

/// The address of the last time, or the wanted one; port 0 is made a real port once.
fn address(file: &Path, wanted: SocketAddr) -> anyhow::Result<SocketAddr> {
    if !wanted.ip().is_loopback() {
        bail!(
            "`{wanted}` is not an address of this host alone: gantry dev listens on 127.0.0.1 or [::1] only"
        );
    }
    let kept = fs::read_to_string(file)
        .ok()
        .and_then(|text| text.trim().parse::<SocketAddr>().ok());
    match kept {
        Some(kept) if wanted.port() == 0 || wanted == kept => return Ok(kept),
        Some(kept) => bail!(
            "`{}` was set up for {kept} and its pool token names that address: use --listen {kept}, or another --dir",
            file.parent().unwrap_or(file).display()
        ),
        None => {}
    }
    let socket = TcpListener::bind(wanted).with_context(|| format!("cannot listen on {wanted}"))?;
    let chosen = socket
        .local_addr()
        .context("cannot read the address that was bound")?;
    files::replace(file, format!("{chosen}\n").as_bytes())?;
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_stays_what_the_pool_token_says() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("address");
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = address(&file, any).unwrap();
        assert_ne!(first.port(), 0);
        assert_eq!(address(&file, any).unwrap(), first);
        assert_eq!(address(&file, first).unwrap(), first);
        let other = SocketAddr::new(first.ip(), first.port().wrapping_add(1).max(1024));
        let error = address(&file, other).unwrap_err().to_string();
        assert!(error.contains(&format!("use --listen {first}")), "{error}");
    }

    #[test]
    fn nothing_listens_beyond_this_host() {
        let dir = tempfile::tempdir().unwrap();
        for wide in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            assert!(
                address(&dir.path().join("address"), wide.parse().unwrap()).is_err(),
                "{wide}"
            );
        }
    }
}
