//! Who may become a launcher of a pool. Pure.
//!
//! Takes a pool's rules and a newcomer's address, gives how it comes in or why not. The rules are for newcomers:
//! a launcher that is known keeps its place. Never: an address that nobody could tell, let in by a range.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Who may become a launcher of a pool; by default whoever holds the pool's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnrolmentRules {
    /// What happens to a newcomer that the other rules let in.
    pub admission: Admission,
    /// Where newcomers may come from; none for anywhere.
    #[serde(with = "ranges")]
    pub addresses: Vec<IpNet>,
    /// How many launchers the pool may have; none for any number.
    pub launchers: Option<u32>,
}

/// What happens to a newcomer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// It may take runs at once.
    #[default]
    Open,
    /// It waits until an administrator lets it in.
    Approval,
}

/// Why a newcomer is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The wrong address.
    #[error(
        "the pool takes launchers from {ranges} only, and this one comes from {}",
        .address.map_or_else(|| "an address that the server can't tell".to_owned(), |ip| ip.to_string())
    )]
    Address {
        /// Where it comes from, if that is known.
        address: Option<IpAddr>,
        /// Where it may come from.
        ranges: String,
    },
    /// Too many.
    #[error(
        "the pool has {limit} launchers, as many as it may have; revoke those that are gone, or raise the limit"
    )]
    Full {
        /// The limit.
        limit: u32,
    },
}

impl EnrolmentRules {
    /// How a newcomer from `address` comes into a pool that has `known` launchers.
    ///
    /// # Errors
    /// The rule that keeps it out.
    pub fn check(&self, address: Option<IpAddr>, known: usize) -> Result<Admission, NotTaken> {
        let inside = |ip: IpAddr| self.addresses.iter().any(|range| range.contains(&ip));
        // An IPv4 sender on an IPv6 socket has a mapped address.
        let fits = address.is_some_and(|ip| inside(ip.to_canonical()));
        if !self.addresses.is_empty() && !fits {
            let ranges: Vec<String> = self.addresses.iter().map(IpNet::to_string).collect();
            let ranges = ranges.join(", ");
            return Err(NotTaken::Address { address, ranges });
        }
        match self.launchers {
            Some(limit) if known >= limit as usize => Err(NotTaken::Full { limit }),
            _ => Ok(self.admission),
        }
    }
}

/// Ranges as texts.
mod ranges {
    use ipnet::IpNet;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(ranges: &[IpNet], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ranges.iter().map(IpNet::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let parsed = texts.iter().map(|text| text.parse());
        parsed.collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_keeps_out_what_it_is_for() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let rules = EnrolmentRules {
            admission: Admission::Approval,
            addresses: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            launchers: Some(2),
        };
        let cases = [
            (ip("10.1.2.3"), 0, Ok(Admission::Approval)),
            (ip("::ffff:10.1.2.3"), 1, Ok(Admission::Approval)),
            (ip("fd00::1"), 1, Ok(Admission::Approval)),
            (ip("fd00::1"), 2, Err("as many as it may have")),
            (
                ip("11.0.0.1"),
                0,
                Err("10.0.0.0/8, fd00::/8 only, and this one comes from 11.0.0.1"),
            ),
            (None, 0, Err("can't tell")),
        ];
        for (address, known, expected) in cases {
            match (rules.check(address, known), expected) {
                (Ok(admission), Ok(wanted)) => assert_eq!(admission, wanted),
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words), "{error}");
                }
                (got, wanted) => panic!("{address:?} {known}: {got:?}, not {wanted:?}"),
            }
        }
        assert_eq!(
            EnrolmentRules::default().check(None, 9),
            Ok(Admission::Open)
        );
        let text = serde_json::to_string(&rules).unwrap();
        assert_eq!(
            serde_json::from_str::<EnrolmentRules>(&text).unwrap(),
            rules
        );
        assert_eq!(
            serde_json::from_str::<EnrolmentRules>("{}").unwrap(),
            EnrolmentRules::default()
        );
    }
}
