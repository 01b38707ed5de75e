//! Names to addresses without libc: `/etc/hosts` first, then the name servers of `/etc/resolv.conf`.
//!
//! Takes a host name, gives its addresses, IPv4 before IPv6. Never: a server that `resolv.conf` does not
//! name, and never a query for a name that the hosts file answers. Both files are read again when they
//! change, so that a daemon survives a network change.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};

use crate::egress::Purpose;

/// Where a host names its name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How long one query may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How often a query is tried.
const ATTEMPTS: usize = 2;

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The text can't be a host name.
    #[error("`{host}` is not a host name")]
    NotAName {
        /// What was asked for.
        host: String,
    },
    /// There is no usable list of name servers.
    #[error("cannot look up `{host}`: `{}` gives no usable name server", path.display())]
    NoServers {
        /// What was asked for.
        host: String,
        /// The file that should list them.
        path: PathBuf,
        /// Why it does not.
        source: Arc<NetError>,
    },
    /// The name servers did not answer or know no such name.
    #[error("cannot look up `{host}`")]
    Lookup {
        /// What was asked for.
        host: String,
        /// What the servers said.
        source: NetError,
    },
    /// The name exists but has no address.
    #[error("`{host}` has no address")]
    NoAddress {
        /// What was asked for.
        host: String,
    },
}

/// Resolves names; cheap to clone, clones share one cache.
#[derive(Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
}

struct Shared {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Clone)]
struct Loaded {
    stamp: [Option<Stamp>; 2],
    hosts: Arc<Hosts>,
    dns: Result<TokioResolver, Arc<NetError>>,
}

/// What changes when a file is replaced or rewritten: device, inode, size, modification time.
type Stamp = (u64, u64, u64, i64, i64);

impl Resolver {
    /// The host's own configuration: `/etc/resolv.conf` and `/etc/hosts`.
    pub fn system() -> Self {
        Self::from_files(RESOLV_CONF, "/etc/hosts")
    }

    /// Other files of the same formats (a chroot, a test).
    pub fn from_files(resolv_conf: impl Into<PathBuf>, hosts: impl Into<PathBuf>) -> Self {
        let (resolv_conf, hosts) = (resolv_conf.into(), hosts.into());
        Self {
            shared: Arc::new(Shared {
                resolv_conf,
                hosts,
                loaded: Mutex::new(None),
            }),
        }
    }

    /// The addresses of `host` (a name or an address as text), never empty.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![ip]);
        }
        let loaded = self.shared.loaded();
        let known = static_addresses(&loaded.hosts, host)?;
        if !known.is_empty() {
            return Ok(known);
        }
        let dns = loaded.dns.map_err(|source| ResolveError::NoServers {
            host: host.to_owned(),
            path: self.shared.resolv_conf.clone(),
            source,
        })?;
        let answer = dns.lookup_ip(host).await;
        let answer = answer.map_err(|source| ResolveError::Lookup {
            host: host.to_owned(),
            source,
        })?;
        let addresses: Vec<_> = answer.iter().collect();
        if addresses.is_empty() {
            return Err(ResolveError::NoAddress {
                host: host.to_owned(),
            });
        }
        Ok(addresses)
    }
}

/// A resolver that says for what a client looks a name up: the log's half of the inventory.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) resolver: Resolver,
    pub(crate) purpose: Purpose,
}

impl reqwest::dns::Resolve for Asked {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let Self { resolver, purpose } = self.clone();
        let purpose = purpose.row().name;
        tracing::debug!(host = name.as_str(), purpose, "looking up whom to contact");
        Box::pin(async move {
            let addresses = resolver.lookup(name.as_str()).await?;
            let sockets = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(sockets) as reqwest::dns::Addrs)
        })
    }
}

impl Shared {
    fn loaded(&self) -> Loaded {
        let stamp = [stamp(&self.resolv_conf), stamp(&self.hosts)];
        let mut slot = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(loaded) if loaded.stamp == stamp => loaded.clone(),
            _ => {
                let hosts = Arc::new(read_hosts(&self.hosts));
                let dns = read_servers(&self.resolv_conf).map_err(Arc::new);
                slot.insert(Loaded { stamp, hosts, dns }).clone()
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
    ))
}

