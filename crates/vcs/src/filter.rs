//! Takes projects that are not meant out of lists.
//!
//! Takes an answer of the host, gives it with the allowed projects only. Never: an entry whose name can't be read, or
//! an answer of a shape that is not known.

use serde_json::Value;

use crate::project::AllowedProjects;
use crate::route::Listed;

/// Longest answer that is filtered, in bytes.
pub const LIST_LIMIT: usize = 16 << 20;

/// What to take out of one answer.
#[derive(Clone, Debug)]
pub struct ListFilter {
    listed: Listed,
    /// What the path says of the projects' names; only Azure's paths do.
    above: String,
    allowed: AllowedProjects,
}

/// Why an answer can't be filtered. It must not leave then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Longer than [`LIST_LIMIT`].
    #[error("the list of projects is longer than {LIST_LIMIT} bytes; ask for smaller pages")]
    TooLong,
    /// Compressed, or not JSON.
    #[error("the list of projects is not JSON")]
    NotJson,
    /// Not the shape that lists of this vendor have.
    #[error("the list of projects has a shape that is not known")]
    Shape,
}

impl ListFilter {
    pub(crate) fn new(listed: Listed, above: String, allowed: AllowedProjects) -> Self {
        Self {
            listed,
            above,
            allowed,
        }
    }

    /// The body of a successful answer, without the projects that are not meant. It has to be neither compressed nor
    /// cut.
    ///
    /// # Errors
    /// See [`FilterError`].
    pub fn apply(&self, body: &[u8]) -> Result<Vec<u8>, FilterError> {
        if body.len() > LIST_LIMIT {
            return Err(FilterError::TooLong);
        }
        let mut answer: Value = serde_json::from_slice(body).map_err(|_| FilterError::NotJson)?;
        let entries = match (&mut answer, self.member()) {
            (Value::Array(entries), None | Some("repositories")) => entries,
            (Value::Object(members), Some(member)) => {
                // What stands beside the list (totals, links) tells of no project; other lists would.
                members.retain(|name, value| name == member || !holds_lists(value));
                let entries = members.get_mut(member).and_then(Value::as_array_mut);
                entries.ok_or(FilterError::Shape)?
            }
            _ => return Err(FilterError::Shape),
        };
        entries.retain(|entry| {
            self.names(entry)
                .iter()
                .any(|name| self.allowed.admits(name))
        });
        serde_json::to_vec(&answer).map_err(|_| FilterError::Shape)
    }

    /// Where the entries stand.
    fn member(&self) -> Option<&'static str> {
        match self.listed {
            Listed::Gitlab => None,
            Listed::Github => Some("repositories"),
            Listed::Bitbucket => Some("values"),
            Listed::Azure => Some("value"),
        }
    }

    /// The names by which an entry may be meant; empty for an entry that can't be read.
    fn names(&self, entry: &Value) -> Vec<String> {
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
        match self.listed {
            Listed::Gitlab => text("/path_with_namespace")
                .map(str::to_owned)
                .into_iter()
                .collect(),
            Listed::Github => text("/full_name").map(str::to_owned).into_iter().collect(),
            Listed::Bitbucket => {
                let (key, slug) = (text("/project/key"), text("/slug"));
                let name = key.zip(slug).map(|(key, slug)| format!("{key}/{slug}"));
                name.into_iter().collect()
            }
            Listed::Azure => {
                let both = text("/project/name").zip(text("/name"));
                both.map_or_else(Vec::new, |(project, name)| self.azure(project, name))
            }
        }
    }

    /// Names as requests for one repository would write them.
    fn azure(&self, project: &str, name: &str) -> Vec<String> {
        let last = self.above.rsplit('/').next().unwrap_or_default();
        if self.above.is_empty() {
            vec![format!("{project}/{name}")]
        } else if last.eq_ignore_ascii_case(project) {
            vec![format!("{}/{name}", self.above)]
        } else {
            vec![format!("{}/{project}/{name}", self.above)]
        }
    }
}

fn holds_lists(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(
        listed: Listed,
        above: &str,
        allowed: &str,
        body: &str,
    ) -> Result<String, FilterError> {
        let allowed = AllowedProjects::parse(allowed).unwrap();
        let filter = ListFilter::new(listed, above.to_owned(), allowed);
        let bytes = filter.apply(body.as_bytes())?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn only_meant_projects_stay_in_each_vendors_list() {
        for (listed, above, allowed, body, left) in [
            (
                Listed::Gitlab,
                "",
                "team/.*",
                r#"[{"path_with_namespace":"team/app"},{"path_with_namespace":"evil-team/app"},{"id":3}]"#,
                r#"[{"path_with_namespace":"team/app"}]"#,
            ),
            (
                Listed::Github,
                "",
                "team/app",
                r#"{"total_count":2,"repositories":[{"full_name":"team/app-fork"},{"full_name":"Team/App"}]}"#,
                r#"{"repositories":[{"full_name":"Team/App"}],"total_count":2}"#,
            ),
            (
                Listed::Github,
                "",
                "team/app",
                r#"[{"full_name":"team/app"},{"full_name":"x/team/app"}]"#,
                r#"[{"full_name":"team/app"}]"#,
            ),
            (
                Listed::Bitbucket,
                "",
                "KEY/app",
                r#"{"size":2,"other":[{"slug":"x"}],"values":[{"slug":"app","project":{"key":"KEY"}},{"slug":"app","project":{"key":"OTHER"}},{"slug":"app"}]}"#,
                r#"{"size":2,"values":[{"project":{"key":"KEY"},"slug":"app"}]}"#,
            ),
            (
                Listed::Azure,
                "org/proj",
                "org/proj/app",
                r#"{"count":2,"value":[{"name":"app","project":{"name":"proj"}},{"name":"app2","project":{"name":"proj"}}]}"#,
                r#"{"count":2,"value":[{"name":"app","project":{"name":"proj"}}]}"#,
            ),
            (
                Listed::Azure,
                "org",
                "org/proj/.*",
                r#"{"value":[{"name":"app","project":{"name":"proj"}},{"name":"app","project":{"name":"other"}}]}"#,
                r#"{"value":[{"name":"app","project":{"name":"proj"}}]}"#,
            ),
        ] {
            let got = filtered(listed, above, allowed, body).unwrap();
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(value(&got), value(left), "{listed:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_does_not_leave() {
        for (listed, body, error) in [
            (Listed::Gitlab, "{}", FilterError::Shape),
            (Listed::Gitlab, "\u{1f}\u{8b}", FilterError::NotJson),
            (Listed::Bitbucket, "[]", FilterError::Shape),
            (Listed::Azure, r#"{"value":3}"#, FilterError::Shape),
            (Listed::Github, r#""text""#, FilterError::Shape),
        ] {
            assert_eq!(
                filtered(listed, "", "a/b", body).unwrap_err(),
                error,
                "{body}"
            );
        }
        let long = format!("[{}]", " ".repeat(LIST_LIMIT));
        assert_eq!(
            filtered(Listed::Gitlab, "", "a/b", &long).unwrap_err(),
            FilterError::TooLong
        );
    }
}
