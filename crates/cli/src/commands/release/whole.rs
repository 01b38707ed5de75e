//! A directory of files as one release: signed, and verified.
//!
//! Takes a directory and keys, gives `release.jws` in it, or what of it is as signed. Never: a release with a file of a name
//! that a shell or another file system could take for something else, and never a good word for a file that nothing names.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use gantry_protocol::Digest;
use gantry_protocol::control::manifest::{RELEASE, ReleaseFile, ReleaseManifest};
use gantry_protocol::crypto::jws::{sign_ed, verify_ed};
use gantry_protocol::crypto::{EdKey, EdPublic};
use semver::Version;
use serde::Serialize;

use crate::printer::Row;

/// The signed manifest's name inside of a release.
pub const MANIFEST: &str = "release.jws";

/// What a file of a release turned out to be.
#[derive(Debug, Serialize)]
pub struct Found {
    #[serde(flatten)]
    file: ReleaseFile,
    present: bool,
}

impl Row for Found {
    const HEADINGS: &'static [&'static str] = &["FILE", "ARCH", "BYTES", "VERIFIED"];

    fn cells(&self) -> Vec<String> {
        let verified = if self.present { "yes" } else { "absent" };
        let file = &self.file;
        vec![
            file.name.clone(),
            file.arch.clone(),
            file.size.to_string(),
            verified.to_owned(),
        ]
    }
}

/// Signs every file of `dir` under one version, and writes [`MANIFEST`] beside them.
pub fn seal(dir: &Path, release: &str, commit: &str, key: &EdKey) -> anyhow::Result<usize> {
    Version::parse(release)
        .with_context(|| format!("`{release}` is not a semantic version (such as 1.2.3)"))?;
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    ensure!(
        commit.len() == 40 && commit.chars().all(hex),
        "`{commit}` is not a commit: expected 40 hex digits"
    );
    let files = names(dir)?.into_iter().map(|name| describe(dir, name));
    let files = files.collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(!files.is_empty(), "`{}` holds no file", dir.display());
    let count = files.len();
    let manifest = ReleaseManifest {
        product: RELEASE.to_owned(),
        version: release.to_owned(),
        commit: commit.to_owned(),
        files,
    };
    let signed = sign_ed(&manifest, key).context("cannot sign the release")?;
    super::write(&dir.join(MANIFEST), &signed)?;
    Ok(count)
}

/// Reads the release in `dir`: signed by one of `trust`, every file as signed. Absent files are an error unless `partial`.
pub fn verify(
    dir: &Path,
    trust: &[EdPublic],
    partial: bool,
) -> anyhow::Result<(ReleaseManifest, Vec<Found>)> {
    let path = dir.join(MANIFEST);
    let text = fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read `{}`", path.display()))?;
    let manifest: ReleaseManifest = verify_ed(text.trim_end(), trust)
        .with_context(|| format!("`{}` is not trusted", path.display()))?;
    ensure!(
        manifest.product == RELEASE,
        "`{}` is about `{}`, not about `{RELEASE}`",
        path.display(),
        manifest.product
    );
    let mut here: BTreeSet<_> = names(dir)?.into_iter().collect();
    let mut found = Vec::new();
    for file in &manifest.files {
        let present = here.remove(&file.name);
        if present {
            same(file, &describe(dir, file.name.clone())?)?;
        } else if !partial {
            bail!(
                "`{}` is missing (--partial lets files be absent)",
                file.name
            );
        }
        let file = file.clone();
        found.push(Found { file, present });
    }
    if let Some(name) = here.into_iter().next() {
        bail!("`{name}` is in the directory but not part of the release");
    }
    Ok((manifest, found))
}

fn same(named: &ReleaseFile, found: &ReleaseFile) -> anyhow::Result<()> {
    let name = &named.name;
    ensure!(
        named.size == found.size,
        "`{name}` has {} bytes, the release names {}",
        found.size,
        named.size
    );
    ensure!(
        named.sha256 == found.sha256,
        "`{name}` has digest {}, the release names {}",
        found.sha256,
        named.sha256
    );
    Ok(())
}

