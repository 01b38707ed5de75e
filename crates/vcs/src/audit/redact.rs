//! What of a request may be shown.
//!
//! Takes names and values, gives them or asterisks. Never: the value of a header that is not known to be harmless, or
//! anything that looks like a token.

/// Shown instead.
const HIDDEN: &str = "*****";

/// Headers whose values say nothing of who sent them. All others are hidden: a new kind of credential needs no new
/// row here.
const HARMLESS: [&str; 24] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "age",
    "allow",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "expires",
    "git-protocol",
    "if-modified-since",
    "if-none-match",
    "last-modified",
    "retry-after",
    "server",
    "user-agent",
    "vary",
    "x-github-api-version",
    "x-github-media-type",
    "x-request-id",
    "x-runtime",
];

/// Beginnings of tokens that hosts give out.
const BEGINNINGS: [&str; 12] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glcbt-",
    "gloas-",
    "eyJ",
    "BBDC-",
];

/// The value of the header `name` (in lower case).
pub(super) fn header<'a>(name: &str, value: &'a str) -> &'a str {
    if HARMLESS.contains(&name) && !is_token(value) {
        value
    } else {
        HIDDEN
    }
}

/// The name of a query parameter.
pub(super) fn name(name: &str) -> String {
    let shown = if is_token(name) { HIDDEN } else { name };
    shown.to_owned()
}

/// Begins like a token somewhere in it, or has a long run of letters and digits that no word has.
fn is_token(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| text.contains(beginning))
        || text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|run| run.len() >= 20 && run.bytes().any(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_values_are_shown() {
        let rows = [
            ("accept", "application/json", "application/json"),
            (
                "content-type",
                "text/plain; charset=utf-8",
                "text/plain; charset=utf-8",
            ),
            ("authorization", "Basic eA==", HIDDEN),
            ("private-token", "x", HIDDEN),
            ("x-some-new-login", "x", HIDDEN),
            ("cookie", "a=b", HIDDEN),
            ("location", "https://h/?token=x", HIDDEN),
            ("user-agent", "me glpat-abc", HIDDEN),
            (
                "accept",
                "a0123456789012345678901234567890123456789",
                HIDDEN,
            ),
        ];
        for (name, value, shown) in rows {
            assert_eq!(header(name, value), shown, "{name}: {value}");
        }
    }

    #[test]
    fn a_token_as_a_name_is_hidden() {
        assert_eq!(name("ref"), "ref");
        assert_eq!(name("ghp_abc"), HIDDEN);
        assert_eq!(name("0a1b2c3d4e5f60718293a4b5c6d7e8f9"), HIDDEN);
    }
}
