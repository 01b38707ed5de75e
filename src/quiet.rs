//! Complaints that repeat: said when they change, and else once a minute.
//!
//! Takes each complaint as it comes up, gives whether it is worth a line, and how many were not. Never: a
//! server or an engine that is away for a night, and a log full of it.

use std::time::Duration;

use tokio::time::Instant;

/// The same complaint is said this often.
const EVERY: Duration = Duration::from_secs(60);

/// What was said last.
#[derive(Debug, Default)]
pub struct Quiet {
    last: Option<(String, Instant)>,
    kept: u64,
}

impl Quiet {
    /// Whether `complaint` is to be said now; then, how many were kept back before.
    pub fn due(&mut self, complaint: &str) -> Option<u64> {
        self.due_at(Instant::now(), complaint)
    }

    fn due_at(&mut self, now: Instant, complaint: &str) -> Option<u64> {
        match &self.last {
            Some((said, at)) if said == complaint && now - *at < EVERY => {
                self.kept += 1;
                None
            }
            _ => {
                self.last = Some((complaint.to_owned(), now));
                Some(std::mem::take(&mut self.kept))
            }
        }
    }

    /// It is over: the next complaint is said at once.
    pub fn over(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_of_a_night_is_a_line_a_minute() {
        let mut quiet = Quiet::default();
        let (mut said, mut now) = (0, Instant::now());
        for _ in 0..8 * 60 * 4 {
            said += u32::from(quiet.due_at(now, "away").is_some());
            now += Duration::from_secs(15);
        }
        assert_eq!(said, 8 * 60);
    }

    #[test]
    fn a_change_is_said_at_once_with_what_was_kept() {
        let mut quiet = Quiet::default();
        assert_eq!(quiet.due("away"), Some(0));
        assert_eq!(quiet.due("away"), None);
        assert_eq!(quiet.due("away"), None);
        assert_eq!(quiet.due("full"), Some(2));
        quiet.over();
        assert_eq!(quiet.due("full"), Some(0));
    }
}
