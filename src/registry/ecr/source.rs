//! Whose AWS credentials: the environment, a profile, a web identity, a task's role, an instance's role.
//!
//! Takes a region for the services that are asked, gives the first credentials that there are and says whose.
//! Never: the next source after one that is configured and fails.

use std::fmt;
use std::time::Duration;

use aws_config::Region;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::EcrError;
use super::http::Names;

/// How often an instance's metadata service is asked: it limits rates, and it may be absent.
const METADATA_ATTEMPTS: u32 = 3;
const METADATA_CONNECT: Duration = Duration::from_secs(1);

/// Where AWS credentials come from, in the order in which they are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsSource {
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    Environment,
    /// A profile of `~/.aws`, also one that assumes a role.
    Profile,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` with `AWS_ROLE_ARN`.
    WebIdentity,
    /// The role of an ECS task, or of an EKS pod.
    Container,
    /// The role of an EC2 instance, by IMDSv2.
    Instance,
}

impl AwsSource {
    /// All, in order.
    pub const ALL: [Self; 5] = [
        Self::Environment,
        Self::Profile,
        Self::WebIdentity,
        Self::Container,
        Self::Instance,
    ];
}

impl fmt::Display for AwsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "the access key in the environment",
            Self::Profile => "the AWS profile",
            Self::WebIdentity => "the web identity token",
            Self::Container => "the task's role",
            Self::Instance => "the instance's role",
        })
    }
}

/// The means of looking.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    pub(super) cloud: SharedHttpClient,
    pub(super) metadata: SharedHttpClient,
    pub(super) names: Names,
}

impl Sources {
    /// The first credentials that there are.
    pub(super) async fn credentials(
        &self,
        region: &Region,
    ) -> Result<(AwsSource, Credentials), EcrError> {
        for from in AwsSource::ALL {
            match self.provider(from, region).provide_credentials().await {
                Ok(credentials) => return Ok((from, credentials)),
                Err(CredentialsError::CredentialsNotLoaded(_)) => {}
                Err(source) => return Err(EcrError::Source { from, source }),
            }
        }
        Err(EcrError::NoCredentials)
    }

    fn provider(&self, from: AwsSource, region: &Region) -> SharedCredentialsProvider {
        let with = |http: &SharedHttpClient| {
            ProviderConfig::without_region()
                .with_region(Some(region.clone()))
                .with_http_client(http.clone())
        };
        let (cloud, metadata) = (with(&self.cloud), with(&self.metadata));
        match from {
            AwsSource::Environment => {
                SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new())
            }
            AwsSource::Profile => SharedCredentialsProvider::new(
                ProfileFileCredentialsProvider::builder()
                    .configure(&cloud)
                    .build(),
            ),
            AwsSource::WebIdentity => SharedCredentialsProvider::new(
                WebIdentityTokenCredentialsProvider::builder()
                    .configure(&cloud)
                    .build(),
            ),
            AwsSource::Container => SharedCredentialsProvider::new(
                EcsCredentialsProvider::builder()
                    .configure(&metadata)
                    .dns(self.names.clone())
                    .build(),
            ),
            AwsSource::Instance => SharedCredentialsProvider::new(
                ImdsCredentialsProvider::builder()
                    .configure(&metadata)
                    .imds_client(
                        imds::Client::builder()
                            .configure(&metadata)
                            .max_attempts(METADATA_ATTEMPTS)
                            .connect_timeout(METADATA_CONNECT)
                            .build(),
                    )
                    .build(),
            ),
        }
    }
}
