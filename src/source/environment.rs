//! The complete environment of git: nothing of the launcher's own, all settings of ours.
//!
//! Takes a checked request, gives variables. Never: a secret anywhere but in these variables (git has no other
//! way to get one without a file or an argument), and never in a `Debug` output.

use std::io;
use std::path::Path;

use base64::Engine as _;
use gantry_net::Proxy;
use gantry_protocol::payload::GitCredentials;

use super::address::Pinned;
use super::error::one_line;
use super::request::{Checked, Transport};
use super::{FetchPolicy, Places};
use crate::mask::Mask;

/// Git's directory within the run's home.
pub(super) const GIT_DIR: &str = "repository";

/// Settings of every call. A repository's own configuration is never read: it is made here, from nothing.
const SETTINGS: [(&str, &str); 19] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.symlinks", "true"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    // Always keep packs: a bomb of loose objects would be one of inodes.
    ("fetch.unpackLimit", "1"),
    ("fetch.writeCommitGraph", "false"),
    ("transfer.bundleURI", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
    // A redirect could lead to an address that was not checked.
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "100"),
    ("http.lowSpeedTime", "60"),
];

/// Variables of a call.
pub(super) struct Environment {
    variables: Vec<(String, String)>,
    mask: Mask,
}

impl Environment {
    /// For calls without a repository.
    pub(super) fn bare(policy: &FetchPolicy) -> Self {
        Self {
            variables: vec![
                ("PATH".into(), policy.path.clone()),
                ("HOME".into(), "/nonexistent".into()),
                ("LC_ALL".into(), "C".into()),
                ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
                ("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()),
            ],
            mask: Mask::new([]),
        }
    }

    pub(super) fn new(
        request: &Checked,
        policy: &FetchPolicy,
        pinned: &Pinned,
        credentials: Option<&GitCredentials>,
        places: Places<'_>,
    ) -> io::Result<Self> {
        let mut settings: Vec<(String, String)> = SETTINGS
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut variables = fixed(policy, request, places);
        let mut secrets: Vec<String> = Vec::new();
        match &request.transport {
            Transport::Https { host, port } => {
                if let Pinned::To(addresses) = pinned {
                    let addresses: Vec<String> = addresses.iter().map(bracketed).collect();
                    let value = format!("{host}:{port}:{}", addresses.join(","));
                    settings.push(("http.curloptResolve".into(), value));
                }
                if let Some(credentials) = credentials {
                    let header = authorization(credentials);
                    // Bound to this URL, so that no other host ever gets it.
                    settings.push((format!("http.{}.extraHeader", request.url), header.clone()));
                    secrets.push(header);
                    secrets.push(credentials.password.expose().to_owned());
                }
                let proxy = request.proxy(policy);
                if let Some(proxy) = proxy {
                    secrets.push(proxy.url().expose().to_owned());
                    secrets.extend(proxy.secrets().iter().map(|one| one.expose().to_owned()));
                }
                variables.extend(proxy_and_ca(proxy, policy));
            }
            Transport::Ssh { host, port } => {
                let command = ssh_command(policy, host, *port, pinned)?;
                variables.push(("GIT_SSH_COMMAND".into(), command));
                variables.push(("GIT_SSH_VARIANT".into(), "ssh".into()));
            }
            Transport::File { path } => {
                let file = places.home.join("gitconfig");
                std::fs::write(&file, trust(path))?;
                let file = file.to_string_lossy().into_owned();
                variables.retain(|(name, _)| name != "GIT_CONFIG_GLOBAL");
                variables.push(("GIT_CONFIG_GLOBAL".into(), file));
            }
        }
        variables.push(("GIT_CONFIG_COUNT".into(), settings.len().to_string()));
        for (index, (name, value)) in settings.into_iter().enumerate() {
            variables.push((format!("GIT_CONFIG_KEY_{index}"), name));
            variables.push((format!("GIT_CONFIG_VALUE_{index}"), value));
        }
        let mask = Mask::new(secrets.iter().map(String::as_bytes));
        Ok(Self { variables, mask })
    }

    pub(super) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// Git's words on one line, without the credentials.
    pub(super) fn without_secrets(&self, said: &[u8]) -> String {
        one_line(&String::from_utf8_lossy(&self.mask.whole(said)))
    }
}

fn fixed(policy: &FetchPolicy, request: &Checked, places: Places<'_>) -> Vec<(String, String)> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let scheme = match request.transport {
        Transport::Https { .. } => "https",
        Transport::Ssh { .. } => "ssh",
        Transport::File { .. } => "file",
    };
    let mut variables = Environment::bare(policy).variables;
    variables.retain(|(name, _)| name != "HOME");
    let more = [
        ("HOME", text(places.home)),
        ("GIT_DIR", text(&places.home.join(GIT_DIR))),
        ("GIT_WORK_TREE", text(places.target)),
        ("GIT_TERMINAL_PROMPT", "0".to_owned()),
        ("GIT_ALLOW_PROTOCOL", scheme.to_owned()),
        ("GIT_PROTOCOL_FROM_USER", "0".to_owned()),
        ("GIT_NO_LAZY_FETCH", "1".to_owned()),
        ("GIT_LFS_SKIP_SMUDGE", "1".to_owned()),
    ];
    variables.extend(more.map(|(name, value)| (name.to_owned(), value)));
    variables
}

