//! The one place that prints. Data to standard output, everything else to standard error.
//!
//! Takes values, gives text: tables or JSON lines. Never: colour or a moving line where no terminal looks on,
//! and never a control character that came from the server, except in logs, which are passed on as they are.
#![expect(clippy::print_stderr, reason = "the one module that prints")]

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use serde::Serialize;

use crate::args::Output;

/// Prints for one invocation.
pub struct Printer {
    output: Output,
    colour: bool,
    live: bool,
    /// Whether a status line stands on the terminal and has to go before anything else is printed.
    status: AtomicBool,
}

/// A line of a table: the cells in the order of the headings.
pub trait Row {
    /// Column headings.
    const HEADINGS: &'static [&'static str];
    /// This row's cells.
    fn cells(&self) -> Vec<String>;
}

impl Printer {
    /// `no_colour` is the `NO_COLOR` convention.
    pub fn new(output: Output, no_colour: bool) -> Self {
        let live = std::io::stderr().is_terminal();
        Self {
            output,
            colour: live && !no_colour,
            live,
            status: AtomicBool::new(false),
        }
    }

    /// Whether a person can be asked: both the question and the answer have a terminal.
    pub fn can_ask(&self) -> bool {
        self.live && std::io::stdin().is_terminal() && self.output == Output::Table
    }

    /// Whether results are JSON.
    pub fn json(&self) -> bool {
        self.output == Output::Json
    }

    /// A list: a table, or one JSON document per line.
    pub fn rows<T: Row + Serialize>(&self, rows: &[T]) -> anyhow::Result<()> {
        if self.json() {
            return rows.iter().try_for_each(|row| self.json_line(row));
        }
        let cells: Vec<_> = rows.iter().map(Row::cells).collect();
        self.data(table(T::HEADINGS, &cells).as_bytes())
    }

    /// One thing: `name  value` lines, or one JSON document.
    pub fn details<T: Serialize>(&self, value: &T, lines: &[(&str, String)]) -> anyhow::Result<()> {
        if self.json() {
            return self.json_line(value);
        }
        let width = lines
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or_default();
        let mut text = String::new();
        for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            text.push_str(&format!("{name:width$}  {}\n", visible(value)));
        }
        self.data(text.as_bytes())
    }

    /// One JSON document on a line of its own.
    pub fn json_line<T: Serialize>(&self, value: &T) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(value).context("cannot write the result as JSON")?;
        text.push('\n');
        self.data(text.as_bytes())
    }

    /// Bytes for standard output, as they are: logs, and what the functions above made.
    pub fn data(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.clear_status();
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .context("cannot write to standard output")
    }

    /// One line about what was done.
    pub fn note(&self, text: &str) {
        self.clear_status();
        eprintln!("{}", visible(text));
    }

    /// A heading between a run's logs.
    pub fn heading(&self, text: &str) {
        self.clear_status();
        let (bold, plain) = self.paint("1");
        eprintln!("{bold}── {} ──{plain}", visible(text));
    }

    /// What is being waited for. Only where a person looks on, on a line that the next output replaces.
    pub fn status(&self, text: &str) {
        if self.live {
            eprint!("\r\x1b[K{}", visible(text));
            let _ = std::io::stderr().flush();
            self.status.store(true, Ordering::Relaxed);
        }
    }

    /// A question to a terminal; gives the answer without its line end.
    pub fn ask(&self, question: &str) -> anyhow::Result<String> {
        self.clear_status();
        eprint!("{question} ");
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        std::io::stdin()
            .read_line(&mut answer)
            .context("cannot read the answer from the terminal")?;
        Ok(answer.trim().to_owned())
    }

    /// A question whose answer is not shown.
    pub fn ask_secret(&self, question: &str) -> anyhow::Result<gantry_protocol::Secret> {
        self.clear_status();
        let answer = rpassword::prompt_password(format!("{question} "));
        Ok(gantry_protocol::Secret::new(
            answer.context("cannot read the answer from the terminal")?,
        ))
    }

    /// An error with its causes, each on a line.
    pub fn error(&self, error: &anyhow::Error) {
        self.clear_status();
        let (red, plain) = self.paint("31");
        eprintln!("{red}error:{plain} {}", visible(&error.to_string()));
        for cause in error.chain().skip(1) {
            eprintln!("  caused by: {}", visible(&cause.to_string()));
        }
    }

    fn clear_status(&self) {
        if self.status.swap(false, Ordering::Relaxed) {
            eprint!("\r\x1b[K");
        }
    }

    fn paint(&self, code: &str) -> (String, &'static str) {
        if self.colour {
            (format!("\x1b[{code}m"), "\x1b[0m")
        } else {
            (String::new(), "")
        }
    }
}

/// The text without characters that show something else than is there: a name can't move the cursor, forge a line, or
/// have its letters stand in another order than whoever signs for it reads.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || is_unseen(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Signs of Unicode that change order or lines, or take no room: marks of direction, separators, joiners, tags, variants.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines = vec![
        headings
            .iter()
            .map(|&cell| cell.to_owned())
            .collect::<Vec<_>>(),
    ];
    lines.extend(
        rows.iter()
            .map(|row| row.iter().map(|cell| visible(cell)).collect()),
    );
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stands_there_unseen_or_in_another_order() {
        for hidden in [
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{2028}',
            '\u{feff}',
            '\u{e0041}',
            '\r',
        ] {
            let shown = visible(&format!("rm{hidden} x"));
            assert_eq!(shown, "rm\u{fffd} x", "{hidden:?}");
        }
        assert_eq!(visible("Réseau 例え → •"), "Réseau 例え → •");
    }

    #[test]
    fn columns_line_up_and_nothing_moves_the_cursor() {
        let rows = [
            vec!["net".to_owned(), "Réseau".to_owned(), String::new()],
            vec![
                "a-longer-one".to_owned(),
                "x\x1b[2Jy\nz".to_owned(),
                "end".to_owned(),
            ],
        ];
        insta::assert_snapshot!(table(&["ID", "NAME", "STATE"], &rows), @r"
        ID            NAME      STATE
        net           Réseau
        a-longer-one  x�[2Jy�z  end
        ");
    }
}
