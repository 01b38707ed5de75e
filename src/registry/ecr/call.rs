//! `GetAuthorizationToken` of Amazon ECR and ECR Public.
//!
//! Takes a scope, gives a token and whose credentials it was issued to. Never: a token in a text.

use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::primitives::DateTime;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_net::{ClientError, ClientOptions};
use gantry_protocol::Secret;

use super::http::{self, Names};
use super::source::Sources;
use super::{AwsSource, EcrError, Scope};

/// All of it: credentials, the call, its repetitions.
const LIMIT: Duration = Duration::from_secs(45);

/// Where ECR Public issues tokens.
const PUBLIC_REGION: &str = "us-east-1";

/// A registry's login for some hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) expires: Option<SystemTime>,
    pub(super) from: AwsSource,
}

/// AWS, seen from this host.
#[derive(Clone, Debug)]
pub(super) struct Aws {
    sources: Sources,
}

impl Aws {
    pub(super) fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        let sources = Sources {
            cloud: http::cloud(options)?,
            metadata: http::metadata(options)?,
            names: Names(options.resolver.clone()),
        };
        Ok(Self { sources })
    }

    /// Asks for a token.
    pub(super) async fn token(&self, scope: &Scope) -> Result<Token, EcrError> {
        let asked = tokio::time::timeout(LIMIT, self.ask(scope));
        asked.await.map_err(|_| EcrError::TimedOut)?
    }

    async fn ask(&self, scope: &Scope) -> Result<Token, EcrError> {
        let region = match scope {
            Scope::Private { region, .. } => Region::new(region.clone()),
            Scope::Public => Region::new(PUBLIC_REGION),
        };
        let (from, credentials) = self.sources.credentials(&region).await?;
        let sdk = self.sdk(region, credentials).await;
        let (text, expires) = match scope {
            Scope::Private {
                fips, dual_stack, ..
            } => private(&sdk, *fips, *dual_stack, from).await?,
            Scope::Public => public(&sdk, from).await?,
        };
        let (username, password) = text
            .and_then(|text| login(&Secret::new(text)))
            .ok_or(EcrError::Garbled)?;
        Ok(Token {
            username,
            password,
            expires: expires.and_then(|time| time.try_into().ok()),
            from,
        })
    }

    async fn sdk(&self, region: Region, credentials: Credentials) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .http_client(self.sources.cloud.clone())
            .credentials_provider(credentials)
            .load()
            .await
    }
}

type Answer = (Option<String>, Option<DateTime>);

/// The token is for all registries of a region that the credentials may use, whichever account they are of.
async fn private(
    sdk: &SdkConfig,
    fips: bool,
    dual_stack: bool,
    from: AwsSource,
) -> Result<Answer, EcrError> {
    let mut config = aws_sdk_ecr::config::Builder::from(sdk);
    // Only switched on: the environment may ask for either too.
    if fips {
        config = config.use_fips(true);
    }
    if dual_stack {
        config = config.use_dual_stack(true);
    }
    let client = aws_sdk_ecr::Client::from_conf(config.build());
    let answer = client.get_authorization_token().send().await;
    let answer = answer.map_err(|error| refused(from, sdk, error))?;
    let data = answer.authorization_data.unwrap_or_default();
    let data = data.into_iter().next().ok_or(EcrError::Garbled)?;
    Ok((data.authorization_token, data.expires_at))
}

async fn public(sdk: &SdkConfig, from: AwsSource) -> Result<Answer, EcrError> {
    let client = aws_sdk_ecrpublic::Client::new(sdk);
    let answer = client.get_authorization_token().send().await;
    let answer = answer.map_err(|error| refused(from, sdk, error))?;
    let data = answer.authorization_data.ok_or(EcrError::Garbled)?;
    Ok((data.authorization_token, data.expires_at))
}

fn refused<E>(from: AwsSource, sdk: &SdkConfig, error: E) -> EcrError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let region = sdk.region().map(ToString::to_string).unwrap_or_default();
    match (error.code(), error.message()) {
        (Some(code), message) => EcrError::Refused {
            from,
            region,
            code: code.to_owned(),
            message: message.unwrap_or_default().to_owned(),
        },
        (None, _) => EcrError::Unreachable {
            region,
            source: error.into(),
        },
    }
}

fn login(token: &Secret) -> Option<(String, Secret)> {
    let bytes = zeroize::Zeroizing::new(STANDARD.decode(token.expose()).ok()?);
    let (username, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some((username.to_owned(), Secret::new(password)))
}
