//! Addresses of resources and modules, as people choose them for a plan. Pure.
//!
//! Takes texts, says which are addresses as the tools write them. Never: a text that a tool could read as anything
//! but the value of `-target`.

/// Most addresses that a plan may be limited to.
pub const MAX_TARGETS: usize = 100;

/// Longest address, in bytes.
const MAX_LENGTH: usize = 1024;

/// Whether a text is an address: names joined by dots, each with an index or none, such as
/// `module.net["eu-1"].aws_subnet.a[0]`.
pub fn is_address(text: &str) -> bool {
    let mut rest = text;
    let mut names = 0;
    loop {
        let Some(after) = after_step(rest) else {
            return false;
        };
        names += 1;
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => return after.is_empty() && names >= 2 && text.len() <= MAX_LENGTH,
        }
    }
}

/// What follows a name and its index.
fn after_step(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    if !(first.is_alphabetic() || first == '_') {
        return None;
    }
    let named = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let after = text.trim_start_matches(named);
    match after.strip_prefix('[') {
        Some(index) => after_index(index)?.strip_prefix(']'),
        None => Some(after),
    }
}

fn after_index(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let after = text.trim_start_matches(|c: char| c.is_ascii_digit());
        return (after.len() < text.len()).then_some(after);
    };
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if c.is_control() => return None,
            '"' if !escaped => return Some(&quoted[at + 1..]),
            '\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_and_what_is_none() {
        for good in [
            "aws_s3_bucket.logs",
            "data.aws_ami.x",
            "module.net",
            "module.net[\"eu-1\"].aws_subnet.a[0]",
            "null_resource.x[\"a.b]\\\"c\"]",
            "random_id.Zürich",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a.",
            ".a",
            "-destroy",
            "a.-b c",
            "a.b c",
            "a.b[",
            "a.b[]",
            "a.b[x]",
            "a.b[0",
            "a.b[\"x]",
            "a.b[\"x\n\"]",
            "a.b;c.d",
            "a.b[0][1]",
            "1a.b",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(!is_address(&format!("a.{}", "b".repeat(MAX_LENGTH))));
    }

    proptest! {
        #[test]
        fn no_address_looks_like_an_option_or_breaks_a_line(text in "\\PC{0,40}|[-a.\\[\\]\"0\n ]{0,20}") {
            if is_address(&text) {
                prop_assert!(!text.starts_with('-') && !text.contains(['\n', '\r', '\0']));
            }
        }
    }
}
