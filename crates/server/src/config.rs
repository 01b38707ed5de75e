//! What an operator says: arguments and environment, in one place.
//!
//! Takes the command line, gives checked settings. Never: a default that is open to a network without TLS.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use gantry_net::{Mistake, Outside};
use gantry_service::{Environment, Source as _};
use ipnet::IpNet;

use crate::auth::Role;
use crate::workers::DEFAULT_ACCOUNT;

/// Variables of this process that git may see when it looks for a branch: how to trust a host. Proxies are told to it by
/// repository.
const FOR_GIT: [&str; 6] = [
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "SSH_AUTH_SOCK",
    "TMPDIR",
];

/// Gantry's control plane.
#[derive(Debug, Parser)]
#[command(name = "gantry-server", version, about)]
pub struct Cli {
    /// Which log lines to write: `info`, `debug`, or directives such as `gantry_server=debug`.
    #[arg(long, env = "GANTRY_LOG", default_value = "info", global = true)]
    pub log: String,
    /// How log lines look.
    #[arg(
        long,
        env = "GANTRY_LOG_FORMAT",
        value_enum,
        default_value = "text",
        global = true
    )]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(Box<ServeArgs>),
    /// The key that seals secrets at rest.
    #[command(subcommand)]
    MasterKey(MasterKeyCommand),
    /// Keys of the API.
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// The executables that launchers mount into runs.
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Ask the server that runs beside this whether it lives, for the probes of containers: exit code 0 yes, 1 no.
    Health(HealthArgs),
    /// Print the API's schema.
    Schema,
    /// Print every host that is contacted under these settings, and under what people stored; contacts nobody.
    Egress {
        /// The settings of `serve`.
        #[command(flatten)]
        args: Box<ServeArgs>,
        /// How to print it.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
}

/// Doing something with the master key.
#[derive(Debug, Subcommand)]
pub enum MasterKeyCommand {
    /// Print a new master key file. Keep it outside the data directory, and keep a copy.
    Generate,
}

/// Doing something with API keys.
#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Make a key and print its id and secret, once.
    Create {
        /// Where the server keeps everything.
        #[arg(long, env = "GANTRY_DATA_DIR")]
        data_dir: PathBuf,
        /// The name that histories show.
        #[arg(long)]
        name: String,
        /// What its bearer may do.
        #[arg(long, value_enum, default_value = "reader")]
        role: Role,
        /// A space that it is limited to, with all below it; may be given more than once. None is all spaces.
        #[arg(long = "space", value_name = "ID")]
        spaces: Vec<String>,
        /// How to print it.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Take a key back; it stops working at once.
    Revoke {
        /// Where the server keeps everything.
        #[arg(long, env = "GANTRY_DATA_DIR")]
        data_dir: PathBuf,
        /// The key's id.
        #[arg(long)]
        id: String,
    },
}

/// Doing something with worker executables.
#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// Take in an executable with its signed manifest; the newest version is given to launchers.
    Add {
        /// Where the server keeps everything.
        #[arg(long, env = "GANTRY_DATA_DIR")]
        data_dir: PathBuf,
        /// The manifest, as the release key signed it.
        #[arg(long)]
        manifest: PathBuf,
        /// The executable.
        #[arg(long)]
        binary: PathBuf,
    },
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Asking a server.
#[derive(Clone, Debug, Args)]
pub struct HealthArgs {
    /// The server's health address.
    #[arg(long, env = "GANTRY_HEALTH_LISTEN", value_name = "ADDRESS", value_parser = loopback)]
    pub health_listen: SocketAddr,
    /// Ask instead whether it can serve just now: whether the database can be written.
    #[arg(long)]
    pub ready: bool,
}

