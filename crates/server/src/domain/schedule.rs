//! Times that come again, as people write them: five fields of cron, in a time zone. Pure.
//!
//! Takes texts and a moment, gives the next moment. Never: a clock, or a schedule that has no next time.

use std::str::FromStr as _;

use chrono::{DateTime, TimeZone as _};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// Most lines of a schedule.
const MAX_LINES: usize = 20;

/// Longest line, in bytes.
const MAX_LINE: usize = 200;

/// When something is due.
#[derive(Clone, Debug)]
pub struct Schedule {
    lines: Vec<Cron>,
    zone: Tz,
}

/// Why texts are no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// None, or too many.
    #[error("a schedule has 1 to 20 lines, this one has {0}")]
    Lines(usize),
    /// Not five fields of cron.
    #[error(
        "`{line}` is no schedule ({why}): expected five fields of cron, such as `30 6 * * 1-5`"
    )]
    Line {
        /// As written, cut short.
        line: String,
        /// What does not fit.
        why: String,
    },
    /// Not a name of a time zone.
    #[error("`{0}` is no time zone: expected a name such as `Europe/Berlin` or `UTC`")]
    Zone(String),
    /// It never comes.
    #[error("`{0}` never comes")]
    Never(String),
}

impl Schedule {
    /// Reads lines of cron and the name of their time zone; `now` is in Unix milliseconds.
    ///
    /// # Errors
    /// See [`BadSchedule`].
    pub fn new(lines: &[String], zone: &str, now: i64) -> Result<Self, BadSchedule> {
        if lines.is_empty() || lines.len() > MAX_LINES {
            return Err(BadSchedule::Lines(lines.len()));
        }
        let zone = Tz::from_str(zone).map_err(|_| BadSchedule::Zone(cut(zone)))?;
        let read: Result<Vec<_>, _> = lines.iter().map(|line| parsed(line)).collect();
        let schedule = Self { lines: read?, zone };
        for (line, cron) in lines.iter().zip(&schedule.lines) {
            if schedule.next_of(cron, now).is_none() {
                return Err(BadSchedule::Never(cut(line)));
            }
        }
        Ok(schedule)
    }

    /// The first time after `now`, both in Unix milliseconds; none where the calendar ends.
    pub fn next(&self, now: i64) -> Option<i64> {
        let times = self.lines.iter().filter_map(|line| self.next_of(line, now));
        times.min()
    }

    fn next_of(&self, line: &Cron, now: i64) -> Option<i64> {
        let from: DateTime<Tz> = self.zone.timestamp_millis_opt(now).single()?;
        let next = line.find_next_occurrence(&from, false).ok()?;
        Some(next.timestamp_millis())
    }
}

fn parsed(line: &str) -> Result<Cron, BadSchedule> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    let bad = |why: String| BadSchedule::Line {
        line: cut(line),
        why,
    };
    if line.len() > MAX_LINE {
        return Err(bad("it is too long".to_owned()));
    }
    parser.parse(line).map_err(|error| bad(error.to_string()))
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Unix milliseconds of an RFC 3339 text.
    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text)
            .unwrap()
            .timestamp_millis()
    }

    fn schedule(lines: &[&str], zone: &str) -> Result<Schedule, BadSchedule> {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        Schedule::new(&lines, zone, at("2026-01-01T00:00:00Z"))
    }

    #[test]
    fn times_are_of_the_zone_also_when_its_clocks_change() {
        let daily = ["30 6 * * *"];
        for (lines, zone, now, next) in [
            (
                &daily[..],
                "UTC",
                "2026-03-01T06:30:00Z",
                "2026-03-02T06:30:00Z",
            ),
            (
                &daily,
                "Europe/Berlin",
                "2026-03-28T12:00:00Z",
                "2026-03-29T04:30:00Z",
            ),
            (
                &daily,
                "Europe/Berlin",
                "2026-10-24T12:00:00Z",
                "2026-10-25T05:30:00Z",
            ),
            (
                &["0 0 1 1 *", "*/15 * * * *"],
                "UTC",
                "2026-05-05T10:07:00Z",
                "2026-05-05T10:15:00Z",
            ),
            (
                &["0 9 * * 1-5"],
                "America/New_York",
                "2026-07-03T20:00:00Z",
                "2026-07-06T13:00:00Z",
            ),
        ] {
            let found = schedule(lines, zone).unwrap().next(at(now));
            assert_eq!(found, Some(at(next)), "{lines:?} {zone} {now}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        for (lines, zone, expected) in [
            (vec![], "UTC", "1 to 20 lines"),
            (vec!["* * * * *"; 21], "UTC", "has 21"),
            (vec!["0 6 * *"], "UTC", "`0 6 * *` is no schedule"),
            (vec!["0 0 6 * * *"], "UTC", "five fields"),
            (vec!["99 6 * * *"], "UTC", "five fields"),
            (vec!["0 6 * * *"], "Berlin", "`Berlin` is no time zone"),
            (vec!["0 6 31 2 *"], "UTC", "never comes"),
        ] {
            let refused = schedule(&lines, zone).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(line in "[-*/0-9A-Z, #?L]{0,30}", now in 0i64..4_000_000_000_000) {
            if let Ok(schedule) = schedule(&[&line], "Europe/Berlin")
                && let Some(next) = schedule.next(now)
            {
                prop_assert!(next > now);
            }
        }
    }
}
