//! Small pieces of text: times as people read them, words as a shell reads them.
//!
//! Takes values, gives text. Never: a panic on a time that can't be.

use time::OffsetDateTime;
use time::macros::format_description;

/// Unix seconds as date and time in UTC; the number itself when it is no time.
pub fn date(seconds: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    render(seconds, |at| at.format(format))
}

/// Unix seconds as time of day in UTC.
pub fn clock(seconds: i64) -> String {
    let format = format_description!("[hour]:[minute]:[second] UTC");
    render(seconds, |at| at.format(format))
}

fn render<E>(seconds: i64, format: impl FnOnce(OffsetDateTime) -> Result<String, E>) -> String {
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok();
    at.and_then(|at| format(at).ok())
        .unwrap_or_else(|| seconds.to_string())
}

/// The words as one shell line that gives back exactly these words; a single word is taken as a line.
pub fn shell_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words
            .iter()
            .map(|word| quoted(word))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_readable_and_never_a_panic() {
        assert_eq!(date(1_700_000_000), "2023-11-14 22:13:20 UTC");
        assert_eq!(clock(0), "00:00:00 UTC");
        assert_eq!(date(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn words_survive_the_shell() {
        let rows: [(&[&str], &str); 4] = [
            (&["terraform output | jq ."], "terraform output | jq ."),
            (&["terraform", "state", "list"], "terraform state list"),
            (&["echo", "a b", "it's", ""], r"echo 'a b' 'it'\''s' ''"),
            (&["echo", "$HOME;ls"], "echo '$HOME;ls'"),
        ];
        for (words, line) in rows {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(shell_line(&words), line);
        }
    }
}