/// Running the server.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Where the server keeps everything; made if it does not exist.
    #[arg(long, env = "GANTRY_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "GANTRY_LISTEN", default_value = "127.0.0.1:1983")]
    pub listen: SocketAddr,
    /// Loopback address that serves `/healthz` and `/readyz` in clear text, whatever TLS the others have; off without it.
    #[arg(long, env = "GANTRY_HEALTH_LISTEN", value_name = "ADDRESS", value_parser = loopback)]
    pub health_listen: Option<SocketAddr>,
    /// The URL under which people and launchers reach this server; by default the address it listens on.
    #[arg(long, env = "GANTRY_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// The name of this installation, as runs and policies see it.
    #[arg(long, env = "GANTRY_ACCOUNT_NAME", default_value = DEFAULT_ACCOUNT, value_parser = account_name)]
    pub account_name: String,
    /// File with the master key, outside the data directory.
    #[arg(long, env = "GANTRY_MASTER_KEY_FILE")]
    pub master_key_file: PathBuf,
    /// Certificate chain for TLS, PEM.
    #[arg(long, env = "GANTRY_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key for TLS, PEM.
    #[arg(long, env = "GANTRY_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A proxy in front of this server does TLS: allow an address that others can reach without it.
    #[arg(long, env = "GANTRY_BEHIND_PROXY")]
    pub behind_proxy: bool,
    /// Address ranges of proxies in front of this server, comma list: the client's address is taken from what they
    /// put into `X-Forwarded-For`.
    #[arg(long, env = "GANTRY_TRUSTED_PROXIES", value_delimiter = ',', value_parser = address_range, value_name = "RANGE")]
    pub trusted_proxies: Vec<IpNet>,
    /// Inner address ranges that messages about runs may go to, comma list; public ones always may.
    #[arg(long, env = "GANTRY_OUTGOING_NETWORKS", value_delimiter = ',', value_parser = address_range, value_name = "RANGE")]
    pub outgoing_networks: Vec<IpNet>,
    /// Requests of the API that one key, or one address without a key, may send in a second; ten times as many at
    /// once. 0 is no limit.
    #[arg(
        long,
        env = "GANTRY_API_RATE",
        default_value_t = 100,
        value_name = "NUMBER"
    )]
    pub api_rate: u32,
    /// Proxies and added CAs; see [`outside`].
    #[arg(skip)]
    pub outside: Outside,
    /// The program whose children evaluate policies; none is this one. Set where this is a library of another program.
    #[arg(skip)]
    pub policy_program: Option<PathBuf>,
    /// Days after a run's end that its logs are kept; without it they are kept for ever.
    #[arg(long, env = "GANTRY_KEEP_LOGS_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_logs_days: Option<u32>,
    /// Days after a run's end that the documents of its plans are kept, but of the run that wrote the stack's newest state;
    /// without it they are kept for ever.
    #[arg(long, env = "GANTRY_KEEP_PLANS_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_plans_days: Option<u32>,
    /// Days after a run's end that the run itself is kept, with its history, log and plans; without it, and while something
    /// needs the run, for ever.
    #[arg(long, env = "GANTRY_KEEP_RUNS_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_runs_days: Option<u32>,
    /// Versions of each stack's managed state that are kept, the newest ones; without it all are.
    #[arg(long, env = "GANTRY_KEEP_STATE_VERSIONS", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_state_versions: Option<u32>,
    /// Directories below which `file://` repositories may lie, comma list.
    #[arg(long, env = "GANTRY_SOURCE_FILE_PREFIXES", value_delimiter = ',')]
    pub source_file_prefixes: Vec<PathBuf>,
    /// Address on which VCS agents connect (gRPC), such as `0.0.0.0:1984`; without it there is no VCS gateway. TLS and
    /// proxies as for `--listen`.
    #[arg(long, env = "GANTRY_VCS_GATEWAY_LISTEN", value_name = "ADDRESS")]
    pub vcs_gateway_listen: Option<SocketAddr>,
    /// `host:port` under which VCS agents reach it, for the tokens of their pools; by default the host of the public URL
    /// and the port it listens on.
    #[arg(long, env = "GANTRY_VCS_GATEWAY_ADDRESS", value_name = "HOST:PORT", value_parser = host_and_port)]
    pub vcs_gateway_address: Option<String>,
}

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Clear text where others can listen.
    #[error(
        "{1} `{0}` can be reached by others: give --tls-cert and --tls-key, or --behind-proxy if a proxy does TLS"
    )]
    ClearText(SocketAddr, &'static str),
    /// The public URL is not one.
    #[error(
        "GANTRY_PUBLIC_URL `{0}` is not usable: expected `https://host[:port][/path]`, or `http://` for this host only"
    )]
    PublicUrl(String),
    /// Whoever copies the data directory would copy the key.
    #[error("the master key file `{}` lies inside the data directory: keep it elsewhere", .0.display())]
    KeyInside(PathBuf),
    /// The log filter is not one.
    #[error("GANTRY_LOG `{text}` is not a filter")]
    LogFilter {
        /// The text.
        text: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
}

