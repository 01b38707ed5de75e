//! Where images come from, and who is asked for logins.

use gantry_net::egress::{Contact, LauncherPurpose as Purpose};

use super::{Settings, class, off};
use crate::image::Reference;
use crate::registry::LoginSource;

/// Other hosts that a registry's answers lead to: where logins are and where layers are kept, as the vendors say.
const BEHIND: [(&str, &[&str]); 9] = [
    (
        "docker.io",
        &[
            "registry-1.docker.io",
            "auth.docker.io",
            "production.cloudflare.docker.com",
            "production.cloudfront.docker.com",
        ],
    ),
    (
        "registry.hub.docker.com",
        &[
            "auth.docker.io",
            "production.cloudflare.docker.com",
            "production.cloudfront.docker.com",
        ],
    ),
    ("ghcr.io", &["pkg-containers.githubusercontent.com"]),
    ("quay.io", &["*.quay.io"]),
    ("gcr.io", &["storage.googleapis.com"]),
    (
        "registry.gitlab.com",
        &["gitlab.com", "cdn.registry.gitlab-static.net"],
    ),
    ("public.ecr.aws", &["*.cloudfront.net"]),
    (
        "*.azurecr.io",
        &["*.data.azurecr.io", "*.blob.core.windows.net"],
    ),
    (
        "*.dkr.ecr.*.amazonaws.com",
        &["prod-*-starport-layer-bucket.s3.*.amazonaws.com"],
    ),
];

impl Settings<'_> {
    /// Registries of images that may run here, the default image's first, and what setting names each.
    pub(super) fn registry_names(&self) -> Vec<(String, &'static str)> {
        let images = &self.config.images;
        let default = images.default.as_deref().map(Reference::parse);
        let default = default.and_then(Result::ok);
        let mut names: Vec<_> = default
            .map(|image| {
                (
                    image.registry().to_owned(),
                    "SPACELIFT_DEFAULT_RUNNER_IMAGE",
                )
            })
            .into_iter()
            .collect();
        for name in images.registries.registries() {
            if names.iter().all(|(known, _)| *known != name) {
                names.push((name, "GANTRY_ALLOWED_REGISTRIES"));
            }
        }
        names
    }

    /// The engine dials them; its proxies are its own, so none is told here.
    pub(super) fn registries(&self) -> Vec<Contact> {
        let purpose = Purpose::Registries;
        let mut all = Vec::new();
        for (name, setting) in self.registry_names() {
            if name == "*" {
                all.push(class(purpose, "the registry of each stack's image"));
                continue;
            }
            let behind = BEHIND
                .iter()
                .find(|(registry, _)| stands_for(registry, &name));
            let behind = behind.map_or(&[][..], |(_, behind)| behind);
            // Docker Hub's name is a name only.
            let own = (name != "docker.io").then_some(name.as_str());
            for host in own.into_iter().chain(behind.iter().copied()) {
                let contact = self.named(purpose, host, setting);
                all.extend(contact.map(|contact| contact.through(None)));
            }
        }
        all
    }

    pub(super) fn helpers(&self) -> Contact {
        let purpose = Purpose::CredentialHelpers;
        let what = "what each `docker-credential-…` program contacts";
        let named = |(name, _): &(String, _)| {
            let source = self.logins.source_for(&sample(name));
            matches!(source, Ok(LoginSource::Helper(_)))
        };
        match self.registry_names().iter().any(named) {
            true => class(purpose, what),
            false => off(purpose, what),
        }
    }

    /// Names at Amazon that a token is asked for with the host's own AWS credentials.
    pub(super) fn amazon_names(&self) -> Vec<(String, &'static str)> {
        let ambient = |name: &str| match self.logins.source_for(&sample(name)) {
            Ok(LoginSource::Ecr { .. } | LoginSource::PublicEcr { .. }) => true,
            Ok(LoginSource::Anonymous | LoginSource::DockerConfig | LoginSource::Helper(_))
            | Err(_) => name == "*",
        };
        let names = self.registry_names().into_iter();
        names.filter(|(name, _)| ambient(name)).collect()
    }
}

/// Whether `pattern` is about `name`, which may be a pattern itself.
fn stands_for(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.split('.'), name.split('.'));
    pattern.clone().count() == name.clone().count()
        && pattern
            .zip(name)
            .all(|(part, label)| part == "*" || part == label)
}

/// One registry of a pattern: an account has twelve digits.
fn sample(name: &str) -> String {
    match name.strip_prefix("*.dkr") {
        Some(rest) => format!("000000000000.dkr{}", rest.replace('*', "us-east-1")),
        None => name.replace('*', "any"),
    }
}
