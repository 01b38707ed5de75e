//! How often somebody may ask, and how often be wrong.
//!
//! Takes keys and addresses, says whether a request passes or when to come back. In memory: a restart
//! forgives. Never: a right secret counted as a guess, or more memory than for [`MAX_GUESSERS`].

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::clock::UnixMillis;

/// Who guesses is remembered up to this many.
const MAX_GUESSERS: usize = 50_000;

/// Seconds' worth of requests that may come at once.
const BURST: u32 = 10;

/// A wrong secret of one key from one address costs this much time, in milliseconds.
const KEY_COST: i64 = 6_000;

/// And ten of them may come at once.
const KEY_BURST: i64 = 10 * KEY_COST;

/// A wrong secret of any key from one address.
const ADDRESS_COST: i64 = 1_000;

/// And sixty of them may come at once.
const ADDRESS_BURST: i64 = 60 * ADDRESS_COST;

/// Limits of the API.
#[derive(Debug)]
pub struct Limits {
    requests: Option<DefaultKeyedRateLimiter<Asker>>,
    guesses: Mutex<HashMap<Guesser, i64>>,
}

/// Who sends requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// The bearer of a valid token, by the key's id.
    Key(String),
    /// Somebody without one, by address.
    Address(IpAddr),
    /// Somebody without one, on a connection without an address.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Guesser {
    OfKey(String, Option<IpAddr>),
    At(Option<IpAddr>),
}

/// Come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests: try again in {seconds} s")]
pub struct TooMany {
    /// When to.
    pub seconds: u64,
}

impl Asker {
    /// Whoever sends from this address.
    pub fn at(address: Option<IpAddr>) -> Self {
        network(address).map_or(Self::Unknown, Self::Address)
    }
}

impl Limits {
    /// Lets everyone send this many requests in a second, and ten times as many at once; zero is no limit.
    pub fn new(per_second: u32) -> Self {
        let quota = |rate: NonZeroU32| {
            Quota::per_second(rate).allow_burst(rate.saturating_mul(BURST_FACTOR))
        };
        let requests = NonZeroU32::new(per_second).map(|rate| RateLimiter::keyed(quota(rate)));
        Self {
            requests,
            guesses: Mutex::default(),
        }
    }

    /// Counts a request.
    pub fn request(&self, who: &Asker) -> Result<(), TooMany> {
        let Some(requests) = &self.requests else {
            return Ok(());
        };
        requests.check_key(who).map_err(|until| {
            let wait = until.wait_time_from(requests.clock().now());
            TooMany {
                seconds: wait.as_secs() + 1,
            }
        })
    }

    /// Forgets who has not asked for a while.
    pub fn forget(&self) {
        if let Some(requests) = &self.requests {
            requests.retain_recent();
        }
    }

    /// Whether a secret of this key may be tried from this address.
    pub fn may_guess(
        &self,
        key: &str,
        address: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<(), TooMany> {
        let guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        let over = guessers(key, address).map(|(guesser, cost, burst)| {
            let debt = guesses.get(&guesser).map_or(0, |until| until - now.0);
            debt + cost - burst
        });
        let wait = over.into_iter().max().unwrap_or(0);
        if wait <= 0 {
            return Ok(());
        }
        let seconds = u64::try_from(wait).unwrap_or(0).div_ceil(1000);
        Err(TooMany { seconds })
    }

    /// Counts a wrong secret.
    pub fn guessed(&self, key: &str, address: Option<IpAddr>, now: UnixMillis) {
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        if guesses.len() >= MAX_GUESSERS {
            guesses.retain(|_, until| *until > now.0);
        }
        for (guesser, cost, _) in guessers(key, address) {
            if guesses.len() < MAX_GUESSERS || guesses.contains_key(&guesser) {
                let until = guesses.entry(guesser).or_insert(now.0);
                *until = (*until).max(now.0) + cost;
            }
        }
    }
}

/// [`BURST`], as a factor.
const BURST_FACTOR: NonZeroU32 = NonZeroU32::new(BURST).expect("invariant: it is not zero");

fn guessers(key: &str, address: Option<IpAddr>) -> [(Guesser, i64, i64); 2] {
    let address = network(address);
    let key: String = key.chars().take(64).collect();
    [
        (Guesser::OfKey(key, address), KEY_COST, KEY_BURST),
        (Guesser::At(address), ADDRESS_COST, ADDRESS_BURST),
    ]
}

/// One host has a whole /64 of IPv6.
fn network(address: Option<IpAddr>) -> Option<IpAddr> {
    Some(match address? {
        IpAddr::V6(v6) => {
            let mask = u128::MAX << 64;
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
        v4 @ IpAddr::V4(_) => v4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_secrets_slow_down_who_sends_them_and_nobody_else() {
        let limits = Limits::new(0);
        let (here, there) = (
            Some(IpAddr::from([192, 0, 2, 1])),
            Some(IpAddr::from([192, 0, 2, 2])),
        );
        let at = UnixMillis(1_000_000);
        for n in 0..10 {
            assert_eq!(limits.may_guess("a", here, at), Ok(()), "{n}");
            limits.guessed("a", here, at);
        }
        assert_eq!(limits.may_guess("a", here, at), Err(TooMany { seconds: 6 }));
        assert_eq!(limits.may_guess("a", there, at), Ok(()));
        assert_eq!(limits.may_guess("b", here, at), Ok(()));
        assert_eq!(limits.may_guess("a", here, at.plus(6_000)), Ok(()));
        // Many keys from one address.
        for n in 0..50 {
            limits.guessed(&format!("k{n}"), here, at);
        }
        assert!(limits.may_guess("new", here, at).is_err());
        assert_eq!(limits.may_guess("new", here, at.plus(60_000)), Ok(()));
        assert_eq!(limits.may_guess("new", there, at), Ok(()));
    }

    #[test]
    fn a_host_is_its_network_and_requests_are_counted_by_key() {
        let v6 = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:2"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        let limits = Limits::new(1);
        let (one, two) = (Asker::Key("1".to_owned()), Asker::at(None));
        let passed = (0..50).filter(|_| limits.request(&one).is_ok()).count();
        assert!((10..13).contains(&passed), "{passed}");
        let refused = limits.request(&one).unwrap_err();
        assert!(refused.seconds >= 1);
        assert_eq!(limits.request(&two), Ok(()));
        let free = Limits::new(0);
        assert!((0..10_000).all(|_| free.request(&one).is_ok()));
    }
}
