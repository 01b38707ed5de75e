//! HTTP client set-up that every Gantry binary shares: one TLS stack, one resolver.
//!
//! Takes an endpoint and options, gives a `reqwest::ClientBuilder` that trusts the bundled web roots, the
//! host's roots and the CAs an operator adds, that goes by the operator's proxies, and that resolves names itself. Never: `getaddrinfo` (the
//! binaries are static, glibc would load the image's NSS modules into them), a public DNS server that
//! nobody configured, a redirect followed silently, or clear-text HTTP beyond this host.
#![forbid(unsafe_code)]

mod added;
mod bundle;
mod client;
pub mod egress;
mod endpoint;
mod exceptions;
mod outside;
mod probe;
mod proxy;
mod resolver;
mod way;

pub use added::{
    ADDITIONAL_ROOT_CAS, AddedError, Oddity, oddities, parse_added, read_file, write_added,
};
pub use bundle::merged_bundle;
pub use client::{
    ClientError, ClientOptions, NamedPem, check_roots, client_builder, install_crypto,
    internal_client_builder, metadata_client_builder, tls_config,
};
pub use endpoint::{InsecureUrl, is_loopback, require_https_unless_loopback};
pub use outside::{CA_FILES, Mistake, Outside};
pub use probe::probe;
pub use proxy::{ALL_PROXY, HTTP_PROXY, HTTPS_PROXY, NO_PROXY, Proxies, Proxy};
pub use resolver::{ResolveError, Resolver};
pub use way::{BoxError, WayError, causes, means_of_curl};
