//! A bare Git repository and the commits that a test makes in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::find_program;
use crate::server::output;

/// A repository that stacks reach by a `file://` URL.
#[derive(Clone, Debug)]
pub struct Repo {
    bare: PathBuf,
    work: PathBuf,
}

impl Repo {
    pub(crate) fn create(repos: &Path, work: &Path, name: &str) -> Self {
        let (bare, work) = (repos.join(format!("{name}.git")), work.join(name));
        fs::create_dir_all(&work).expect("make the work tree");
        git(
            repos,
            &[
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                text(&bare),
            ],
        );
        git(&work, &["init", "--quiet", "--initial-branch=main"]);
        git(&work, &["remote", "add", "origin", text(&bare)]);
        Self { bare, work }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    /// The work tree, for what [`Repo::commit`] can't write.
    pub fn work_tree(&self) -> &Path {
        &self.work
    }

    /// Writes files, commits and pushes; gives the commit's hash.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            let path = self.work.join(name);
            fs::create_dir_all(path.parent().expect("a file in the work tree"))
                .expect("make a directory");
            fs::write(path, content).expect("write a file of the repository");
        }
        git(&self.work, &["add", "--all"]);
        git(&self.work, &["commit", "--quiet", "--message", "A change"]);
        git(&self.work, &["push", "--quiet", "origin", "HEAD:main"]);
        git(&self.work, &["rev-parse", "HEAD"]).trim().to_owned()
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new(find_program("git", "git"));
    command.arg("-C").arg(dir).args(args).env_clear();
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "It")
            .env(format!("GIT_{role}_EMAIL"), "it@example.org");
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    String::from_utf8(output(&mut command)).expect("git prints text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}