/// Variables about proxies and CAs that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct OutsideError(Vec<Mistake>);

/// TLS files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

impl ServeArgs {
    /// Checks what does not depend on the host's state.
    pub fn check(&self) -> Result<(), ConfigError> {
        let guarded = self.behind_proxy || self.tls().is_some();
        let open = |address: SocketAddr| !address.ip().is_loopback() && !guarded;
        if open(self.listen) {
            return Err(ConfigError::ClearText(self.listen, "GANTRY_LISTEN"));
        }
        if let Some(address) = self.vcs_gateway_listen.filter(|address| open(*address)) {
            let name = "GANTRY_VCS_GATEWAY_LISTEN";
            return Err(ConfigError::ClearText(address, name));
        }
        if let Some(url) = self.public_url.as_ref().filter(|url| !usable_url(url)) {
            return Err(ConfigError::PublicUrl(url.clone()));
        }
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if absolute(&self.master_key_file).starts_with(absolute(&self.data_dir)) {
            return Err(ConfigError::KeyInside(self.master_key_file.clone()));
        }
        Ok(())
    }

    /// The files for TLS, if this server does it.
    pub fn tls(&self) -> Option<TlsFiles> {
        let (cert, key) = self.tls_cert.clone().zip(self.tls_key.clone())?;
        Some(TlsFiles { cert, key })
    }

    /// The base URL: what was set, or the address that was bound.
    pub fn base_url(&self, bound: SocketAddr) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if self.tls().is_some() => format!("https://{bound}"),
            None => format!("http://{bound}"),
        }
    }

    /// `host:port` for the tokens of VCS agent pools: what was set, or the public URL's host, or the address that was
    /// bound; nothing without a gateway.
    pub fn vcs_address(&self, bound: Option<SocketAddr>) -> Option<String> {
        if let Some(address) = &self.vcs_gateway_address {
            return Some(address.clone());
        }
        let bound = bound?;
        let url = self.public_url.as_deref().map(url::Url::parse);
        match url.as_ref().and_then(|url| url.as_ref().ok()?.host_str()) {
            Some(host) => Some(format!("{host}:{}", bound.port())),
            None => Some(bound.to_string()),
        }
    }
}

/// The proxies and added CAs of this process's environment, as every component reads them.
///
/// # Errors
/// Every mistake, with the name of its variable.
pub fn outside() -> Result<Outside, OutsideError> {
    Outside::read(&|name| Environment.get(name)).map_err(OutsideError)
}

/// What git may know of this process's environment.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the module that reads the environment"
)]
pub fn environment_for_git() -> Vec<(&'static str, OsString)> {
    let read = |name| std::env::var_os(name).map(|value| (name, value));
    FOR_GIT.into_iter().filter_map(read).collect()
}

/// A range such as `10.0.0.0/8`, or one address.
fn address_range(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let one = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    let range = text.parse().ok().or_else(one);
    range.ok_or_else(|| "expected an address range such as `10.0.0.0/8`, or an address".to_owned())
}

/// An address that only this host reaches.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        _ => Err("expected a loopback address and a port, such as `127.0.0.1:9465`".to_owned()),
    }
}

/// A name or address and a port, as a token has it.
fn host_and_port(text: &str) -> Result<String, String> {
    let url = url::Url::parse(&format!("https://{text}/")).ok();
    let whole = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let bare = url.is_some_and(|url| url.username().is_empty() && url.path() == "/");
    match whole && bare && !text.contains(['@', '/', '?', '#']) {
        true => Ok(text.to_owned()),
        false => Err("expected a host and a port such as `gantry.example:443`".to_owned()),
    }
}

