//! Why a code host could not be asked, or what it refused.
//!
//! Takes statuses and what stands beside them, gives sentences for people. Never: a token, a query, or a host's
//! words without a bound.

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::domain::IntegrationId;
use crate::gateway::GatewayError;
use crate::logins::LoginError;
use crate::outgoing::SendError;
use crate::store::StoreError;

/// The longest text of a host that is handed on, in characters.
const TEXT_LIMIT: usize = 200;

/// A code host that was not asked, or that said no.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The integration names no API.
    #[error("VCS integration `{integration}` has no `apiUrl`: set it to ask its host for anything")]
    NoApi {
        /// The integration.
        integration: IntegrationId,
    },
    /// A host without an API.
    #[error(
        "VCS integration `{integration}` is of a server that only speaks git: there is no API to ask"
    )]
    OnlyGit {
        /// The integration.
        integration: IntegrationId,
    },
    /// A text that names no repository.
    #[error("`{name}` names no repository of {kind}: expected {shape}")]
    NoPlace {
        /// The text, cut short.
        name: String,
        /// The kind of host.
        kind: &'static str,
        /// How its repositories are called.
        shape: &'static str,
    },
    /// The token is not known.
    #[error(
        "{host} does not accept the token of VCS integration `{integration}` (401{said}): set one that is valid"
    )]
    Unauthorized {
        /// The host.
        host: String,
        /// The integration.
        integration: IntegrationId,
        /// What it said, with a colon before it.
        said: String,
    },
    /// The token may not do that.
    #[error(
        "{host} does not let the token of VCS integration `{integration}` {purpose} (403{said}): give it the right, see the integration's documentation"
    )]
    Forbidden {
        /// The host.
        host: String,
        /// The integration.
        integration: IntegrationId,
        /// What was tried.
        purpose: &'static str,
        /// What it said, with a colon before it.
        said: String,
    },
    /// It is not there, or hidden.
    #[error(
        "{host} could not {purpose}{of}: it is not there, the token may not see it, or `apiUrl` is wrong (404{said})"
    )]
    NotFound {
        /// The host.
        host: String,
        /// What was tried.
        purpose: &'static str,
        /// The repository, with a word before it.
        of: String,
        /// What it said, with a colon before it.
        said: String,
    },
    /// Too many requests.
    #[error("{host} takes no more requests for now ({status}): it asks to wait{}", wait(*seconds))]
    Limited {
        /// The host.
        host: String,
        /// 429, or 403 with no requests left.
        status: u16,
        /// How long, if it says.
        seconds: Option<u64>,
    },
    /// Any other refusal.
    #[error("{host} could not {purpose}{of}: status {status}{said}")]
    Status {
        /// The host.
        host: String,
        /// What was tried.
        purpose: &'static str,
        /// The repository, with a word before it.
        of: String,
        /// The status.
        status: u16,
        /// What it said, with a colon before it.
        said: String,
    },
    /// Something answered, but hardly the API.
    #[error("{host} answered what is no answer to `{purpose}`{of}: is `apiUrl` the host's API?")]
    Unreadable {
        /// The host.
        host: String,
        /// What was asked.
        purpose: &'static str,
        /// The repository, with a word before it.
        of: String,
    },
    /// It sent too much.
    #[error("{host} answered `{purpose}` with more than {limit} bytes")]
    TooLong {
        /// The host.
        host: String,
        /// What was asked.
        purpose: &'static str,
        /// The bound.
        limit: usize,
    },
    /// It leads elsewhere.
    #[error("{host} sends `{purpose}` on to another host, which is not followed")]
    Elsewhere {
        /// The host.
        host: String,
        /// What was asked.
        purpose: &'static str,
    },
    /// It is silent.
    #[error("{host} did not {purpose} within {seconds} s")]
    Late {
        /// The host.
        host: String,
        /// What was asked.
        purpose: &'static str,
        /// How long it might have taken.
        seconds: u64,
    },
    /// Nothing leads there.
    #[error(
        "`{url}` names no VCS agent pool of space `{space}` or one that it inherits from: expected `private://POOL/…`"
    )]
    NoPool {
        /// The URL, cut short.
        url: String,
        /// The space.
        space: String,
    },
    /// An agent can't be asked, or said no.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// It can't be reached.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The token does not open.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HostError {
    /// Whether the same may go well in a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Limited { .. } | Self::Late { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            // The gateway waits for agents itself, and sends again what was lost.
            Self::Gateway(_) => false,
            Self::Send(error) => matches!(error, SendError::Http { .. } | SendError::Lookup(_)),
            _ => false,
        }
    }

    /// Whether the text may be shown to the person who asked.
    pub fn is_for_people(&self) -> bool {
        match self {
            Self::Store(_) => false,
            Self::Login(error) => error.is_for_people(),
            Self::Gateway(error) => error.is_for_people(),
            _ => true,
        }
    }
}

