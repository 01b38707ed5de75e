//! Which product an agent stands before.
//!
//! Takes and gives the documented words. Never: a guess from a host's name.

use std::fmt;
use std::str::FromStr;

/// A product that serves Git repositories, and whose API a gateway asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// GitLab.
    Gitlab,
    /// GitHub Enterprise Server.
    GithubEnterprise,
    /// Bitbucket Data Center.
    BitbucketDatacenter,
    /// Azure DevOps Server or Services.
    AzureDevops,
}

/// A word that names no vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is none of `azure_devops`, `bitbucket_datacenter`, `github_enterprise`, `gitlab`")]
pub struct UnknownVendor;

impl Vendor {
    /// All of them, by the alphabet.
    pub const ALL: [Self; 4] = [
        Self::AzureDevops,
        Self::BitbucketDatacenter,
        Self::GithubEnterprise,
        Self::Gitlab,
    ];

    /// The word by which settings name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gitlab => "gitlab",
            Self::GithubEnterprise => "github_enterprise",
            Self::BitbucketDatacenter => "bitbucket_datacenter",
            Self::AzureDevops => "azure_devops",
        }
    }

    /// How projects are written for it in `--allowed-projects`.
    #[must_use]
    pub fn project_form(self) -> &'static str {
        match self {
            Self::Gitlab => "group/subgroup/project",
            Self::GithubEnterprise => "owner/repository",
            Self::BitbucketDatacenter => "KEY/slug",
            Self::AzureDevops => "organization/project/repository",
        }
    }
}

impl FromStr for Vendor {
    type Err = UnknownVendor;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let same = |vendor: &Self| vendor.as_str() == word;
        Self::ALL.into_iter().find(same).ok_or(UnknownVendor)
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