/// It stands in variables and policies: one plain word.
fn account_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        return Err("expected up to 64 letters, digits, `-`, `_` and `.`".to_owned());
    }
    Ok(text.to_owned())
}

fn usable_url(url: &str) -> bool {
    let plain = |rest: &str| {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        !authority.is_empty() && !rest.contains(['?', '#', '@', ' ', '"']) && plain_path(path)
    };
    if let Some(rest) = url.strip_prefix("https://") {
        return plain(rest);
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or("");
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    let loopback = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_loopback());
    plain(rest) && (host == "localhost" || loopback)
}

/// Requests are told apart by it as it is written: no escapes, no dot segments, no doubled slashes.
fn plain_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    let part =
        |part: &str| !part.is_empty() && part.chars().all(plain) && part.chars().any(|c| c != '.');
    let path = path.strip_suffix('/').unwrap_or(path);
    path.is_empty() || path.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(arguments: &[&str]) -> Result<(), String> {
        let base = ["gantry-server", "serve", "--data-dir", "/var/lib/gantry"];
        let cli = Cli::try_parse_from(base.iter().chain(arguments)).map_err(|e| e.to_string())?;
        let Command::Serve(serve) = cli.command else {
            unreachable!("it is serve")
        };
        serve.check().map_err(|e| e.to_string())
    }

    #[test]
    fn settings_are_checked() {
        let key = ["--master-key-file", "/etc/gantry/key"];
        let tls = ["--tls-cert", "c", "--tls-key", "k"];
        let open = ["--listen", "0.0.0.0:1983"];
        let ok: [&[&[&str]]; 7] = [
            &[
                &key,
                &["--trusted-proxies", "10.0.0.0/8,::1", "--api-rate", "0"],
            ],
            &[&key],
            &[&key, &open, &tls],
            &[&key, &open, &["--behind-proxy"]],
            &[
                &key,
                &["--listen", "[::1]:0", "--public-url", "http://[::1]:4000/p"],
            ],
            &[
                &key,
                &["--public-url", "https://gantry.example/tools/gantry/"],
            ],
            &[&key, &["--public-url", "http://localhost:8080"]],
        ];
        for arguments in ok {
            assert_eq!(serve(&arguments.concat()), Ok(()), "{arguments:?}");
        }
        for (arguments, expected) in [
            (vec![], "--master-key-file"),
            (
                [&key[..], &["--vcs-gateway-listen", "0.0.0.0:1984"]].concat(),
                "GANTRY_VCS_GATEWAY_LISTEN `0.0.0.0:1984`",
            ),
            (
                [&key[..], &["--vcs-gateway-address", "https://a"]].concat(),
                "gantry.example:443",
            ),
            ([&key[..], &open].concat(), "0.0.0.0:1983"),
            ([&key[..], &["--listen", "localhost"]].concat(), "localhost"),
            ([&key[..], &["--tls-cert", "c"]].concat(), "--tls-key"),
            (
                [&key[..], &["--public-url", "http://gantry.example"]].concat(),
                "gantry.example",
            ),
            (
                [&key[..], &["--public-url", "gantry.example"]].concat(),
                "GANTRY_PUBLIC_URL",
            ),
            (
                [&key[..], &["--public-url", "https://"]].concat(),
                "GANTRY_PUBLIC_URL",
            ),
            (
                [&key[..], &["--public-url", "https://h/a/../b"]].concat(),
                "GANTRY_PUBLIC_URL",
            ),
            (
                [&key[..], &["--public-url", "https://h/a//b"]].concat(),
                "GANTRY_PUBLIC_URL",
            ),
            (
                [&key[..], &["--public-url", "https://h/{a}"]].concat(),
                "GANTRY_PUBLIC_URL",
            ),
            (
                [&key[..], &["--account-name", "a b"]].concat(),
                "--account-name",
            ),
            (
                [&key[..], &["--trusted-proxies", "10.0.0.0/8,proxy"]].concat(),
                "address range",
            ),
            (
                vec!["--master-key-file", "/var/lib/gantry/key"],
                "keep it elsewhere",
            ),
        ] {
            let refused = serve(&arguments).unwrap_err();
            assert!(refused.contains(expected), "{arguments:?}: {refused}");
        }
    }
}
