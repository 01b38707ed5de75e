//! Amazon's registries: who they are, and tokens for them by the host's AWS credentials.
//!
//! Takes a registry's name, gives a token that is kept until shortly before its end. Never: two requests for
//! one token at a time, a token after its end, a token that the registry refused a second time.

mod call;
mod host;
mod http;
mod source;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use gantry_net::{ClientError, ClientOptions};
use gantry_protocol::Secret;

pub use host::EcrHost;
pub use source::AwsSource;

use call::{Aws, Token};

/// Tokens are not used in their last minutes: a pull has to begin with a valid one and may wait for others.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// How long it is remembered that this host gets no token of ECR Public: asking takes seconds where there is no
/// metadata service, and the registry serves everybody.
const ABSENCE: Duration = Duration::from_secs(5 * 60);

/// Why there is no token. Each names the source that was used and what it lacks.
#[derive(Debug, thiserror::Error)]
pub enum EcrError {
    /// No credentials anywhere.
    #[error(
        "this host has no AWS credentials (asked: environment, profile, web identity token, task role, instance role); \
         give it a role that allows ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer, or put a \
         login for the registry into SPACELIFT_DOCKER_CONFIG_DIR"
    )]
    NoCredentials,
    /// A source that is configured, and fails.
    #[error("the credentials of {from} can't be had")]
    Source {
        /// Whose.
        from: AwsSource,
        /// Why.
        source: CredentialsError,
    },
    /// AWS said no.
    #[error(
        "AWS in {region} gives no token to {from}: {code}: {message} (it has to allow ecr:GetAuthorizationToken; pulls need \
         ecr:BatchGetImage and ecr:GetDownloadUrlForLayer too)"
    )]
    Refused {
        /// Whose credentials.
        from: AwsSource,
        /// The region asked.
        region: String,
        /// AWS' code.
        code: String,
        /// AWS' words.
        message: String,
    },
    /// AWS could not be asked.
    #[error("AWS in {region} could not be asked for a token")]
    Unreachable {
        /// The region asked.
        region: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("AWS gave no token in time")]
    TimedOut,
    /// An answer without a token.
    #[error("the answer of AWS holds no login")]
    Garbled,
}

/// What one token is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// All private registries of a region.
    Private {
        region: String,
        fips: bool,
        dual_stack: bool,
    },
    /// ECR Public.
    Public,
}

impl From<&EcrHost> for Scope {
    fn from(host: &EcrHost) -> Self {
        Self::Private {
            region: host.region().to_owned(),
            fips: host.fips(),
            dual_stack: host.dual_stack(),
        }
    }
}

/// What is known of a scope.
#[derive(Debug, Default)]
enum Kept {
    #[default]
    Nothing,
    Token {
        token: Token,
        until: Instant,
    },
    Absent {
        until: Instant,
    },
}

/// Tokens by scope.
#[derive(Debug)]
pub(super) struct Tokens {
    aws: Aws,
    kept: Mutex<HashMap<Scope, Arc<tokio::sync::Mutex<Kept>>>>,
}

/// What a registry is asked with.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) from: AwsSource,
}

