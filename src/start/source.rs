//! Configuration → the fetcher of source code.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use gantry_net::{ClientError, Resolver, merged_bundle};

use crate::config::Config;
use crate::durable;
use crate::source::{DEFAULT_PATH, FetchPolicy, Fetcher, LookupError, lookup_fn};
use crate::workspace::{Bounds, Owner};

/// A repository may take this long to fetch.
const FETCH_TIME: Duration = Duration::from_secs(15 * 60);

/// The CAs for git and runs, in the data directory: programs take one file instead of their own, so the host's are in it
/// too.
const BUNDLE: &str = "ca-bundle.pem";

/// Why git can't be given the CAs of ADDITIONAL_ROOT_CAS.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// They are no certificates.
    #[error("ADDITIONAL_ROOT_CAS")]
    Content(#[from] ClientError),
    /// The file.
    #[error("could not write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

pub(super) fn fetcher(config: &Config, owner: Owner) -> Result<Fetcher, BundleError> {
    let mappings = config.source.vcs_mappings.iter();
    let policy = FetchPolicy {
        owner,
        path: DEFAULT_PATH.to_owned(),
        file_prefixes: config.source.file_prefixes.clone(),
        known_hosts: config.source.known_hosts.clone(),
        ssh_identity: None,
        ca_file: bundle(config)?,
        proxies: config.outside.proxies.clone(),
        private: mappings
            .map(|mapping| (mapping.name.clone(), mapping.base.clone()))
            .collect(),
        time: FETCH_TIME,
        bounds: Bounds::default(),
    };
    let resolver = Resolver::system();
    Ok(Fetcher::new(
        policy,
        lookup_fn(move |host| lookup(resolver.clone(), host)),
    ))
}

/// Where the CAs for git and for runs are.
pub(super) fn bundle_path(config: &Config) -> PathBuf {
    config.data_dir.join(BUNDLE)
}

fn bundle(config: &Config) -> Result<Option<PathBuf>, BundleError> {
    if config.outside.roots.is_empty() {
        return Ok(None);
    }
    let path = bundle_path(config);
    let content = merged_bundle(&config.outside.roots)?;
    // Git reads it as the user of runs.
    durable::replace_with(&path, content.as_bytes(), 0o644).map_err(|source| {
        BundleError::Write {
            path: path.clone(),
            source,
        }
    })?;
    Ok(Some(path))
}

async fn lookup(resolver: Resolver, host: String) -> Result<Vec<IpAddr>, LookupError> {
    Ok(resolver.lookup(&host).await?)
}
