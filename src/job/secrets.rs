//! What a run's log must not show.
//!
//! Takes a run's payload and what the host hides, gives its mask. Never: a secret left out because it is too
//! short without its name being told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Secret;
use gantry_protocol::payload::RunPayload;
use zeroize::Zeroizing;

use crate::mask::{MIN_SECRET, Mask, is_too_short};

/// A variable of the host that runs get and logs hide.
#[derive(Debug, Clone)]
pub struct HiddenVariable {
    /// Its name, as runs see it.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// All secrets of one run.
pub(super) struct RunSecrets {
    /// Name for people, and value.
    all: Vec<(String, Zeroizing<Vec<u8>>)>,
}

impl RunSecrets {
    /// Those of the payload, and those of the host that it hands over.
    pub(super) fn of(payload: &RunPayload, hidden: &[HiddenVariable]) -> Self {
        let value = |secret: &Secret| Zeroizing::new(secret.expose().as_bytes().to_vec());
        let variables = payload.environment.iter().filter(|set| set.secret);
        let variables = variables.map(|set| (set.name.clone(), value(&set.value)));
        let files = payload.files.iter().filter(|file| file.secret);
        let files = files.filter_map(|file| {
            let content = STANDARD.decode(file.content.expose()).ok()?;
            Some((format!("file {}", file.path), Zeroizing::new(content)))
        });
        let login = payload.source.credentials.iter();
        let login = login.map(|login| {
            let name = "password of the repository".to_owned();
            (name, value(&login.password))
        });
        let hidden = hidden
            .iter()
            .map(|set| (set.name.clone(), value(&set.value)));
        Self {
            all: variables.chain(files).chain(login).chain(hidden).collect(),
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.all.iter().map(|(_, value)| value.as_slice())
    }

    pub(super) fn mask(&self) -> Mask {
        Mask::new(self.values())
    }

    /// The line for the run's log about secrets that are not hidden.
    pub(super) fn warning(&self) -> Option<String> {
        let short = self.all.iter().filter(|(_, value)| is_too_short(value));
        let names: Vec<_> = short.map(|(name, _)| name.as_str()).collect();
        let count = names.len();
        (count > 0).then(|| {
            format!(
                "Warning: {count} of the run's secrets are NOT hidden in logs, because they are shorter than {MIN_SECRET} characters: {}.",
                names.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(all: &[(&str, &str)]) -> RunSecrets {
        let one = |(name, value): &(&str, &str)| {
            let value = Zeroizing::new(value.as_bytes().to_vec());
            ((*name).to_owned(), value)
        };
        RunSecrets {
            all: all.iter().map(one).collect(),
        }
    }

    #[test]
    fn short_secrets_are_named_and_never_shown() {
        let all = [
            ("PIN", "123"),
            ("TOKEN", "long enough"),
            ("UNSET", ""),
            ("file a", "xy\n"),
        ];
        let warning = secrets(&all).warning().unwrap();
        assert!(
            warning.contains("2 of") && warning.ends_with("PIN, file a."),
            "{warning}"
        );
        assert!(!warning.contains("123") && !warning.contains("xy"));
        assert_eq!(secrets(&all[1..3]).warning(), None);
    }
}
