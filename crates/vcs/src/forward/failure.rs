//! Why a request to the host failed: one word for the gateway, the whole cause for the local log.
//!
//! Takes errors of the HTTP client, gives [`Failure`]. Never: a URL, a host, an address or a file of the inside in what
//! the gateway is told.

use std::error::Error;
use std::fmt;
use std::io;

use gantry_net::{ResolveError, WayError, causes};
use tokio_rustls::rustls;

/// What kind of failure it was; its text is all that the gateway learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The host's name has no address.
    Dns,
    /// Nobody listens.
    Refused,
    /// There is no way to the host.
    Unreachable,
    /// A limit passed.
    TimedOut,
    /// The handshake, or the certificate.
    Tls,
    /// The host, or something between, closed the connection.
    Closed,
    /// The proxy.
    Proxy,
    /// The answer is larger than what this gateway can take.
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// A list of projects that can't be reduced to the allowed ones.
    Unfiltered,
    /// The credential that the agent should hold.
    Credential,
    /// Anything else.
    Other,
}

/// Where in the exchange it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Before the request existed.
    Making,
    /// Up to the head of the answer.
    Asking,
    /// In the body of the answer.
    Reading,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub at: At,
    /// What kind.
    pub class: Class,
    /// The whole cause; for the local log only.
    pub cause: String,
}

impl fmt::Display for Class {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Dns => "dns",
            Self::Refused => "connection refused",
            Self::Unreachable => "no route",
            Self::TimedOut => "timed out",
            Self::Tls => "tls",
            Self::Closed => "connection closed",
            Self::Proxy => "proxy",
            Self::TooLarge { limit } => {
                return write!(
                    out,
                    "larger than the {limit} bytes that fit into one message"
                );
            }
            Self::Unfiltered => "the list of projects can't be reduced to the allowed ones",
            Self::Credential => "the agent has no usable credential",
            Self::Other => "see the agent's log",
        })
    }
}

impl Failure {
    /// Of the HTTP client.
    pub fn of(at: At, error: &reqwest::Error) -> Self {
        Self {
            at,
            class: class(error),
            cause: chain(error),
        }
    }

    /// A limit of ours passed.
    pub fn timed_out(at: At, cause: impl Into<String>) -> Self {
        Self {
            at,
            class: Class::TimedOut,
            cause: cause.into(),
        }
    }

    /// What the gateway is told.
    pub fn told(&self) -> String {
        let class = self.class;
        match self.at {
            At::Making => format!("couldn't create request: {class}"),
            At::Asking => format!("couldn't do request: {class}"),
            At::Reading => format!("couldn't read response body: {class}"),
        }
    }
}

fn class(error: &reqwest::Error) -> Class {
    if error.is_timeout() {
        return Class::TimedOut;
    }
    causes(error).find_map(of_cause).unwrap_or(Class::Other)
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<Class> {
    if cause.is::<ResolveError>() {
        return Some(Class::Dns);
    }
    if cause.is::<rustls::Error>() {
        return Some(Class::Tls);
    }
    if cause
        .downcast_ref::<WayError>()
        .is_some_and(WayError::is_proxy)
    {
        return Some(Class::Proxy);
    }
    // The client's own type for this can't be named.
    let text = cause.to_string();
    if text.contains("connection closed before message completed") {
        return Some(Class::Closed);
    }
    let io = cause.downcast_ref::<io::Error>()?;
    match io.kind() {
        io::ErrorKind::ConnectionRefused => Some(Class::Refused),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some(Class::Unreachable)
        }
        io::ErrorKind::TimedOut => Some(Class::TimedOut),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(Class::Closed),
        _ => None,
    }
}

/// An error with all its causes.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_learns_a_class_and_no_cause() {
        let failure = Failure {
            at: At::Asking,
            class: Class::Refused,
            cause: "https://git.internal:8443 refused".into(),
        };
        assert_eq!(failure.told(), "couldn't do request: connection refused");
        let large = Failure {
            at: At::Reading,
            class: Class::TooLarge { limit: 10 },
            cause: String::new(),
        };
        assert!(
            large
                .told()
                .starts_with("couldn't read response body: larger than the 10 bytes")
        );
    }

    #[test]
    fn causes_inside_of_io_errors_are_found() {
        let tls = rustls::Error::General("x".into());
        let wrapped = io::Error::other(tls);
        let found = causes(&wrapped).find_map(of_cause);
        assert_eq!(found, Some(Class::Tls));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(of_cause(&refused), Some(Class::Refused));
    }
}
