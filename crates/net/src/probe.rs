//! Whether a proxy answers, asked without going anywhere.
//!
//! Takes a proxy, gives what is wrong with it. Never: a request to a host that exists.

use std::time::Duration;

use crate::client::{ClientError, ClientOptions, internal_client_builder};
use crate::egress::LauncherPurpose;
use crate::outside::Outside;
use crate::proxy::{Proxies, Proxy};
use crate::way::{BoxError, WayError};

/// No host has such a name (RFC 2606): what answers is the proxy.
const NOBODY: &str = "http://gantry-doctor.invalid/";

/// To connect, and to answer.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(5);

/// Asks `proxy` for a host that does not exist; any answer but one about its login is good.
///
/// # Errors
/// What is wrong, in the words of [`WayError`].
pub async fn probe(proxy: &Proxy, outside: &Outside) -> Result<(), BoxError> {
    let through = Outside {
        proxies: Proxies::only(proxy.clone()),
        roots: outside.roots.clone(),
    };
    let mut options = ClientOptions::new(LauncherPurpose::Server, "gantry-doctor", &through);
    options.connect_timeout = CONNECT;
    let url = NOBODY.parse().expect("invariant: a URL");
    let builder = internal_client_builder(&url, &options)
        .map_err(|error: ClientError| BoxError::from(error))?;
    let client = builder.timeout(ANSWER).build()?;
    match client.get(url).send().await {
        Ok(answer) if answer.status().as_u16() == 407 => Err(WayError::login(proxy).into()),
        Ok(_) => Ok(()),
        // It took the request, and still asks its own name servers about nobody.
        Err(error) if error.is_timeout() && !error.is_connect() => Ok(()),
        Err(error) => Err(error.without_url().into()),
    }
}
