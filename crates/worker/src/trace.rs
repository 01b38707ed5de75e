//! Commands as lines of the log, for who wants to see what exactly is executed.
//!
//! Takes commands, gives lines that a shell would take back. Must never happen here: a value of the environment;
//! what a command itself holds is masked by the launcher, as all output is.

use std::process::Command;

/// What such lines begin with.
const MARK: &str = "[gantry] + ";

/// A program with its arguments.
pub fn argv(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| quoted(&word.to_string_lossy()));
    as_written(&words.collect::<Vec<_>>().join(" "))
}

/// A command as somebody wrote it, each line marked; ends with a line feed.
pub fn as_written(command: &str) -> String {
    command
        .lines()
        .map(|line| format!("{MARK}{line}\n"))
        .collect()
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_as_a_shell_would_take_them() {
        let mut command = Command::new("/usr/bin/terraform");
        command.args(["plan", "-out=/x/plan", "", "-var", "a=b c'd", "two\nlines"]);
        assert_eq!(
            argv(&command),
            "[gantry] + /usr/bin/terraform plan -out=/x/plan '' -var 'a=b c'\\''d' 'two\n[gantry] + lines'\n"
        );
        assert_eq!(as_written("a\nb"), "[gantry] + a\n[gantry] + b\n");
        assert_eq!(as_written(""), "");
    }
}
