//! Whether a proxy answers, asked without going anywhere.
//!
//! Takes a proxy, gives what is wrong with it. Never: a request to a host that exists.

use std::time::Duration;

use crate::client::{ClientError, ClientOptions, internal_client_builder};
use crate::outside::Outside;
use crate::proxy::{Proxies, Proxy};
use crate::way::{BoxError, WayError};

/// No host has such a name (RFC 2606): what answers is the proxy.
const NOBODY: &str = "http://gantry-doctor.invalid/";

const LIMIT: Duration = Duration::from_secs(5);

/// Asks `proxy` for a host that does not exist; any answer but one about its login is good.
///
/// # Errors
/// What is wrong, in the words of [`WayError`].
pub async fn probe(proxy: &Proxy, outside: &Outside) -> Result<(), BoxError> {
    let through = Outside {
        proxies: Proxies::only(proxy.clone()),
        roots: outside.roots.clone(),
    };
    let mut options = ClientOptions::new("gantry-doctor", &through);
    options.connect_timeout = LIMIT;
    let url = NOBODY.parse().expect("invariant: a URL");
    let builder = internal_client_builder(&url, &options)
        .map_err(|error: ClientError| BoxError::from(error))?;
    let client = builder.timeout(LIMIT).build()?;
    let answer = client.get(url).send().await;
    let answer = answer.map_err(reqwest::Error::without_url)?;
    match answer.status().as_u16() {
        407 => Err(WayError::login(proxy).into()),
        _ => Ok(()),
    }
}
