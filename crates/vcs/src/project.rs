//! Which projects a gateway may ask for.
//!
//! Takes the documented regular expression and names of projects, says whether a name is meant. Never: a name that
//! only contains one that is meant.

use regex::{Regex, RegexBuilder};

/// Longest expression, in bytes.
const LIMIT: usize = 8 * 1024;
/// Most memory that a compiled expression may take, in bytes.
const COMPILED: usize = 4 << 20;
/// Expressions that let every project through; with them nothing has to be held to a project.
const EVERYTHING: [&str; 6] = [".*", "^.*$", "^.*", ".*$", ".+", "^.+$"];

/// What `--allowed-projects` says.
#[derive(Clone, Debug)]
pub struct AllowedProjects(Allowed);

#[derive(Clone, Debug)]
enum Allowed {
    Every,
    Only { written: String, whole: Regex },
}

/// Why a text is no expression over project names.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProjectsError {
    /// Longer than [`LIMIT`].
    #[error("is longer than {LIMIT} bytes")]
    TooLong,
    /// Not a regular expression; look-around and back references are not known, as in RE2.
    #[error("is not a regular expression")]
    NotARegex(#[source] regex::Error),
}

impl AllowedProjects {
    /// Lets every project through: the documented default, `.*`.
    #[must_use]
    pub fn every() -> Self {
        Self(Allowed::Every)
    }

    /// Reads an expression. It has to match whole names; upper and lower case are the same, as they are for the
    /// hosts.
    ///
    /// # Errors
    /// See [`ProjectsError`].
    pub fn parse(written: &str) -> Result<Self, ProjectsError> {
        let written = written.trim();
        if written.is_empty() || EVERYTHING.contains(&written) {
            return Ok(Self::every());
        }
        if written.len() > LIMIT {
            return Err(ProjectsError::TooLong);
        }
        let compiled = |text: &str| {
            RegexBuilder::new(text)
                .case_insensitive(true)
                .size_limit(COMPILED)
                .build()
                .map_err(ProjectsError::NotARegex)
        };
        // By itself first: what closes the group below has to be a mistake, not a way around it.
        compiled(written)?;
        Ok(Self(Allowed::Only {
            written: written.to_owned(),
            whole: compiled(&format!(r"\A(?:{written})\z"))?,
        }))
    }

    /// Whether some projects are kept out.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        matches!(self.0, Allowed::Only { .. })
    }

    /// Whether the project of this name is meant.
    #[must_use]
    pub fn admits(&self, project: &str) -> bool {
        match &self.0 {
            Allowed::Every => true,
            Allowed::Only { whole, .. } => whole.is_match(project),
        }
    }

    /// The expression, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Allowed::Every => ".*",
            Allowed::Only { written, .. } => written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_are_matched_and_their_case_is_not() {
        let allowed = AllowedProjects::parse("team/app").unwrap();
        assert!(allowed.admits("team/app") && allowed.admits("Team/APP"));
        for other in [
            "evil-team/app",
            "team/app-fork",
            "evil-team/app-fork",
            "x/team/app",
            "team/app/x",
            "team/app\n",
            "team/app ",
            "",
            "teamXapp",
        ] {
            assert!(!allowed.admits(other), "{other:?}");
        }
        let alternatives = AllowedProjects::parse("^team/app$|^other/.*$").unwrap();
        assert!(alternatives.admits("other/one") && alternatives.admits("team/app"));
        assert!(!alternatives.admits("x-team/app") && !alternatives.admits("another/one"));
    }

    #[test]
    fn the_default_keeps_nothing_out() {
        for written in ["", ".*", " .* ", "^.*$"] {
            let allowed = AllowedProjects::parse(written).unwrap();
            assert!(!allowed.is_restricted() && allowed.admits("any/thing"));
        }
        assert!(AllowedProjects::parse("team/.*").unwrap().is_restricted());
    }

    #[test]
    fn an_expression_cannot_leave_its_group() {
        for written in ["a)|(.*", "(", "a(?=b)", "[", "(?x)a #"] {
            assert!(AllowedProjects::parse(written).is_err(), "{written}");
        }
        assert_eq!(
            AllowedProjects::parse(&"a".repeat(LIMIT + 1))
                .unwrap_err()
                .to_string(),
            format!("is longer than {LIMIT} bytes")
        );
    }
}
