//! Where tools come from: the publishers, a base URL, or a directory.
//!
//! Takes a tool's name and a file's, gives bytes within bounds. Never: clear text beyond this host, a redirect
//! that leaves https or that nobody counted, credentials sent along.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use gantry_net::egress::LauncherPurpose;
use gantry_net::{ClientError, ClientOptions, Outside};
use gantry_protocol::payload::ToolKind;
use reqwest::{Response, StatusCode, Url};
use tokio::io::AsyncReadExt as _;

use super::name::ToolName;

/// Redirects that are followed: releases are often kept on another host.
const REDIRECTS: usize = 5;

/// Longest silence of a mirror.
const SILENCE: Duration = Duration::from_secs(60);

/// Longest time of one file.
const WHOLE: Duration = Duration::from_secs(15 * 60);

/// Where tools come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// `releases.hashicorp.com` and OpenTofu's releases on GitHub.
    Publishers,
    /// A base URL.
    Url(Url),
    /// An absolute directory.
    Directory(PathBuf),
}

impl Mirror {
    /// Reads a setting.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rule = "expected an absolute directory or an https base URL without credentials, query and fragment";
        if text.starts_with('/') {
            return Ok(Self::Directory(PathBuf::from(text)));
        }
        let url = Url::parse(text).map_err(|_| rule)?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        match plain && gantry_net::require_https_unless_loopback(&url).is_ok() {
            true => Ok(Self::Url(url)),
            false => Err(rule),
        }
    }

    fn place(&self, name: &ToolName, file: &str) -> Place {
        let base = match self {
            Self::Directory(root) => return Place::File(root.join(name.directory()).join(file)),
            Self::Url(base) => format!(
                "{}/{}",
                base.as_str().trim_end_matches('/'),
                name.directory()
            ),
            Self::Publishers => match name.kind() {
                ToolKind::Terraform => {
                    format!("https://releases.hashicorp.com/{}", name.directory())
                }
                ToolKind::OpenTofu => format!(
                    "https://github.com/opentofu/opentofu/releases/download/v{}",
                    name.version()
                ),
            },
        };
        let url = Url::parse(&format!("{base}/{file}"));
        Place::Url(url.expect("invariant: a checked base and plain names make a URL"))
    }
}

enum Place {
    Url(Url),
    File(PathBuf),
}

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not there.
    #[error(
        "`{place}` does not exist: the mirror has no such version, or not for this architecture"
    )]
    Absent {
        /// URL or path.
        place: String,
    },
    /// The mirror said something else.
    #[error("`{place}` answered {status}")]
    Status {
        /// URL.
        place: String,
        /// HTTP status.
        status: u16,
    },
    /// No answer, or it broke.
    #[error("`{place}` can't be reached")]
    Unreachable {
        /// URL.
        place: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It leads elsewhere, and not there.
    #[error("`{place}` redirects {rule}")]
    Redirect {
        /// URL.
        place: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// The URL may not be spoken to.
    #[error("`{place}` can't be fetched")]
    Client {
        /// URL.
        place: String,
        /// Why.
        source: ClientError,
    },
    /// More than there may be.
    #[error("`{place}` is larger than {limit} bytes")]
    TooLarge {
        /// URL or path.
        place: String,
        /// The bound.
        limit: u64,
    },
    /// The disk.
    #[error("`{place}` could not be read or kept")]
    Disk {
        /// URL or path.
        place: String,
        /// Why.
        source: io::Error,
    },
}

/// Fetches files of a mirror.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    pub(super) mirror: Mirror,
    pub(super) outside: Outside,
}

