//! Requests and answers as they stand on the wire.
//!
//! Takes and gives messages and headers. Pure. Never: a header that concerns one connection only, or a target that could
//! be read as another host.

use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use gantry_vcs_wire::wire::{Header, HttpRequest};

use super::{Ask, BODY_LIMIT};

/// The longest target, in bytes.
const TARGET_LIMIT: usize = 16 * 1024;

/// All header bytes of a request.
const HEADERS_LIMIT: usize = 64 * 1024;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// Headers of one connection, or of the message's frame.
const OWN: [HeaderName; 9] = [
    header::CONNECTION,
    header::HOST,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
];

/// Whether a header goes from end to end.
pub(super) fn goes_on(name: &HeaderName) -> bool {
    let text = name.as_str();
    !OWN.contains(name) && !matches!(text, "keep-alive" | "proxy-connection" | "expect")
}

/// A target without its query, for people and logs.
pub(super) fn path_of(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or("");
    let plain = path.chars().map(|c| if c.is_control() { '?' } else { c });
    plain.take(1000).collect()
}

/// The request on the wire.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn request(ask: Ask) -> Result<HttpRequest, &'static str> {
    let target = &ask.target;
    if !target.starts_with('/') || target.starts_with("//") || target.len() > TARGET_LIMIT {
        return Err("its path has to begin with one slash and to have at most 16 KiB");
    }
    if !target.bytes().all(|b| b.is_ascii_graphic()) || target.contains(['\\', '#']) {
        return Err(
            "its path may only hold printed ASCII characters, percent-encoded where needed",
        );
    }
    if ask.body.len() > BODY_LIMIT {
        return Err("its body is larger than what agents take (4 MiB with its headers)");
    }
    let mut headers = HashMap::new();
    let mut size = 0;
    for name in ask.headers.keys().filter(|name| goes_on(name)) {
        let values = ask.headers.get_all(name).iter().map(HeaderValue::to_str);
        let values: Result<Vec<&str>, _> = values.collect();
        let Ok(values) = values else {
            return Err("its headers may only hold printed ASCII characters");
        };
        // One text per name is all that the protocol has; so a list is joined as HTTP joins it.
        let text = values.join(if name == header::COOKIE { "; " } else { ", " });
        size += name.as_str().len() + text.len();
        headers.insert(name.as_str().to_owned(), text);
    }
    if size > HEADERS_LIMIT {
        return Err("its headers are larger than 64 KiB");
    }
    Ok(HttpRequest {
        path: ask.target,
        method: ask.method.as_str().to_owned(),
        headers,
        body: ask.body.into(),
    })
}

/// The head of an answer in one piece.
///
/// # Errors
/// What is wrong with it.
pub(super) fn head<'a>(
    status: i64,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Head, &'static str> {
    let status = u16::try_from(status)
        .ok()
        .filter(|status| (200..600).contains(status))
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or("its status is none of HTTP")?;
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        // A code host's odd header is no reason to lose its answer.
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value);
        if let (Ok(name), Ok(value)) = (name, value)
            && goes_on(&name)
        {
            kept.append(name, value);
        }
    }
    Ok(Head {
        status,
        headers: kept,
    })
}

/// Headers of an answer in one piece.
pub(super) fn of_map(map: &HashMap<String, String>) -> impl Iterator<Item = (&str, &[u8])> {
    map.iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// Headers of an answer in parts.
pub(super) fn of_list(list: &[Header]) -> impl Iterator<Item = (&str, &[u8])> {
    list.iter()
        .map(|header| (header.name.as_str(), header.value.as_slice()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::Method;
    use bytes::Bytes;

    use super::*;

    fn ask(target: &str, headers: &[(&'static str, &'static str)], body: usize) -> Ask {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Ask {
            purpose: "test",
            method: Method::GET,
            target: target.to_owned(),
            headers: map,
            body: Bytes::from(vec![0; body]),
            limit: Duration::from_secs(1),
        }
    }

    #[test]
    fn only_what_goes_from_end_to_end_is_sent() {
        let headers = [
            ("host", "a"),
            ("connection", "close"),
            ("content-length", "0"),
            ("accept", "a"),
            ("accept", "b"),
            ("cookie", "x=1"),
            ("cookie", "y=2"),
        ];
        let sent = request(ask("/a?b=c", &headers, 1)).unwrap();
        assert_eq!(
            (sent.path.as_str(), sent.method.as_str()),
            ("/a?b=c", "GET")
        );
        assert_eq!(sent.headers.len(), 2);
        assert_eq!(sent.headers["accept"], "a, b");
        assert_eq!(sent.headers["cookie"], "x=1; y=2");
    }

    #[test]
    fn a_target_is_a_path_of_the_base() {
        for bad in [
            "",
            "a",
            "@evil.example/",
            "//evil.example/",
            "http://evil.example/",
            "/a b",
            "/a\r\n",
            "/ä",
            "/a\\b",
            "/a#b",
            ":80/",
        ] {
            assert!(request(ask(bad, &[], 0)).is_err(), "{bad}");
        }
        let long = format!("/{}", "a".repeat(TARGET_LIMIT));
        assert!(request(ask(&long, &[], 0)).is_err());
        assert!(request(ask("/", &[], BODY_LIMIT + 1)).is_err());
        assert!(request(ask("/%2e%2e/~a:b@c;d", &[], BODY_LIMIT)).is_ok());
        assert_eq!(path_of("/a?token=x"), "/a");
    }

    #[test]
    fn an_odd_head_is_no_answer_and_odd_headers_are_left_out() {
        for bad in [-1, 0, 99, 100, 199, 600, i64::MAX] {
            assert!(head(bad, []).is_err(), "{bad}");
        }
        let headers: [(&str, &[u8]); 6] = [
            ("Content-Type", b"text/plain"),
            ("X-A", b"1"),
            ("x-a", b"2"),
            ("bad name", b"x"),
            ("x-b", b"a\nb"),
            ("Transfer-Encoding", b"chunked"),
        ];
        let read = head(204, headers).unwrap();
        assert_eq!(read.headers.len(), 3);
        assert_eq!(read.headers.get_all("x-a").iter().count(), 2);
    }
}
