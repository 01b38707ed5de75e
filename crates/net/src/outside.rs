//! How a process reaches what is outside: its proxies, and the CAs that its operator adds.
//!
//! Takes the variables that every component reads, gives the one value that every client is made with. Never: a mistake
//! that is passed over, a password in a mistake.

use std::fmt::Display;
use std::path::Path;

use crate::added::{ADDITIONAL_ROOT_CAS, parse_added, read_file};
use crate::client::NamedPem;
use crate::proxy::Proxies;

/// Comma list of files with CAs, read at start.
pub const CA_FILES: &str = "GANTRY_CA_FILES";

/// A variable that can't be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {what}")]
pub struct Mistake {
    /// Its name.
    pub variable: String,
    /// Why; of a value that may hold a password, without it.
    pub what: String,
}

impl Mistake {
    /// A mistake of one variable.
    pub fn new(variable: &str, what: impl Display) -> Self {
        Self {
            variable: variable.to_owned(),
            what: what.to_string(),
        }
    }
}

/// Proxies and added CAs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// The proxies.
    pub proxies: Proxies,
    /// CAs to trust besides the bundled and the host's.
    pub roots: Vec<NamedPem>,
}

impl Outside {
    /// Reads the variables of `get`: proxies, `ADDITIONAL_ROOT_CAS`, and the files that `GANTRY_CA_FILES` names.
    ///
    /// # Errors
    /// Every mistake.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut wrong = Vec::new();
        let proxies = Proxies::read(get, &mut wrong);
        let mut roots = Vec::new();
        if let Some(text) = get(ADDITIONAL_ROOT_CAS).filter(|text| !text.trim().is_empty()) {
            match parse_added(&text) {
                Ok(added) => roots.extend(added),
                Err(error) => wrong.push(Mistake::new(ADDITIONAL_ROOT_CAS, line(&error))),
            }
        }
        let files = get(CA_FILES).unwrap_or_default();
        let files = files.split(',').map(str::trim);
        for file in files.filter(|file| !file.is_empty()) {
            match from_file(file) {
                Ok(root) => roots.push(root),
                Err(what) => wrong.push(Mistake::new(CA_FILES, what)),
            }
        }
        match wrong.is_empty() {
            true => Ok(Self { proxies, roots }),
            false => Err(wrong),
        }
    }
}

fn from_file(file: &str) -> Result<NamedPem, String> {
    let path = Path::new(file);
    if !path.is_absolute() {
        return Err(format!("`{file}` is not an absolute path"));
    }
    let content = std::fs::read(path);
    let content = content.map_err(|error| format!("could not read `{file}`: {error}"))?;
    read_file(file, &content).map_err(|error| line(&error))
}

/// An error with its causes.
fn line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cas_come_from_the_variable_and_from_files() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["ca.example".into()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, &pem).unwrap();
        let (good, empty) = (file.display().to_string(), dir.path().join("none"));
        let named = NamedPem {
            origin: "x".into(),
            pem: pem.into_bytes(),
        };
        let added = crate::added::write_added(&[named]);
        let read = |files: String, added: &str| {
            let added = added.to_owned();
            Outside::read(&move |name| match name {
                CA_FILES => Some(files.clone()),
                ADDITIONAL_ROOT_CAS => Some(added.clone()),
                _ => None,
            })
        };
        assert_eq!(read(good.clone(), &added).unwrap().roots.len(), 2);
        let wrong = read(format!("ca.pem,{}", empty.display()), "%%").unwrap_err();
        let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(told[0], "ADDITIONAL_ROOT_CAS: is not base64");
        assert_eq!(told[1], "GANTRY_CA_FILES: `ca.pem` is not an absolute path");
        assert!(
            told[2].starts_with("GANTRY_CA_FILES: could not read `"),
            "{told:?}"
        );
    }
}