impl Tokens {
    pub(super) fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        Ok(Self {
            aws: Aws::new(options)?,
            kept: Mutex::default(),
        })
    }

    /// A token for `host`; another than `refused`, which its registry did not take.
    pub(super) async fn private(
        &self,
        host: &EcrHost,
        refused: Option<&Secret>,
    ) -> Result<Issued, EcrError> {
        let scope = Scope::from(host);
        let slot = self.slot(&scope);
        let mut kept = slot.lock().await;
        if let Some(token) = kept.token(Instant::now(), refused) {
            return Ok(token.into());
        }
        *kept = Kept::Nothing;
        let token = self.aws.token(&scope).await?;
        tracing::info!(%host, from = %token.from, "got an ECR token");
        *kept = Kept::token_for(&token, SystemTime::now(), Instant::now());
        Ok((&token).into())
    }

    /// A token for ECR Public; `None` where this host gets none.
    pub(super) async fn public(&self) -> Option<Issued> {
        let slot = self.slot(&Scope::Public);
        let mut kept = slot.lock().await;
        let now = Instant::now();
        match kept.token(now, None) {
            Some(token) => return Some(token.into()),
            None if kept.is_absent(now) => return None,
            None => {}
        }
        let asked = self.aws.token(&Scope::Public).await;
        match &asked {
            Ok(token) => *kept = Kept::token_for(token, SystemTime::now(), Instant::now()),
            Err(error) => {
                *kept = Kept::absent();
                if !matches!(error, EcrError::NoCredentials) {
                    let error = crate::report::Chain(error);
                    tracing::warn!(%error, "public.ecr.aws is asked without a login");
                }
            }
        }
        asked.ok().map(|token| (&token).into())
    }

    /// ECR Public did not take its token: it serves everybody without one.
    pub(super) async fn forget_public(&self) {
        *self.slot(&Scope::Public).lock().await = Kept::absent();
    }

    fn slot(&self, scope: &Scope) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry(scope.clone()).or_default().clone()
    }
}

impl From<&Token> for Issued {
    fn from(token: &Token) -> Self {
        Self {
            username: token.username.clone(),
            password: token.password.clone(),
            from: token.from,
        }
    }
}

impl Kept {
    /// Keeps `token` until [`MARGIN`] before its end; one that ends sooner, or says no end, is used once.
    fn token_for(token: &Token, wall: SystemTime, now: Instant) -> Self {
        let left = token.expires.and_then(|end| end.duration_since(wall).ok());
        match left.and_then(|left| left.checked_sub(MARGIN)) {
            Some(left) if !left.is_zero() => Self::Token {
                token: token.clone(),
                until: now + left,
            },
            _ => Self::Nothing,
        }
    }

    fn absent() -> Self {
        Self::Absent {
            until: Instant::now() + ABSENCE,
        }
    }

    fn token(&self, now: Instant, refused: Option<&Secret>) -> Option<&Token> {
        match self {
            Self::Token { token, until } if now < *until && refused != Some(&token.password) => {
                Some(token)
            }
            _ => None,
        }
    }

    fn is_absent(&self, now: Instant) -> bool {
        matches!(self, Self::Absent { until } if now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(password: &str, expires: Option<SystemTime>) -> Token {
        Token {
            username: "AWS".to_owned(),
            password: Secret::new(password),
            expires,
            from: AwsSource::Environment,
        }
    }

    #[test]
    fn a_token_is_kept_until_shortly_before_its_end() {
        let (wall, now) = (SystemTime::now(), Instant::now());
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let kept = Kept::token_for(&token("t", Some(wall + hours(12))), wall, now);
        let cases = [
            (Duration::ZERO, true),
            (hours(11), true),
            (hours(12) - MARGIN - Duration::from_secs(1), true),
            (hours(12) - MARGIN, false),
            (hours(13), false),
        ];
        for (later, expected) in cases {
            let found = kept.token(now + later, None).is_some();
            assert_eq!(found, expected, "{later:?}");
        }
    }

    #[test]
    fn a_token_without_a_future_is_used_once() {
        let (wall, now) = (SystemTime::now(), Instant::now());
        let past = wall - Duration::from_secs(300_000_000);
        for expires in [None, Some(past), Some(wall), Some(wall + MARGIN)] {
            let kept = Kept::token_for(&token("t", expires), wall, now);
            assert!(kept.token(now, None).is_none(), "{expires:?}");
        }
    }

    #[test]
    fn a_refused_token_is_not_given_again_but_a_newer_one_is() {
        let (wall, now) = (SystemTime::now(), Instant::now());
        let end = Some(wall + Duration::from_secs(43_200));
        let kept = Kept::token_for(&token("new", end), wall, now);
        assert!(kept.token(now, Some(&Secret::new("new"))).is_none());
        assert!(kept.token(now, Some(&Secret::new("old"))).is_some());
    }
}
