//! What the engine says, without the line that it shows.
//!
//! Takes the engine's errors, gives line and message. Never: a line of the policy in the result: it may hold a secret.

use crate::policy::Policy;

/// Where and what. The line is 0 where it is not in the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) line: u32,
    pub(crate) what: String,
}

impl Said {
    /// Reads `--> file:line:col`, a picture of the line, `error: message`; of several, the last, which is the cause.
    pub(crate) fn read(error: &anyhow::Error, file: &str) -> Self {
        let text = format!("{error:#}");
        let place = text.lines().rev().find_map(|line| {
            let place = line.trim().strip_prefix("--> ")?;
            let place = place.strip_prefix(file)?.strip_prefix(':')?;
            place.split(':').next()?.parse().ok()
        });
        let what = match text.rfind("\nerror: ") {
            Some(at) => &text[at + "\nerror: ".len()..],
            None if text.contains("--> ") => "the engine refuses it",
            None => &text,
        };
        let what = what.lines().next().unwrap_or_default();
        // The engine's own state, for those who write it.
        let what = what.split(" (path [").next().unwrap_or_default();
        let what = what.replace(&format!("{file}:"), "line ");
        Self {
            line: place.unwrap_or_default(),
            what: what.trim().trim_end_matches(['.', ':']).to_owned(),
        }
    }

    /// The same without constants of the policy: some messages show the values that they are about.
    pub(crate) fn without_constants(mut self, policy: &Policy) -> Self {
        for constant in policy.constants() {
            self.what = self.what.replace(constant, "…");
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn the_line_is_not_shown() {
        let text = "\n--> p.rego:7:3\n   |\n7 | x := f(\"hunter2\")\n   |   ^\nerror: could not find function f";
        let said = Said::read(&anyhow::anyhow!(text), "p.rego");
        assert_eq!(
            (said.line, said.what.as_str()),
            (7, "could not find function f")
        );
        let said = Said::read(&anyhow::anyhow!("\n--> x.rego:7:3\nhunter2"), "p.rego");
        assert_eq!(
            (said.line, said.what.as_str()),
            (0, "the engine refuses it")
        );
        let said = Said::read(&anyhow::anyhow!("too deep."), "p.rego");
        assert_eq!((said.line, said.what.as_str()), (0, "too deep"));
    }
}
