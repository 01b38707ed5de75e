//! Which files of a directory are sent for a preview, and the archive of them.
//!
//! Takes a directory and rules, gives names by way of git, which knows how files are left out. Never: a file that a rule
//! leaves out, git's own directory, or the tool's working directory.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Directories whose content is never sent.
const NEVER: [&str; 2] = [".git", ".terraform"];

/// Deepest repository within a repository.
const MAX_NESTED: usize = 16;

/// What is sent.
#[derive(Debug)]
pub struct Rules {
    /// Where names count from.
    pub root: PathBuf,
    /// Only files below this directory, relative to the root; empty is all.
    pub below: PathBuf,
    /// Whether `.gitignore` counts; `.terraformignore` always does.
    pub gitignore: bool,
}

/// The root of the repository around a directory, or the directory itself.
pub fn repository_root(directory: &Path) -> PathBuf {
    let found = directory
        .ancestors()
        .find(|above| above.join(".git").exists());
    found.unwrap_or(directory).to_owned()
}

/// Names of the files and links to send, from the root.
///
/// # Errors
/// When git is missing or fails.
pub fn listed(rules: &Rules) -> anyhow::Result<BTreeSet<PathBuf>> {
    // A repository of its own that tracks nothing: every file is looked at by the rules alone.
    let empty = tempfile::tempdir().context("no temporary directory can be made")?;
    git(empty.path(), &["init", "--quiet", "--template=", "."])?;
    let listing = Listing {
        git_dir: empty.path().join(".git"),
        rules,
    };
    let mut files = listing.by(".terraformignore", &rules.root, 0)?;
    if rules.gitignore {
        let kept = listing.by(".gitignore", &rules.root, 0)?;
        files.retain(|file| kept.contains(file));
    }
    files.retain(|file| file.starts_with(&rules.below) && !is_never_sent(file));
    Ok(files)
}

fn is_never_sent(file: &Path) -> bool {
    file.components()
        .any(|part| NEVER.iter().any(|never| part.as_os_str() == *never))
}

struct Listing<'a> {
    git_dir: PathBuf,
    rules: &'a Rules,
}

impl Listing<'_> {
    /// What the ignore files of one name leave.
    fn by(&self, name: &str, tree: &Path, depth: usize) -> anyhow::Result<BTreeSet<PathBuf>> {
        ensure!(
            depth <= MAX_NESTED,
            "`{}` is nested too deep",
            tree.display()
        );
        let per_directory = format!("--exclude-per-directory={name}");
        let (git_dir, tree_text) = (
            argument("--git-dir=", &self.git_dir),
            argument("--work-tree=", tree),
        );
        let mut command = Command::new("git");
        command.args([git_dir, tree_text]);
        command.args([
            "ls-files",
            "-z",
            "--others",
            "--exclude=.terraform/",
            &per_directory,
        ]);
        let listed = run(&mut command, tree)?;
        let mut files = BTreeSet::new();
        for found in listed
            .split(|byte| *byte == 0)
            .filter(|found| !found.is_empty())
        {
            let path = tree.join(OsStr::from_bytes(found));
            if found.ends_with(b"/") {
                // A repository within: git only names it.
                files.extend(self.by(name, &path, depth + 1)?);
            } else if let Ok(file) = path.strip_prefix(&self.rules.root) {
                files.insert(file.to_owned());
            }
        }
        Ok(files)
    }
}

fn argument(name: &str, path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(name);
    argument.push(path);
    argument
}

fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    run(Command::new("git").args(arguments), directory)
}

fn run(command: &mut Command, directory: &Path) -> anyhow::Result<Vec<u8>> {
    let command = command.current_dir(directory);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command.output();
    let output = output.context("`git` can't be started: it finds the files to send")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "git could not list the files in `{}`: {}",
            directory.display(),
            said.trim()
        );
    }
    Ok(output.stdout)
}

/// Packs the files below one directory of the given name; gives the archive, at its beginning, and its length.
///
/// # Errors
/// When a file can't be read or the disk is full.
pub fn packed(rules: &Rules, files: &BTreeSet<PathBuf>, top: &str) -> anyhow::Result<(File, u64)> {
    let file = tempfile::tempfile().context("no temporary file can be made")?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    archive.follow_symlinks(false);
    for name in files {
        let path = rules.root.join(name);
        let added = archive.append_path_with_name(&path, Path::new(top).join(name));
        added.with_context(|| format!("`{}` can't be packed", path.display()))?;
    }
    let finish = || -> io::Result<(File, u64)> {
        let mut file = archive.into_inner()?.finish()?;
        let length = file.stream_position()?;
        file.rewind()?;
        Ok((file, length))
    };
    finish().context("the archive can't be written")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    fn names(rules: &Rules) -> Vec<String> {
        let files = listed(rules).unwrap();
        let names = files.iter().map(|file| file.to_str().unwrap().to_owned());
        names.collect()
    }

    #[test]
    fn ignore_files_count_at_every_level_whether_files_are_tracked_or_not() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        git(root, &["init", "--quiet"]).unwrap();
        write(
            root,
            &[
                ("main.tf", ""),
                ("ignored.txt", ""),
                ("notes.md", ""),
                (".gitignore", "ignored.txt\n*.log\n"),
                (".terraformignore", "*.md\n"),
                (".terraform/providers/x", ""),
                ("sub/a.tf", ""),
                ("sub/a.log", ""),
                ("sub/.gitignore", "b.tf\n"),
                ("sub/b.tf", ""),
                ("sub/.terraform/x", ""),
                ("nested/.git/HEAD", "ref: refs/heads/main\n"),
                ("nested/c.tf", ""),
            ],
        );
        git(root, &["add", "--force", "ignored.txt"]).unwrap();
        let mut rules = Rules {
            root: root.to_owned(),
            below: PathBuf::new(),
            gitignore: true,
        };
        let kept = [
            ".gitignore",
            ".terraformignore",
            "main.tf",
            "nested/c.tf",
            "sub/.gitignore",
            "sub/a.tf",
        ];
        assert_eq!(names(&rules), kept);
        rules.below = "sub".into();
        assert_eq!(names(&rules), ["sub/.gitignore", "sub/a.tf"]);
        rules.gitignore = false;
        assert_eq!(
            names(&rules),
            ["sub/.gitignore", "sub/a.log", "sub/a.tf", "sub/b.tf"]
        );
        assert_eq!(repository_root(&root.join("sub")), root);
    }

    #[test]
    fn an_archive_has_one_top_and_keeps_links() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("tree");
        write(&root, &[("a/b.tf", "x")]);
        std::os::unix::fs::symlink("a/b.tf", root.join("link")).unwrap();
        let rules = Rules {
            root,
            below: PathBuf::new(),
            gitignore: true,
        };
        let (file, length) = packed(&rules, &listed(&rules).unwrap(), "WS1").unwrap();
        assert_eq!(file.metadata().unwrap().len(), length);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let entries = archive.entries().unwrap();
        let found: Vec<_> = entries
            .map(|entry| {
                let entry = entry.unwrap();
                let kind = entry.header().entry_type();
                (entry.path().unwrap().display().to_string(), kind)
            })
            .collect();
        let expected = [
            ("WS1/a/b.tf".to_owned(), tar::EntryType::Regular),
            ("WS1/link".to_owned(), tar::EntryType::Symlink),
        ];
        assert_eq!(found, expected);
    }
}
