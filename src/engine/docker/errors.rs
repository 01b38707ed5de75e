//! Turns bollard's errors into ours.
//!
//! Takes a failed call, gives an [`ErrorKind`]. Never: a decision by message text outside of
//! [`is_auth_failure`].

use std::time::Duration;

use bollard::errors::Error;

use crate::engine::ErrorKind;

/// Longest message of the engine that is passed on, in characters.
const MAX_MESSAGE: usize = 600;

/// The kind of a failed call to the engine at `host` that was given `limit`.
pub(super) fn kind(error: Error, host: &str, limit: Duration) -> ErrorKind {
    match error {
        Error::DockerResponseServerError {
            status_code: status,
            message,
        } => {
            let message = bounded(&message);
            match status {
                404 => ErrorKind::NotFound { message },
                409 => ErrorKind::Conflict { message },
                _ => ErrorKind::Refused { status, message },
            }
        }
        Error::DockerStreamError { error } => ErrorKind::Refused {
            status: 500,
            message: bounded(&error),
        },
        Error::RequestTimeoutError => ErrorKind::Timeout { limit },
        Error::JsonDataError { message, .. } => ErrorKind::Garbled {
            message: bounded(&message),
        },
        Error::JsonSerdeError { err } => ErrorKind::Garbled {
            message: err.to_string(),
        },
        other => ErrorKind::Unreachable {
            host: host.to_owned(),
            source: Box::new(other),
        },
    }
}

/// The same for calls that the engine answers by asking a registry.
pub(super) fn registry_kind(error: Error, host: &str, limit: Duration) -> ErrorKind {
    match kind(error, host, limit) {
        ErrorKind::Refused { status, message } => by_registry_status(status, message),
        other => other,
    }
}

fn by_registry_status(status: u16, message: String) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Unauthorized { message },
        500 if is_auth_failure(&message) => ErrorKind::Unauthorized { message },
        500 if is_missing_manifest(&message) => ErrorKind::NotFound { message },
        500 if is_missing_platform(&message) => ErrorKind::BadPlatform {
            wanted: "another platform".to_owned(),
            found: message,
        },
        _ => ErrorKind::Refused { status, message },
    }
}

/// Whether a 500 of the engine means that a registry answered 401 or 403.
///
/// The engine passes these on as 500 with the registry's words only (measured on 20.10; later ones keep it
/// for pulls), so the words are the only evidence.
fn is_auth_failure(message: &str) -> bool {
    const WORDS: [&str; 9] = [
        "no basic auth credentials",
        "unauthorized",
        "authentication required",
        "denied: requested access",
        "pull access denied",
        "401 unauthorized",
        "403 forbidden",
        // Amazon ECR, of an old token and of a missing right.
        "authorization token has expired",
        "is not authorized to perform",
    ];
    let message = message.to_ascii_lowercase();
    WORDS.iter().any(|word| message.contains(word))
}

/// The same for a tag or digest that the registry does not have: in a pull's stream there is no status.
fn is_missing_manifest(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("manifest unknown") || message.contains("name unknown")
}

/// The same for an index without the wanted platform.
fn is_missing_platform(message: &str) -> bool {
    message.contains("no matching manifest for") || message.contains("no match for platform")
}

fn bounded(message: &str) -> String {
    let flat = message.trim().replace(['\n', '\r'], " ");
    flat.chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        }
    }

    #[test]
    fn statuses_decide_the_kind() {
        let cases = [
            (404, "No such container: x", "NotFound"),
            (409, "The container name is already in use", "Conflict"),
            (403, "network can't be joined", "Refused"),
            (500, "unauthorized", "Refused"),
            (400, "invalid mount config", "Refused"),
        ];
        for (status, message, expected) in cases {
            let kind = kind(answered(status, message), "h", Duration::from_secs(1));
            let found = format!("{kind:?}");
            assert!(found.starts_with(expected), "{status} {message}: {found}");
        }
    }

    #[test]
    fn registry_answers_are_told_apart_by_status_and_then_by_words() {
        let cases = [
            (404, "manifest unknown: manifest unknown", "NotFound"),
            (401, "whatever", "Unauthorized"),
            (403, "whatever", "Unauthorized"),
            (
                500,
                "Get http://127.0.0.1:5001/v2/a: no basic auth credentials",
                "Unauthorized",
            ),
            (500, "unauthorized: authentication required", "Unauthorized"),
            (
                500,
                "denied: requested access to the resource is denied",
                "Unauthorized",
            ),
            (
                500,
                "denied: Your authorization token has expired. Reauthenticate and try again.",
                "Unauthorized",
            ),
            (
                500,
                "denied: User: arn:aws:iam::1:user/x is not authorized to perform: ecr:BatchGetImage",
                "Unauthorized",
            ),
            (
                500,
                "mkdir /var/lib/docker/tmp: permission denied: unknown",
                "Refused",
            ),
            (
                500,
                "no matching manifest for linux/amd64 in the list",
                "BadPlatform",
            ),
            (500, "manifest unknown", "NotFound"),
            (
                500,
                "dial tcp: lookup registry.invalid: no such host",
                "Refused",
            ),
        ];
        for (status, message, expected) in cases {
            let error = answered(status, message);
            let kind = registry_kind(error, "h", Duration::from_secs(1));
            let found = format!("{kind:?}");
            assert!(found.starts_with(expected), "{status} {message}: {found}");
        }
    }

    #[test]
    fn a_message_is_one_bounded_line() {
        let kind = kind(
            Error::DockerStreamError {
                error: format!("a\nb{}", "x".repeat(5000)),
            },
            "unix:///x",
            Duration::from_secs(1),
        );
        let text = kind.to_string();
        assert!(text.len() < 800 && !text.contains('\n'), "{text}");
    }
}
