//! Which headers cross the agent.
//!
//! Takes the gateway's headers or the host's, gives those that may go on. Never: one that is about the connection, one
//! that names another host, path or method than the one that was checked, or a gateway's credential where the agent
//! holds its own.

use std::collections::{HashMap, HashSet};

use reqwest::header::{
    ACCEPT_ENCODING, CONNECTION, HeaderMap, HeaderName, HeaderValue, InvalidHeaderName,
    InvalidHeaderValue, SET_COOKIE,
};

/// About one connection, not about the message; or written by who sends it on.
const CONNECTIONS_OWN: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Understood by hosts or what stands before them as "do something else than the request line says", or as "this
/// comes from somebody else". The rules see the request line only.
const OTHER_THINGS: [&str; 16] = [
    "forwarded",
    "sudo",
    "true-client-ip",
    "via",
    "x-accel-mapping",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "x-sendfile-type",
    "x-tfs-impersonate",
];

const OTHER_FAMILIES: [&str; 3] = ["proxy-", "x-forwarded-", "x-original-"];

/// What says who is asking.
const CREDENTIALS: [&str; 8] = [
    "authorization",
    "cookie",
    "deploy-token",
    "gitlab-ci-token",
    "job-token",
    "private-token",
    "x-api-key",
    "x-auth-token",
];

/// Why headers are no headers.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    /// A name.
    #[error("a header has a name that HTTP forbids")]
    Name(#[source] InvalidHeaderName),
    /// A value.
    #[error("the header `{name}` has a value that HTTP forbids")]
    Value {
        /// Its name.
        name: HeaderName,
        /// What is wrong.
        source: InvalidHeaderValue,
    },
}

/// Whose credentials a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The gateway's.
    Gateways,
    /// The agent's own; what the gateway sent is dropped.
    Agents,
}

/// What of the gateway's headers goes to the host.
///
/// # Errors
/// A name or a value is not one that HTTP has.
pub(super) fn to_host(
    sent: HashMap<String, String>,
    whose: Whose,
    identity: bool,
) -> Result<HeaderMap, HeaderError> {
    let mut all = HeaderMap::with_capacity(sent.len());
    for (name, value) in sent {
        let name = HeaderName::try_from(name).map_err(HeaderError::Name)?;
        let mut value = HeaderValue::try_from(value).map_err(|source| HeaderError::Value {
            name: name.clone(),
            source,
        })?;
        // The libraries below show values that are not marked, if their finest logs are asked for.
        value.set_sensitive(CREDENTIALS.contains(&name.as_str()));
        all.append(name, value);
    }
    let mut kept = across(all);
    for name in OTHER_THINGS {
        kept.remove(name);
    }
    if whose == Whose::Agents {
        for name in CREDENTIALS {
            kept.remove(name);
        }
    }
    if identity {
        kept.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    Ok(kept)
}

/// What of the host's headers goes to the gateway. A session that the agent's own credential opened stays here.
pub(super) fn to_gateway(answered: HeaderMap, whose: Whose) -> HeaderMap {
    let mut kept = across(answered);
    if whose == Whose::Agents {
        kept.remove(SET_COOKIE);
    }
    kept
}

/// For a gateway that knows one value per name: values joined as HTTP allows, names as people write them.
pub fn folded(headers: &HeaderMap) -> HashMap<String, String> {
    let mut all = HashMap::with_capacity(headers.keys_len());
    // Values of this one can't be joined, and half of a login is worse than none.
    for name in headers.keys().filter(|name| **name != SET_COOKIE) {
        let values: Vec<_> = headers.get_all(name).iter().map(text).collect();
        all.insert(titled(name.as_str()), values.join(", "));
    }
    all
}

/// Without what is about the connection, and without what `Connection` names.
fn across(mut headers: HeaderMap) -> HeaderMap {
    let listed: HashSet<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let goes = |name: &str| {
        CONNECTIONS_OWN.contains(&name)
            || listed.contains(name)
            || OTHER_FAMILIES.iter().any(|family| name.starts_with(family))
    };
    let going: Vec<_> = headers
        .keys()
        .filter(|name| goes(name.as_str()))
        .cloned()
        .collect();
    for name in going {
        headers.remove(name);
    }
    headers
}

/// Bytes beyond ASCII as the characters of Latin-1, which is what HTTP once said they are.
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    }
}

/// `content-type` → `Content-Type`: who looks names up in a map looks for this.
fn titled(name: &str) -> String {
    let mut upper = true;
    let letters = name.chars().map(|letter| {
        let shown = if upper {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        upper = letter == '-';
        shown
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        pairs.collect()
    }

    #[test]
    fn what_is_about_the_connection_or_another_request_stays_here() {
        let dropped = [
            "Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "Host",
            "Content-Length",
            "Expect",
            "Proxy-Authorization",
            "Proxy-Connection",
            "X-Forwarded-For",
            "x-forwarded-host",
            "Forwarded",
            "X-HTTP-Method-Override",
            "X-Method-Override",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-Real-IP",
            "Sudo",
            "X-Listed",
        ];
        let mut pairs: Vec<_> = dropped.iter().map(|name| (*name, "x")).collect();
        pairs[0].1 = "close, x-listed";
        let kept = [
            "Accept",
            "Authorization",
            "Git-Protocol",
            "PRIVATE-TOKEN",
            "If-None-Match",
        ];
        pairs.extend(kept.map(|name| (name, "y")));
        let headers = to_host(sent(&pairs), Whose::Gateways, false).unwrap();
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert!(!format!("{:?}", headers["private-token"]).contains('y'));
        let mut expected = kept.map(str::to_ascii_lowercase);
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn own_credentials_replace_the_gateways() {
        let pairs = [
            ("authorization", "x"),
            ("Private-Token", "x"),
            ("Cookie", "x"),
            ("JOB-TOKEN", "x"),
            ("accept", "y"),
        ];
        let headers = to_host(sent(&pairs), Whose::Agents, true).unwrap();
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "accept-encoding"]);
        assert_eq!(headers[ACCEPT_ENCODING], "identity");
        let mut answered = HeaderMap::new();
        answered.append(SET_COOKIE, HeaderValue::from_static("a=b"));
        assert!(to_gateway(answered.clone(), Whose::Agents).is_empty());
        assert_eq!(to_gateway(answered, Whose::Gateways).len(), 1);
    }

    #[test]
    fn what_http_forbids_is_refused_by_name() {
        for (name, value) in [
            ("a b", "x"),
            (":path", "/x"),
            ("", "x"),
            ("x", "a\r\nb: c"),
            ("x", "\0"),
        ] {
            let refused = to_host(sent(&[(name, value)]), Whose::Gateways, false);
            assert!(refused.is_err(), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn one_value_per_name_loses_nothing_that_can_be_joined() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("link", "<a>"),
            ("link", "<b>"),
            ("set-cookie", "a=b"),
            ("x-next-page", "2"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append("x-name", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let folded = folded(&headers);
        let expected = sent(&[
            ("Link", "<a>, <b>"),
            ("X-Next-Page", "2"),
            ("X-Name", "café"),
        ]);
        assert_eq!(folded, expected);
    }
}
