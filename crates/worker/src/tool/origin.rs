//! Where a run's tool comes from, and which version it has to be.
//!
//! Takes the order, gives the executable's place and a verdict on the version that it has. Must never happen
//! here: a version that is nearly the one that was asked for.

use std::path::{Path, PathBuf};

use gantry_protocol::socket::ToolFrom;

use super::ToolError;

/// Where a run's tool comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the image.
    Image {
        /// What it has to be; `None` takes what there is.
        version: Option<String>,
    },
    /// From the host, mounted.
    Host {
        /// The executable.
        file: PathBuf,
        /// What it has to be.
        version: String,
    },
}

impl Origin {
    /// What the order says; `directory` holds what the host brings.
    pub fn new(from: &ToolFrom, directory: &Path, program: &str) -> Self {
        match from {
            ToolFrom::Image { version } => Self::Image {
                version: version.clone(),
            },
            ToolFrom::Host { version } => Self::Host {
                file: directory.join(program),
                version: version.clone(),
            },
        }
    }

    /// Its place in a sentence.
    pub fn place(&self) -> &'static str {
        match self {
            Self::Image { .. } => "the image",
            Self::Host { .. } => "the host's verified store",
        }
    }

    /// Why a tool of version `found` is not the one that was asked for.
    pub(super) fn refusal(
        &self,
        title: &'static str,
        file: &Path,
        found: &str,
    ) -> Option<ToolError> {
        let (file, found) = (file.display().to_string(), found.to_owned());
        match self {
            Self::Image {
                version: Some(wanted),
            } if *wanted != found => Some(ToolError::Version {
                title,
                wanted: wanted.clone(),
                file,
                found,
            }),
            Self::Host {
                version: wanted, ..
            } if *wanted != found => Some(ToolError::Mislabelled {
                title,
                wanted: wanted.clone(),
                file,
                found,
            }),
            Self::Image { .. } | Self::Host { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_exactly_the_one_that_was_asked_for() {
        let image = |version: Option<&str>| ToolFrom::Image {
            version: version.map(str::to_owned),
        };
        let host = ToolFrom::Host {
            version: "1.9.8".into(),
        };
        let table = [
            (image(None), "0.1.0", None),
            (image(Some("1.9.8")), "1.9.8", None),
            (image(Some("1.9.8")), "1.9.80", Some("GANTRY_TOOL_KEYS")),
            (image(Some("1.9.8")), "1.9.8-dev", Some("1.9.8-dev")),
            (host.clone(), "1.9.8", None),
            (host, "1.9.9", Some("mirror")),
        ];
        for (from, found, expected) in table {
            let origin = Origin::new(&from, Path::new("/t"), "terraform");
            let refusal = origin.refusal("Terraform", Path::new("/t/terraform"), found);
            let text = refusal.map(|refusal| refusal.to_string());
            match (expected, text) {
                (None, None) => {}
                (Some(part), Some(text)) => assert!(text.contains(part), "{text}"),
                (expected, text) => panic!("{from:?} {found}: {expected:?} {text:?}"),
            }
        }
    }
}
