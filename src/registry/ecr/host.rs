//! Names of Amazon's registries.
//!
//! Takes a host name, gives account and region. Never: a match on a part of a name, or a region in another
//! partition's domain. Patterns as AWS' own tools have them (`cloud-provider-aws`, `amazon-ecr-credential-helper`)
//! and the SDK's table of partitions.

use std::fmt;

/// A part of AWS with its own domain.
struct Partition {
    /// What its regions begin with; empty for all that no other names.
    regions: &'static str,
    /// `<account>.dkr.ecr[-fips].<region>.<this>`
    domain: &'static str,
    /// `<account>.dkr-ecr[-fips].<region>.<this>`, reached by IPv6 too.
    dual_stack: Option<&'static str>,
    /// Reached from the internet.
    public: bool,
}

const PARTITIONS: [Partition; 7] = [
    partition(
        "cn-",
        "amazonaws.com.cn",
        Some("on.amazonwebservices.com.cn"),
        true,
    ),
    partition(
        "eusc-",
        "amazonaws.eu",
        Some("on.amazonwebservices.eu"),
        true,
    ),
    partition("us-iso-", "c2s.ic.gov", None, false),
    partition("us-isob-", "sc2s.sgov.gov", None, false),
    partition("eu-isoe-", "cloud.adc-e.uk", None, false),
    partition("us-isof-", "csp.hci.ic.gov", None, false),
    // Last, because its regions are all the others; GovCloud's are among them.
    partition("", "amazonaws.com", Some("on.aws"), true),
];

const fn partition(
    regions: &'static str,
    domain: &'static str,
    dual_stack: Option<&'static str>,
    public: bool,
) -> Partition {
    Partition {
        regions,
        domain,
        dual_stack,
        public,
    }
}

/// A private registry of Amazon ECR.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EcrHost {
    account: String,
    region: String,
    fips: bool,
    dual_stack: bool,
    public_partition: bool,
}

impl EcrHost {
    /// The only registry of Amazon ECR Public.
    pub const PUBLIC: &'static str = "public.ecr.aws";

    /// Reads `registry`; a name with a port is not Amazon's.
    pub fn parse(registry: &str) -> Option<Self> {
        let (account, rest) = registry.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        const FORMS: [(&str, bool, bool); 4] = [
            ("dkr.ecr.", false, false),
            ("dkr.ecr-fips.", true, false),
            ("dkr-ecr.", false, true),
            ("dkr-ecr-fips.", true, true),
        ];
        let form = |(start, fips, dual)| Some((rest.strip_prefix(start)?, fips, dual));
        let (rest, fips, dual_stack) = FORMS.into_iter().find_map(form)?;
        let (region, domain) = rest.split_once('.')?;
        if !is_region(region) {
            return None;
        }
        let partition = PARTITIONS.iter().find(|p| region.starts_with(p.regions))?;
        let expected = match dual_stack {
            true => partition.dual_stack?,
            false => partition.domain,
        };
        (domain == expected).then(|| Self {
            account: account.to_owned(),
            region: region.to_owned(),
            fips,
            dual_stack,
            public_partition: partition.public,
        })
    }

    /// Twelve digits.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Such as `eu-west-1`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether its name asks for FIPS 140 endpoints.
    pub fn fips(&self) -> bool {
        self.fips
    }

    /// Whether its name asks for endpoints with IPv6.
    pub fn dual_stack(&self) -> bool {
        self.dual_stack
    }

    /// Whether it is in a part of AWS that the internet reaches: everything but the ISO partitions.
    pub fn in_public_partition(&self) -> bool {
        self.public_partition
    }
}

impl fmt::Display for EcrHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {} in {}", self.account, self.region)
    }
}

/// Words and a number: `eu-west-1`, `us-gov-east-1`, `eusc-de-east-1`. It becomes a part of the host name that
/// is asked for tokens, so nothing else may pass.
fn is_region(text: &str) -> bool {
    let mut parts: Vec<&str> = text.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let word = |part: &&str| {
        !part.is_empty() && part.len() <= 12 && part.bytes().all(|b| b.is_ascii_lowercase())
    };
    (2..=4).contains(&parts.len())
        && parts.iter().all(word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_and_region_are_read_from_the_name() {
        let cases = [
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                "eu-west-1",
                false,
                false,
                true,
            ),
            (
                "000000000000.dkr.ecr.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
                false,
                false,
                true,
            ),
            (
                "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com",
                "us-east-1",
                true,
                false,
                true,
            ),
            (
                "123456789012.dkr-ecr.mx-central-1.on.aws",
                "mx-central-1",
                false,
                true,
                true,
            ),
            (
                "123456789012.dkr-ecr-fips.us-west-2.on.aws",
                "us-west-2",
                true,
                true,
                true,
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
                false,
                false,
                true,
            ),
            (
                "123456789012.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn",
                "cn-northwest-1",
                false,
                true,
                true,
            ),
            (
                "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
                false,
                false,
                true,
            ),
            (
                "123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov",
                "us-iso-east-1",
                false,
                false,
                false,
            ),
            (
                "123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov",
                "us-isob-east-1",
                false,
                false,
                false,
            ),
        ];
        for (name, region, fips, dual_stack, public) in cases {
            let host = EcrHost::parse(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(host.account(), &name[..12], "{name}");
            assert_eq!(host.region(), region, "{name}");
            let flags = (host.fips(), host.dual_stack(), host.in_public_partition());
            assert_eq!(flags, (fips, dual_stack, public), "{name}");
        }
    }

    #[test]
    fn names_that_only_look_alike_are_not_amazons() {
        for name in [
            "dkr.ecr.eu-west-1.amazonaws.com",
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "1234567890123.dkr.ecr.eu-west-1.amazonaws.com",
            "a23456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "x.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn",
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.eu",
            "123456789012.dkr.ecr.us-iso-east-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.c2s.ic.gov",
            "123456789012.dkr.ecr.x.amazonaws.com",
            "123456789012.dkr.ecr.evil-host.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-.amazonaws.com",
            "123456789012.dkr.ecr.-west-1.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.amazonaws.com",
            "123456789012.dkr.ecr.eu.west.1.amazonaws.com",
            "123456789012.dkr-ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.on.aws",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443",
            "123456789012.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecrx.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws-com",
            "public.ecr.aws",
            "",
        ] {
            assert_eq!(EcrHost::parse(name), None, "{name}");
        }
    }
}
