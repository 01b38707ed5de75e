//! With which login a registry is asked.
//!
//! Takes the name of a registry; gives a [`Login`] from a Docker client configuration, one of its credential
//! helpers, or Amazon ECR through the host's AWS credentials; else none. Never: one registry's login for
//! another, a login in a file, an argument or a container, or a request without a login where one was
//! configured and can't be had.

mod docker_config;
mod ecr;
mod helper;
mod login;
mod logins;

pub use docker_config::{ConfigFileError, DockerConfig};
pub use ecr::{AwsSource, EcrError, EcrHost};
pub use helper::{HelperEnvironment, HelperError, HelperName};
pub use login::{Login, LoginSource};
pub use logins::{LoginError, LoginSettings, Logins};

/// The registry that stands for a reference without one.
pub const DOCKER_HUB: &str = "docker.io";
