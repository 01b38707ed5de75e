//! Durations as Go writes them, which the documented variables take.
//!
//! Takes text such as `1h30m` or `1.5s`, gives a [`Duration`]. Never: a negative or a zero one, because a
//! time-out of nothing is a mistake. No crate of good health parses exactly this grammar.

use std::time::Duration;

/// Nanoseconds per unit, longer names first so that `ms` is not read as `m`.
const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// What is expected, for errors.
const SHAPE: &str = "is not a duration such as `90s`, `120m` or `1h30m`";

/// Parses Go's `ParseDuration` grammar: number and unit, one or more times, with fractions and a plus sign.
///
/// # Errors
/// The rule that the text breaks, without the text.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    let mut rest = match text.strip_prefix('-') {
        Some(_) => return Err("is negative"),
        None => text.strip_prefix('+').unwrap_or(text),
    };
    if rest.is_empty() {
        return Err(SHAPE);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (value, after) = part(rest).ok_or(SHAPE)?;
        nanos = nanos.checked_add(value).ok_or("is too long")?;
        rest = after;
    }
    // Go's own limit: 63 bits of nanoseconds, 292 years.
    match u64::try_from(nanos) {
        Ok(0) => Err("is zero"),
        Ok(nanos) if i64::try_from(nanos).is_ok() => Ok(Duration::from_nanos(nanos)),
        _ => Err("is too long"),
    }
}

/// One number with its unit, in nanoseconds, and what follows it.
fn part(text: &str) -> Option<(u128, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let (number, after) = text.split_at(whole);
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => after.split_at(digits(after)),
        None => ("", after),
    };
    if number.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit = |after: &str| after.find(|c: char| c == '.' || c.is_ascii_digit());
    let (name, after) = after.split_at(unit(after).unwrap_or(after.len()));
    // U+03BC, the Greek letter, is accepted beside U+00B5, the micro sign.
    let name = name.replace('\u{3bc}', "\u{b5}");
    let scale = u128::from(UNITS.iter().find(|(unit, _)| *unit == name)?.1);
    let whole = match number {
        "" => 0,
        digits => digits.parse::<u128>().ok()?,
    };
    let value = whole.checked_mul(scale)? + below_one(fraction, scale);
    Some((value, after))
}

/// A fraction of a unit; digits below a nanosecond are cut, as Go does.
fn below_one(fraction: &str, scale: u128) -> u128 {
    let digits = &fraction[..fraction.len().min(18)];
    digits
        .parse::<u128>()
        .map_or(0, |value| value * scale / 10_u128.pow(digits.len() as u32))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_go_takes() {
        for (text, nanos) in [
            ("7m", 420_000_000_000_u64),
            ("1000s", 1_000_000_000_000),
            ("120m", 7_200_000_000_000),
            ("1h15m30.918s", 4_530_918_000_000),
            ("1.5s", 1_500_000_000),
            ("1.s", 1_000_000_000),
            (".5s", 500_000_000),
            ("+5s", 5_000_000_000),
            ("300ms", 300_000_000),
            ("12us", 12_000),
            ("12µs", 12_000),
            ("12\u{3bc}s", 12_000),
            ("1ns", 1),
            ("0.1s0.2s", 300_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_and_what_no_time_out_can_be() {
        for text in [
            "",
            "3",
            "s",
            ".s",
            "-1s",
            "0s",
            "0",
            "0.0000000001s",
            "1x",
            "1 s",
            "1d",
            "1S",
            "+",
            "1h ",
            "--1s",
            "99999999999h",
            "1e3s",
            "1..5s",
            "٣s",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whole_milliseconds_come_back(ms in 1_u64..1 << 40) {
            prop_assert_eq!(parse(&format!("{ms}ms")), Ok(Duration::from_millis(ms)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn parts_add_up(h in 0_u64..1000, m in 0_u64..1000, s in 1_u64..1000) {
            let expected = Duration::from_secs(h * 3600 + m * 60 + s);
            prop_assert_eq!(parse(&format!("{h}h{m}m{s}s")), Ok(expected));
        }
    }
}
