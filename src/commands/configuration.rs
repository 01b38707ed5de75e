//! The table of variables, for `--help` and for `docs/CONFIGURATION.md`.

use std::fmt::Write as _;

use crate::config::{Topic, VARIABLES, Variable};

const HEAD: &str = "# Configuration of the launcher

<!-- Made by `gantry-launcher configuration`; a test fails when this page and the code differ. -->

Everything is set by environment variables. All mistakes are told at once, each with the name of its variable, and the
launcher does not start with any. An empty value counts as unset. What is unset is looked for in a file of the
variable's name in `$CREDENTIALS_DIRECTORY`, where systemd lays credentials: so token and key need to stand in no
environment. Names that begin with `SPACELIFT_` mean what the public documentation of private workers says; where that
is silent, the table says what holds here. Durations are written as in Go (`90s`, `120m`, `1h30m`), flags are `true`
or `false`.

For images in Amazon ECR the AWS SDK reads variables of its own (`AWS_…`). Credentials are looked for in the
environment, the profile, the web identity token, the role of the task and, by IMDSv2, the role of the instance;
`AWS_EC2_METADATA_DISABLED=true` leaves the last out.
";

/// `docs/CONFIGURATION.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for topic in Topic::ALL {
        let _ = write!(
            page,
            "\n## {}\n\n| variable | default | meaning |\n|---|---|---|\n",
            topic.title()
        );
        for variable in VARIABLES.iter().filter(|variable| variable.topic == topic) {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} |",
                name(variable),
                default(variable),
                cell(variable.meaning)
            );
        }
    }
    page
}

/// The end of `--help`.
pub fn variables() -> String {
    let mut text = String::from("Variables:\n");
    for topic in Topic::ALL {
        let _ = write!(text, "\n {}\n", topic.title());
        for variable in VARIABLES.iter().filter(|variable| variable.topic == topic) {
            let default = match variable.default {
                "" => String::new(),
                default => format!(" [default: {default}]"),
            };
            let _ = writeln!(
                text,
                "  {}\n      {}{default}",
                name(variable),
                variable.meaning
            );
        }
    }
    text
}

/// A prefix is shown with what is to be put behind it.
fn name(variable: &Variable) -> String {
    match variable.name {
        "SPACELIFT_METADATA_" => format!("{}<name>", variable.name),
        prefix if prefix.ends_with('_') => format!("{prefix}<n>"),
        name => name.to_owned(),
    }
}

fn default(variable: &Variable) -> String {
    match variable.default {
        "" => "–".to_owned(),
        text if text.contains(' ') => cell(text),
        value => format!("`{value}`"),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_repository_is_this_one() {
        let kept = include_str!("../../docs/CONFIGURATION.md");
        assert!(
            kept == page(),
            "docs/CONFIGURATION.md is not what the code says; write it with `gantry-launcher configuration`"
        );
    }

    #[test]
    fn every_variable_stands_in_both() {
        let (page, help) = (page(), variables());
        for variable in VARIABLES {
            assert!(
                page.contains(&format!("| `{}", variable.name)),
                "{}",
                variable.name
            );
            assert!(help.contains(variable.name), "{}", variable.name);
        }
    }
}
