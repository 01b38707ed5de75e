//! How programs write a text: in JSON, HCL, shells and URLs.
//!
//! Takes one secret, gives the same secret in other writings. Never: a form that does not hold the whole secret.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Adds every writing of `secret`, itself included.
pub(super) fn all(secret: &[u8], found: &mut BTreeSet<Vec<u8>>) {
    few(secret, found);
    for keeps in URL_KEEPS {
        for upper in [true, false] {
            found.insert(percent(secret, keeps, upper, "%20"));
            found.insert(percent(secret, keeps, upper, "+"));
        }
    }
    for upper in [true, false] {
        found.insert(hexadecimal(secret, upper));
    }
    let Ok(text) = std::str::from_utf8(secret) else {
        return;
    };
    for bits in 0..16_u8 {
        let flag = |bit: u8| bits >> bit & 1 == 1;
        let style = Json {
            html: flag(0),
            ascii: flag(1),
            slash: flag(2),
            upper: flag(3),
        };
        let once = style.write(text);
        // JSON inside a JSON string, as `jsonencode` in a printed plan.
        found.insert(style.write(&once).into_bytes());
        found.insert(once.into_bytes());
    }
    let hcl = Json::PLAIN.write(text);
    found.insert(hcl.replace("${", "$${").replace("%{", "%%{").into_bytes());
    for quote in [r"'\''", r#"'"'"'"#, "''"] {
        found.insert(text.replace('\'', quote).into_bytes());
    }
}

/// Adds the writings that large secrets, files mostly, get: themselves and JSON.
pub(super) fn few(secret: &[u8], found: &mut BTreeSet<Vec<u8>>) {
    found.insert(secret.to_vec());
    if let Ok(text) = std::str::from_utf8(secret) {
        found.insert(Json::PLAIN.write(text).into_bytes());
        found.insert(Json::GO.write(text).into_bytes());
    }
}

/// How a program writes strings in JSON.
#[derive(Clone, Copy)]
struct Json {
    /// `<`, `>`, `&` and the line separators as Go does by default, and so Terraform.
    html: bool,
    /// Everything beyond ASCII escaped, as Python does by default.
    ascii: bool,
    /// `/` escaped, as PHP does by default.
    slash: bool,
    /// Hexadecimal digits in upper case.
    upper: bool,
}

impl Json {
    const PLAIN: Self = Self {
        html: false,
        ascii: false,
        slash: false,
        upper: false,
    };
    const GO: Self = Self {
        html: true,
        ..Self::PLAIN
    };

    /// `text` as it stands between the quotes.
    fn write(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '/' if self.slash => out.push_str("\\/"),
                c if self.escapes(c) => self.escape(c, &mut out),
                c => out.push(c),
            }
        }
        out
    }

    fn escapes(self, c: char) -> bool {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if self.html => true,
            c => c < ' ' || (self.ascii && !c.is_ascii()),
        }
    }

    fn escape(self, c: char, out: &mut String) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` can't fail.
            let _ = match self.upper {
                true => write!(out, "\\u{unit:04X}"),
                false => write!(out, "\\u{unit:04x}"),
            };
        }
    }
}

/// What URL writers leave as it is besides letters and digits: RFC 3986 (Go's queries, `curl`, Terraform's
/// `urlencode`), forms of browsers, JavaScript, Python, Go's paths.
const URL_KEEPS: [&[u8]; 5] = [b"-._~", b"*-._", b"-._~!*'()", b"-._~/", b"-._~$&+=:@"];

fn percent(secret: &[u8], keeps: &[u8], upper: bool, space: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(secret.len() * 2);
    for byte in secret {
        match byte {
            b' ' => out.extend_from_slice(space.as_bytes()),
            byte if byte.is_ascii_alphanumeric() || keeps.contains(byte) => out.push(*byte),
            byte => {
                out.push(b'%');
                out.extend(digits(*byte, upper));
            }
        }
    }
    out
}

fn hexadecimal(secret: &[u8], upper: bool) -> Vec<u8> {
    secret
        .iter()
        .flat_map(|byte| digits(*byte, upper))
        .collect()
}

fn digits(byte: u8, upper: bool) -> [u8; 2] {
    let digits = match upper {
        true => b"0123456789ABCDEF",
        false => b"0123456789abcdef",
    };
    [
        digits[usize::from(byte >> 4)],
        digits[usize::from(byte & 15)],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_write_a_secret_in_many_ways() {
        let mut found = BTreeSet::new();
        all("a\"b/<ü 'x'\n${y}".as_bytes(), &mut found);
        let has = |text: &str| found.contains(text.as_bytes());
        for form in [
            "a\"b/<ü 'x'\n${y}",
            r#"a\"b/<ü 'x'\n${y}"#,
            r#"a\"b/\u003cü 'x'\n${y}"#,
            r#"a\"b/\u003Cü 'x'\n${y}"#,
            r#"a\"b\/<\u00fc 'x'\n${y}"#,
            r#"a\\\"b/<ü 'x'\\n${y}"#,
            r#"a\"b/<ü 'x'\n$${y}"#,
            "a\"b/<ü '\\''x'\\''\n${y}",
            "a%22b%2F%3C%C3%BC%20%27x%27%0A%24%7By%7D",
            "a%22b%2f%3c%c3%bc+%27x%27%0a%24%7by%7d",
            "a%22b%2F%3C%C3%BC%20'x'%0A%24%7By%7D",
            "a%22b/%3C%C3%BC%20%27x%27%0A%24%7By%7D",
            "6122622f3cc3bc202778270a247b797d",
            "6122622F3CC3BC202778270A247B797D",
        ] {
            assert!(has(form), "{form}");
        }
    }

    #[test]
    fn json_is_what_serde_writes() {
        for text in [
            "plain",
            "q\"b\\s/",
            "\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}",
            "é€😀",
        ] {
            let quoted = serde_json::to_string(text).unwrap();
            assert_eq!(Json::PLAIN.write(text), quoted[1..quoted.len() - 1]);
            for html in [false, true] {
                let style = Json {
                    html,
                    ascii: true,
                    slash: true,
                    upper: true,
                };
                let back: String =
                    serde_json::from_str(&format!("\"{}\"", style.write(text))).unwrap();
                assert_eq!(back, text, "it means the same");
            }
        }
    }
}
