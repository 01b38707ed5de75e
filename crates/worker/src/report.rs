//! Prints an error with its causes.
//!
//! Takes an error, gives one line. Never: a cause said twice in a row.

use std::error::Error;

/// The error and every cause below it, joined by colons.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // A transparent error shows its cause as its own text.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not start `x`")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow() {
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(chain(&error), "could not start `x`: disk on fire");
    }
}