impl Fetcher {
    /// A small file.
    pub(super) async fn bytes(
        &self,
        name: &ToolName,
        file: &str,
        limit: u64,
    ) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::new();
        self.each(name, file, limit, |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })
        .await?;
        Ok(bytes)
    }

    /// A file of at most `limit` bytes, piece by piece.
    pub(super) async fn each(
        &self,
        name: &ToolName,
        file: &str,
        limit: u64,
        sink: impl FnMut(&[u8]) -> io::Result<()> + Send,
    ) -> Result<(), FetchError> {
        match self.mirror.place(name, file) {
            Place::File(path) => off_disk(path, limit, sink).await,
            Place::Url(url) => {
                let place = url.to_string();
                let all = self.over_web(url, limit, sink);
                match tokio::time::timeout(WHOLE, all).await {
                    Ok(done) => done,
                    Err(_) => Err(FetchError::Disk {
                        place,
                        source: io::ErrorKind::TimedOut.into(),
                    }),
                }
            }
        }
    }

    async fn over_web(
        &self,
        url: Url,
        limit: u64,
        mut sink: impl FnMut(&[u8]) -> io::Result<()> + Send,
    ) -> Result<(), FetchError> {
        let place = url.to_string();
        let mut response = self.answer(url).await?;
        let mut left = limit;
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|source| unreachable(&place, source))?;
            let Some(chunk) = chunk else { return Ok(()) };
            left = match left.checked_sub(chunk.len() as u64) {
                Some(left) => left,
                None => return Err(FetchError::TooLarge { place, limit }),
            };
            sink(&chunk).map_err(|source| FetchError::Disk {
                place: place.clone(),
                source,
            })?;
        }
    }

    /// The answer at the end of all redirects.
    async fn answer(&self, mut url: Url) -> Result<Response, FetchError> {
        for _ in 0..=REDIRECTS {
            let place = url.to_string();
            let client = self.client(&url)?;
            let response = client.get(url.clone()).send().await;
            let response = response.map_err(|source| unreachable(&place, source))?;
            match response.status() {
                status if status.is_redirection() => url = next(&url, &response)?,
                StatusCode::NOT_FOUND => return Err(FetchError::Absent { place }),
                status if status.is_success() => return Ok(response),
                status => {
                    return Err(FetchError::Status {
                        place,
                        status: status.as_u16(),
                    });
                }
            }
        }
        Err(FetchError::Redirect {
            place: url.to_string(),
            rule: "too often",
        })
    }

    fn client(&self, url: &Url) -> Result<reqwest::Client, FetchError> {
        let agent = concat!("gantry-launcher/", env!("CARGO_PKG_VERSION"));
        let options = ClientOptions::new(LauncherPurpose::Tools, agent, &self.outside);
        let builder = gantry_net::client_builder(url, &options);
        let builder = builder.map_err(|source| FetchError::Client {
            place: url.to_string(),
            source,
        })?;
        let client = builder.read_timeout(SILENCE).build();
        Ok(client.expect("invariant: a builder with its own TLS configuration builds"))
    }
}

/// Where a redirect leads.
fn next(from: &Url, response: &Response) -> Result<Url, FetchError> {
    let refuse = |rule| FetchError::Redirect {
        place: from.to_string(),
        rule,
    };
    let target = response.headers().get(reqwest::header::LOCATION);
    let target = target.and_then(|target| target.to_str().ok());
    let target = target.and_then(|target| from.join(target).ok());
    let target = target.ok_or_else(|| refuse("to nowhere"))?;
    if target.scheme() != "https" && target.scheme() != from.scheme() {
        return Err(refuse("to a place without https"));
    }
    if !target.username().is_empty() || target.password().is_some() {
        return Err(refuse("to a place with credentials in its URL"));
    }
    Ok(target)
}

fn unreachable(place: &str, source: reqwest::Error) -> FetchError {
    FetchError::Unreachable {
        place: place.to_owned(),
        source: source.without_url(),
    }
}

async fn off_disk(
    path: PathBuf,
    limit: u64,
    mut sink: impl FnMut(&[u8]) -> io::Result<()> + Send,
) -> Result<(), FetchError> {
    let place = path.display().to_string();
    let disk = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => FetchError::Absent {
            place: place.clone(),
        },
        _ => FetchError::Disk {
            place: place.clone(),
            source,
        },
    };
    let file = tokio::fs::File::open(&path).await.map_err(disk)?;
    let mut file = file.take(limit + 1);
    let (mut buffer, mut read) = (vec![0; 256 << 10], 0);
    loop {
        let length = file.read(&mut buffer).await.map_err(disk)?;
        read += length as u64;
        if read > limit {
            return Err(FetchError::TooLarge { place, limit });
        }
        match length {
            0 => return Ok(()),
            length => sink(&buffer[..length]).map_err(disk)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        for good in [
            "/srv/tools",
            "https://mirror.example.org/a/",
            "http://127.0.0.1:8080",
        ] {
            assert!(Mirror::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "srv/tools",
            "http://mirror.example.org",
            "ftp://mirror.example.org",
            "https://user:pw@mirror.example.org",
            "https://mirror.example.org/?a=b",
        ] {
            assert!(Mirror::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn places() {
        let tofu = ToolName::parse(ToolKind::OpenTofu, "1.10.6").unwrap();
        let terraform = ToolName::parse(ToolKind::Terraform, "1.9.8").unwrap();
        let shown = |mirror: &str, name: &ToolName| {
            let mirror = match mirror {
                "" => Mirror::Publishers,
                text => Mirror::parse(text).unwrap(),
            };
            match mirror.place(name, "f") {
                Place::Url(url) => url.to_string(),
                Place::File(path) => path.display().to_string(),
            }
        };
        let rows = [
            (
                "",
                &terraform,
                "https://releases.hashicorp.com/terraform/1.9.8/f",
            ),
            (
                "",
                &tofu,
                "https://github.com/opentofu/opentofu/releases/download/v1.10.6/f",
            ),
            (
                "https://m.example/x/",
                &tofu,
                "https://m.example/x/opentofu/v1.10.6/f",
            ),
            (
                "https://m.example",
                &terraform,
                "https://m.example/terraform/1.9.8/f",
            ),
            ("/srv", &terraform, "/srv/terraform/1.9.8/f"),
        ];
        for (mirror, name, place) in rows {
            assert_eq!(shown(mirror, name), place);
        }
    }
}