/// Git hears of a proxy only where one is on this way: its own reading of exceptions is not ours.
fn proxy_and_ca(proxy: Option<&Proxy>, policy: &FetchPolicy) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    if let Some(proxy) = proxy {
        let url = proxy.url().expose().to_owned();
        variables.push(("https_proxy".to_owned(), url));
    }
    if let Some(file) = &policy.ca_file {
        let file = file.to_string_lossy().into_owned();
        // A proxy may itself speak TLS, with a certificate of the same CA.
        variables.push(("GIT_PROXY_SSL_CAINFO".to_owned(), file.clone()));
        variables.push(("GIT_SSL_CAINFO".to_owned(), file));
    }
    variables
}

fn authorization(credentials: &GitCredentials) -> String {
    let pair = format!("{}:{}", credentials.username, credentials.password.expose());
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Authorization: Basic {encoded}")
}

fn bracketed(address: &std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(v4) => v4.to_string(),
        std::net::IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// A shell reads this; every part is quoted, and the host is of letters, digits, dots and dashes.
fn ssh_command(policy: &FetchPolicy, host: &str, port: u16, pinned: &Pinned) -> io::Result<String> {
    let known = policy
        .known_hosts
        .as_deref()
        .unwrap_or(Path::new("/dev/null"));
    let alias = match port {
        22 => host.to_owned(),
        other => format!("[{host}]:{other}"),
    };
    let mut options = vec![
        "BatchMode=yes".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        format!("UserKnownHostsFile={}", plain(known)?),
        "ForwardAgent=no".to_owned(),
        "ForwardX11=no".to_owned(),
        "PermitLocalCommand=no".to_owned(),
        "ProxyCommand=none".to_owned(),
        "ConnectTimeout=30".to_owned(),
        "IdentityAgent=none".to_owned(),
        format!("HostKeyAlias={alias}"),
    ];
    if let Pinned::To(addresses) = pinned
        && let Some(address) = addresses.first()
    {
        options.push(format!("HostName={address}"));
    }
    if let Some(identity) = &policy.ssh_identity {
        options.push("IdentitiesOnly=yes".to_owned());
        options.push(format!("IdentityFile={}", plain(identity)?));
    }
    let options: Vec<String> = options
        .iter()
        .map(|option| format!("-o '{option}'"))
        .collect();
    Ok(format!("ssh -F none {}", options.join(" ")))
}

/// A path that needs no quoting in ssh's own syntax either.
fn plain(path: &Path) -> io::Result<&str> {
    let fine = |text: &&str| {
        !text.contains(['\'', '"', '\\', '%', '~', '$']) && !text.contains(char::is_whitespace)
    };
    path.to_str().filter(fine).ok_or_else(|| {
        let rule = format!(
            "`{}` has characters that ssh would interpret",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidInput, rule)
    })
}

/// The one repository whose owner may be somebody else. Git drops settings from the environment when it starts
/// the other side of a `file` fetch, so it has to be a file; it holds no secret.
fn trust(path: &Path) -> String {
    let quoted = |path: &Path| {
        let text = path
            .to_string_lossy()
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        format!("\tdirectory = \"{text}\"\n")
    };
    format!("[safe]\n{}{}", quoted(path), quoted(&path.join(".git")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ssh_command_is_quoted_and_pinned() {
        let policy = FetchPolicy {
            known_hosts: Some("/etc/gantry/known_hosts".into()),
            ..crate::source::tests::policy()
        };
        let pinned = Pinned::To(vec!["10.1.2.3".parse().expect("address")]);
        let command = ssh_command(&policy, "git.example.com", 2222, &pinned).expect("command");
        assert!(
            command.starts_with("ssh -F none -o 'BatchMode=yes'"),
            "{command}"
        );
        for part in [
            "'HostKeyAlias=[git.example.com]:2222'",
            "'HostName=10.1.2.3'",
            "'StrictHostKeyChecking=yes'",
            "'UserKnownHostsFile=/etc/gantry/known_hosts'",
        ] {
            assert!(command.contains(part), "{part} in {command}");
        }
        let odd = FetchPolicy {
            known_hosts: Some("/etc/it's".into()),
            ..policy
        };
        assert!(ssh_command(&odd, "h.example", 22, &pinned).is_err());
    }
}