/// A status that is no good one, with all that came with it.
pub(super) struct Refusal<'a> {
    pub(super) host: String,
    pub(super) integration: IntegrationId,
    /// What was tried.
    pub(super) purpose: &'static str,
    /// The repository, with a word before it.
    pub(super) of: String,
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl Refusal<'_> {
    /// What it means; `now` is in Unix seconds.
    pub(super) fn error(self, now: i64) -> HostError {
        let seconds = asked_to_wait(self.headers, now);
        let used_up = is_used_up(self.headers);
        let said = said(self.body);
        let Self {
            host,
            integration,
            purpose,
            of,
            status,
            ..
        } = self;
        match status {
            401 => HostError::Unauthorized {
                host,
                integration,
                said,
            },
            403 if !used_up => HostError::Forbidden {
                host,
                integration,
                purpose,
                said,
            },
            404 => HostError::NotFound {
                host,
                purpose,
                of,
                said,
            },
            403 | 429 => HostError::Limited {
                host,
                status,
                seconds,
            },
            status => HostError::Status {
                host,
                purpose,
                of,
                status,
                said,
            },
        }
    }
}

fn wait(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |seconds| format!(" {seconds} s"))
}

/// How long a host asks to wait, if it does: `Retry-After` in seconds, or the end of a limit that is used up.
fn asked_to_wait(headers: &HeaderMap, now: i64) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    if let Some(seconds) = number("retry-after") {
        return u64::try_from(seconds).ok();
    }
    let end = number("x-ratelimit-reset").or_else(|| number("ratelimit-reset"))?;
    u64::try_from((end - now).max(0)).ok()
}

/// Whether a limit is used up: GitHub says so with 403.
fn is_used_up(headers: &HeaderMap) -> bool {
    let left = headers.get("x-ratelimit-remaining");
    left.is_some_and(|left| left == "0") || headers.contains_key("retry-after")
}

/// The host's own word for what went wrong, with a colon before it; nothing if it has none.
fn said(body: &[u8]) -> String {
    let Ok(said) = serde_json::from_slice::<Value>(body) else {
        return String::new();
    };
    let places = [
        "/message",
        "/error_description",
        "/error",
        "/errors/0/message",
    ];
    let found = places.iter().find_map(|place| match said.pointer(place)? {
        Value::String(text) => Some(text.clone()),
        other @ (Value::Object(_) | Value::Array(_)) => Some(other.to_string()),
        _ => None,
    });
    let plain = |text: String| {
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        plain.take(TEXT_LIMIT).collect::<String>()
    };
    found.map_or_else(String::new, |text| format!(": {}", plain(text).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_words_are_handed_on_within_bounds() {
        for (body, expected) in [
            (r#"{"message":"Bad credentials"}"#, ": Bad credentials"),
            (r#"{"message":"401 Unauthorized\n"}"#, ": 401 Unauthorized"),
            (r#"{"error":"insufficient_scope"}"#, ": insufficient_scope"),
            (
                r#"{"errors":[{"message":"No such repository"}]}"#,
                ": No such repository",
            ),
            ("<html>", ""),
            ("{}", ""),
            ("", ""),
        ] {
            assert_eq!(said(body.as_bytes()), expected, "{body}");
        }
        let long = format!("{{\"message\":\"{}\"}}", "x".repeat(9000));
        assert_eq!(said(long.as_bytes()).len(), TEXT_LIMIT + 2);
    }

    #[test]
    fn how_long_to_wait() {
        let headers = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
        };
        for (name, value, expected) in [
            ("retry-after", "7", Some(7)),
            ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("x-ratelimit-reset", "1030", Some(30)),
            ("ratelimit-reset", "900", Some(0)),
            ("x-other", "1", None),
        ] {
            assert_eq!(
                asked_to_wait(&headers(name, value), 1000),
                expected,
                "{name} {value}"
            );
        }
    }
}