fn read_hosts(path: &Path) -> Hosts {
    let mut hosts = Hosts::default();
    let read = fs::File::open(path).and_then(|file| hosts.read_hosts_conf(file));
    match read {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(file = %path.display(), %error, "hosts file ignored");
        }
        _ => {}
    }
    hosts
}

/// The file that names this host's name servers, and those that it names.
pub(crate) fn system_servers() -> (&'static str, Vec<SocketAddr>) {
    let parsed = fs::read(RESOLV_CONF).ok();
    let parsed = parsed.and_then(|text| parse_resolv_conf(text).ok());
    let mut servers = Vec::new();
    for server in parsed.iter().flat_map(|(config, _)| config.name_servers()) {
        for connection in &server.connections {
            let address = SocketAddr::new(server.ip, connection.port);
            if !servers.contains(&address) {
                servers.push(address);
            }
        }
    }
    (RESOLV_CONF, servers)
}

fn read_servers(path: &Path) -> Result<TokioResolver, NetError> {
    let (config, from_file) = parse_resolv_conf(fs::read(path)?)?;
    dns(config, &from_file)
}

fn dns(config: ResolverConfig, from_file: &ResolverOpts) -> Result<TokioResolver, NetError> {
    // ndots and EDNS are the operator's; the rest is what a program that people wait for needs.
    let mut options = ResolverOpts::default();
    options.ndots = from_file.ndots;
    options.edns0 = from_file.edns0;
    options.timeout = TIMEOUT;
    options.attempts = ATTEMPTS;
    // Asking for AAAA at the same time would wait for a silent server although A is known.
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    options.use_hosts_file = ResolveHosts::Never;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
}

