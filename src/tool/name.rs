//! What a stack asks for, and what its publisher calls it.
//!
//! Takes a kind and the version's text, gives file names and directories. Never: a version with a character
//! that could leave a directory or a URL's path.

use gantry_protocol::payload::ToolKind;
use semver::Version;

/// One tool at one exact version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ToolName {
    kind: ToolKind,
    version: Version,
}

/// The stack's version is not one version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the stack asks for {title} `{asked}`, which is not one exact version such as `1.9.8`; a range could mean another version for the apply than for its plan: set an exact one, or none to take the image's"
)]
pub struct NotExact {
    title: &'static str,
    asked: String,
}

impl ToolName {
    /// Reads the version that a stack asks for; a leading `v` is taken.
    ///
    /// # Errors
    /// [`NotExact`] for ranges and everything else that is not `major.minor.patch`.
    pub fn parse(kind: ToolKind, asked: &str) -> Result<Self, NotExact> {
        let text = asked.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let version = Version::parse(text).map_err(|_| NotExact {
            title: title(kind),
            asked: asked.chars().take(64).collect(),
        })?;
        Ok(Self { kind, version })
    }

    /// As people write it: `Terraform 1.9.8`.
    pub fn shown(&self) -> String {
        format!("{} {}", title(self.kind), self.version)
    }

    /// The version, without a leading `v`.
    pub fn version(&self) -> String {
        self.version.to_string()
    }

    /// Name of the executable in the archive and in the container.
    pub fn program(&self) -> &'static str {
        program(self.kind)
    }

    /// Which tool.
    pub(super) fn kind(&self) -> ToolKind {
        self.kind
    }

    /// Name of the archive for a Linux architecture as Go calls it.
    pub(super) fn archive(&self, arch: &str) -> String {
        format!("{}_{}_linux_{arch}.zip", self.program(), self.version)
    }

    /// Name of the list of checksums.
    pub(super) fn sums(&self) -> String {
        format!("{}_{}_SHA256SUMS", self.program(), self.version)
    }

    /// Name of the OpenPGP signature over that list. `tofu_…_SHA256SUMS.sig` is one too, but of another kind
    /// (cosign).
    pub(super) fn signature(&self) -> String {
        let suffix = match self.kind {
            ToolKind::Terraform => "sig",
            ToolKind::OpenTofu => "gpgsig",
        };
        format!("{}.{suffix}", self.sums())
    }

    /// Directory of this version below a mirror.
    pub(super) fn directory(&self) -> String {
        match self.kind {
            ToolKind::Terraform => format!("terraform/{}", self.version),
            ToolKind::OpenTofu => format!("opentofu/v{}", self.version),
        }
    }

    /// Name of what is kept about it.
    pub(super) fn record(&self, arch: &str) -> String {
        format!("{}_{}_{arch}.json", self.program(), self.version)
    }
}

/// Name of a tool's executable.
pub fn program(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Terraform => "terraform",
        ToolKind::OpenTofu => "tofu",
    }
}

/// A tool's name as people write it.
pub(super) fn title(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Terraform => "Terraform",
        ToolKind::OpenTofu => "OpenTofu",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exact_versions_are_taken_and_ranges_are_not() {
        for (text, version) in [
            ("1.9.8", "1.9.8"),
            ("v1.9.8", "1.9.8"),
            (" 1.12.0-beta1 ", "1.12.0-beta1"),
        ] {
            let name = ToolName::parse(ToolKind::Terraform, text).unwrap();
            assert_eq!(name.version(), version);
        }
        for text in [
            "",
            "1",
            "1.9",
            "~> 1.9",
            ">= 1.5, < 2.0",
            "=1.9.8",
            "1.9.x",
            "latest",
            "1.9.8/..",
            "../1.9.8",
            "1.9.8\n",
        ] {
            let refused = ToolName::parse(ToolKind::OpenTofu, text);
            if text == "1.9.8\n" {
                assert!(
                    refused.is_ok(),
                    "white space around it is none of the version"
                );
                continue;
            }
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(&format!("OpenTofu `{text}`")), "{refused}");
        }
    }

    #[test]
    fn publishers_names() {
        let terraform = ToolName::parse(ToolKind::Terraform, "1.9.8").unwrap();
        let tofu = ToolName::parse(ToolKind::OpenTofu, "1.10.6").unwrap();
        let names = |name: &ToolName| {
            [
                name.directory(),
                name.archive("amd64"),
                name.sums(),
                name.signature(),
            ]
        };
        assert_eq!(
            names(&terraform),
            [
                "terraform/1.9.8",
                "terraform_1.9.8_linux_amd64.zip",
                "terraform_1.9.8_SHA256SUMS",
                "terraform_1.9.8_SHA256SUMS.sig"
            ]
        );
        assert_eq!(
            names(&tofu),
            [
                "opentofu/v1.10.6",
                "tofu_1.10.6_linux_amd64.zip",
                "tofu_1.10.6_SHA256SUMS",
                "tofu_1.10.6_SHA256SUMS.gpgsig"
            ]
        );
    }

    proptest! {
        #[test]
        fn no_name_holds_a_step(text in ".{0,40}") {
            if let Ok(name) = ToolName::parse(ToolKind::Terraform, &text) {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+".contains(&b);
                prop_assert!(name.archive("amd64").bytes().all(plain));
                prop_assert!(!name.version().contains(".."));
            }
        }
    }
}