/// Names of the files in `dir` but the manifest's, in order.
fn names(dir: &Path) -> anyhow::Result<Vec<String>> {
    let listed = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    };
    let listed = listed().with_context(|| format!("cannot read `{}`", dir.display()))?;
    let mut names = Vec::new();
    for path in listed {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.filter(|name| is_plain(name));
        let name = name.with_context(|| {
            format!(
                "`{}` can't be part of a release: names are letters, digits and `._+~-`, and begin with a letter or digit",
                path.display()
            )
        })?;
        let kind = fs::symlink_metadata(&path);
        let kind = kind.with_context(|| format!("cannot read `{}`", path.display()))?;
        ensure!(
            kind.is_file(),
            "`{}` can't be part of a release: it is no regular file",
            path.display()
        );
        if name != MANIFEST {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._+~-".contains(c))
}

fn describe(dir: &Path, name: String) -> anyhow::Result<ReleaseFile> {
    let path = dir.join(&name);
    let content = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(ReleaseFile {
        arch: arch(&name).to_owned(),
        name,
        size: content.len() as u64,
        sha256: Digest::of(&content),
    })
}

/// The architecture that a file's name tells, in either of the two ways of writing it.
fn arch(name: &str) -> &'static str {
    let has = |words: [&str; 2]| words.iter().any(|word| name.contains(word));
    match (has(["x86_64", "amd64"]), has(["aarch64", "arm64"])) {
        (true, false) => "x86_64",
        (false, true) => "aarch64",
        _ => "any",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    /// A sealed release of two files, and its key.
    fn release() -> (tempfile::TempDir, EdKey) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a-1.0.0-x86_64.tar.gz"), "first").unwrap();
        fs::write(dir.path().join("b_1.0.0_arm64.deb"), "second").unwrap();
        let key = EdKey::generate();
        assert_eq!(seal(dir.path(), "1.0.0", COMMIT, &key).unwrap(), 2);
        (dir, key)
    }

    fn refused(dir: &Path, trust: &EdKey) -> String {
        format!("{:#}", verify(dir, &[trust.public()], false).unwrap_err())
    }

    #[test]
    fn a_sealed_directory_is_verified_file_by_file() {
        let (dir, key) = release();
        let (manifest, found) = verify(dir.path(), &[key.public()], false).unwrap();
        assert_eq!(
            (manifest.version.as_str(), manifest.commit.as_str()),
            ("1.0.0", COMMIT)
        );
        let found: Vec<_> = found.iter().map(Row::cells).collect();
        assert_eq!(found[0], ["a-1.0.0-x86_64.tar.gz", "x86_64", "5", "yes"]);
        assert_eq!(found[1], ["b_1.0.0_arm64.deb", "aarch64", "6", "yes"]);
        // Sealing again is the same again: the manifest is no part of what it names.
        let before = fs::read(dir.path().join(MANIFEST)).unwrap();
        seal(dir.path(), "1.0.0", COMMIT, &key).unwrap();
        assert_eq!(fs::read(dir.path().join(MANIFEST)).unwrap(), before);
    }

    #[test]
    fn each_way_of_being_wrong_is_told() {
        let (dir, key) = release();
        let file = dir.path().join("b_1.0.0_arm64.deb");
        assert!(refused(dir.path(), &EdKey::generate()).contains("not trusted"));
        fs::write(&file, "secand").unwrap();
        assert!(refused(dir.path(), &key).contains("has digest"));
        fs::write(&file, "sec").unwrap();
        assert!(refused(dir.path(), &key).contains("has 3 bytes"));
        fs::remove_file(&file).unwrap();
        assert!(refused(dir.path(), &key).contains("is missing"));
        let (_, found) = verify(dir.path(), &[key.public()], true).unwrap();
        assert_eq!(found[1].cells()[3], "absent");
        fs::write(dir.path().join("stranger"), "x").unwrap();
        fs::write(&file, "second").unwrap();
        assert!(refused(dir.path(), &key).contains("not part of the release"));
    }

    #[test]
    fn what_can_not_be_named_is_not_sealed() {
        let key = EdKey::generate();
        for name in ["a b", "-rf", ".hidden", "a\nb", "a`b", "ü"] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(name), "x").unwrap();
            assert!(seal(dir.path(), "1.0.0", COMMIT, &key).is_err(), "{name}");
        }
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hosts", dir.path().join("link")).unwrap();
        assert!(seal(dir.path(), "1.0.0", COMMIT, &key).is_err());
        let (dir, key) = release();
        for (version, commit) in [("1.0", COMMIT), ("1.0.0", "main"), ("v1.0.0", COMMIT)] {
            assert!(seal(dir.path(), version, commit, &key).is_err());
        }
    }
}