fn static_addresses(hosts: &Hosts, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
    let name = Name::from_str_relaxed(host)
        .ok()
        .filter(|name| name.iter().next().is_some());
    let name = name.ok_or_else(|| ResolveError::NotAName {
        host: host.to_owned(),
    })?;
    let mut addresses = Vec::new();
    for kind in [RecordType::A, RecordType::AAAA] {
        if let Some(lookup) = hosts.lookup_static_host(&Query::query(name.clone(), kind)) {
            addresses.extend(
                lookup
                    .answers()
                    .iter()
                    .filter_map(|record| record.data.ip_addr()),
            );
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    use hickory_resolver::config::NameServerConfig;
    use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
    use hickory_resolver::proto::rr::{RData, Record};
    use tokio::net::UdpSocket;

    /// A name server: `both.test` has both families, `six.test` IPv6 only, nothing else exists. Gives what it
    /// was asked through the channel.
    async fn name_server() -> (
        TokioResolver,
        tokio::sync::mpsc::UnboundedReceiver<RecordType>,
    ) {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let (asked, log) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut packet = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut packet).await {
                let question = Message::from_vec(&packet[..length]).unwrap();
                let _ = asked.send(question.queries[0].query_type());
                socket.send_to(&answer(&question), peer).await.unwrap();
            }
        });
        let mut server = NameServerConfig::udp(address.ip());
        server.connections[0].port = address.port();
        let config = ResolverConfig::from_parts(None, vec![], vec![server]);
        (dns(config, &ResolverOpts::default()).unwrap(), log)
    }

    fn answer(question: &Message) -> Vec<u8> {
        let query = question.queries[0].clone();
        let mut message = Message::response(question.metadata.id, OpCode::Query);
        let name = query.name().to_string();
        let data = match (name.as_str(), query.query_type()) {
            ("both.test.", RecordType::A) => Some("192.0.2.1"),
            ("both.test." | "six.test.", RecordType::AAAA) => Some("2001:db8::1"),
            ("six.test.", _) => None,
            _ => {
                message.metadata.response_code = ResponseCode::NXDomain;
                None
            }
        };
        if let Some(data) = data {
            let data = RData::from(data.parse::<IpAddr>().unwrap());
            message.add_answer(Record::from_rdata(query.name().clone(), 60, data));
        }
        message.add_query(query);
        message.to_vec().unwrap()
    }

    #[tokio::test]
    async fn ipv6_is_asked_for_only_when_there_is_no_ipv4() {
        let (resolver, mut asked) = name_server().await;
        let rows = [
            ("both.test.", "192.0.2.1", &[RecordType::A][..]),
            (
                "six.test.",
                "2001:db8::1",
                &[RecordType::A, RecordType::AAAA],
            ),
        ];
        for (host, address, questions) in rows {
            let found: Vec<_> = resolver.lookup_ip(host).await.unwrap().iter().collect();
            assert_eq!(found, ips(&[address]), "{host}");
            let mut seen = Vec::new();
            while let Ok(kind) = asked.try_recv() {
                seen.push(kind);
            }
            assert_eq!(seen, questions, "{host}");
        }
        assert!(resolver.lookup_ip("none.test.").await.is_err());
    }

    const SILENT: &str = "nameserver 192.0.2.1\n";

    fn files(resolv: Option<&str>, hosts: &str) -> (tempfile::TempDir, Resolver) {
        let dir = tempfile::tempdir().unwrap();
        if let Some(text) = resolv {
            fs::write(dir.path().join("resolv.conf"), text).unwrap();
        }
        fs::write(dir.path().join("hosts"), hosts).unwrap();
        let resolver =
            Resolver::from_files(dir.path().join("resolv.conf"), dir.path().join("hosts"));
        (dir, resolver)
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_hosts_file_answers_without_asking_a_server() {
        let hosts = "127.0.0.1 a.test\n10.0.0.1 B.test b2.test\n::1 six.test\nfd00::1 a.test\n";
        let (_dir, resolver) = files(Some(SILENT), hosts);
        let rows: [(&str, &[&str]); 5] = [
            ("a.test", &["127.0.0.1", "fd00::1"]),
            ("b.TEST", &["10.0.0.1"]),
            ("six.test", &["::1"]),
            ("192.0.2.7", &["192.0.2.7"]),
            ("::1", &["::1"]),
        ];
        let before = tokio::time::Instant::now();
        for (host, expected) in rows {
            assert_eq!(
                resolver.lookup(host).await.unwrap(),
                ips(expected),
                "{host}"
            );
        }
        assert_eq!(
            before.elapsed(),
            Duration::ZERO,
            "something waited for a server"
        );
    }

    #[tokio::test]
    async fn without_resolv_conf_no_server_is_asked() {
        for content in [None, Some(""), Some("search example.org\n")] {
            let (dir, resolver) = files(content, "127.0.0.1 a.test\n");
            assert_eq!(
                resolver.lookup("a.test").await.unwrap(),
                ips(&["127.0.0.1"])
            );
            let error = resolver.lookup("example.org").await.unwrap_err();
            let path = dir.path().join("resolv.conf").display().to_string();
            assert_eq!(
                error.to_string(),
                format!("cannot look up `example.org`: `{path}` gives no usable name server")
            );
            assert!(error.source().is_some());
        }
    }

    #[tokio::test]
    async fn a_changed_hosts_file_counts_at_once() {
        let (dir, resolver) = files(Some(SILENT), "127.0.0.1 a.test\n");
        assert_eq!(
            resolver.lookup("a.test").await.unwrap(),
            ips(&["127.0.0.1"])
        );
        fs::write(dir.path().join("hosts"), "127.0.0.22 a.test\n").unwrap();
        assert_eq!(
            resolver.lookup("a.test").await.unwrap(),
            ips(&["127.0.0.22"])
        );
    }

    #[tokio::test]
    async fn localhost_never_leaves_the_host() {
        let (_dir, resolver) = files(Some(SILENT), "");
        assert_eq!(
            resolver.lookup("localhost").await.unwrap(),
            ips(&["127.0.0.1"])
        );
    }

    #[tokio::test]
    async fn a_text_that_is_no_name_is_refused() {
        let (_dir, resolver) = files(Some(SILENT), "");
        let long = "a".repeat(300);
        for host in ["", ".", "a..b", long.as_str()] {
            let error = resolver.lookup(host).await.unwrap_err();
            assert!(matches!(error, ResolveError::NotAName { .. }), "{error}");
        }
    }
}
