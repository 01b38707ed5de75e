//! Which paths differ between two commits.
//!
//! Takes two hashes, fetches their trees without files where the host can leave those out, compares them. Never: a list
//! that is cut off taken for a whole one.

use super::file::TIME_LIMIT;
use super::url::shown;
use super::{MAX_KEPT, ProbeError, SourceUrl, Sources, is_full_hash};

impl Sources {
    /// Every path that differs between the two commits; nothing if there are too many to tell.
    ///
    /// # Errors
    /// When the host does not serve one of them, sends too much, or does not answer in time.
    pub async fn changed(
        &self,
        url: &SourceUrl,
        from: &str,
        to: &str,
    ) -> Result<Option<Vec<String>>, ProbeError> {
        let unknown = |answer: String| ProbeError::Changes {
            url: shown(url),
            from: from.chars().take(64).collect(),
            to: to.chars().take(64).collect(),
            answer,
        };
        if !is_full_hash(from) || !is_full_hash(to) || from.len() != to.len() {
            return Err(unknown("these are no two commits".to_owned()));
        }
        let scratch = self.scratch(to).await?;
        let work = async {
            for hash in [from, to] {
                let how = ["--depth=1", "--filter=blob:none"];
                scratch.fetch(url, &how, hash).await?;
            }
            let words = [
                "diff-tree",
                "-r",
                "-z",
                "--name-only",
                "--no-renames",
                from,
                to,
            ];
            scratch.git(None, &words).await
        };
        let said = match tokio::time::timeout(TIME_LIMIT, work).await {
            Ok(said) => said.map_err(unknown)?,
            Err(_) => return Err(unknown("no answer in time".to_owned())),
        };
        if said.len() >= MAX_KEPT {
            return Ok(None);
        }
        let names = said
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty());
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        Ok(Some(names.map(text).collect()))
    }
}

#[cfg(test)]
mod tests {
    use crate::vcs_probe::testing::{git, sources};

    #[tokio::test]
    async fn paths_between_two_commits_of_a_real_repository() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir_all(repo.join("infra")).unwrap();
        git(&repo, &["init", "-q"]);
        let commit = |message: &str| {
            git(&repo, &["add", "-A"]);
            git(&repo, &["commit", "-q", "--allow-empty", "-m", message]);
            git(&repo, &["rev-parse", "HEAD"])
        };
        std::fs::write(repo.join("infra/a b.tf"), "1").unwrap();
        std::fs::write(repo.join("same"), "1").unwrap();
        let first = commit("one");
        std::fs::rename(repo.join("infra/a b.tf"), repo.join("infra/ü.tf")).unwrap();
        let second = commit("two");
        let third = commit("empty");
        for number in 0..6_000 {
            std::fs::write(repo.join(format!("file-{number:05}")), "1").unwrap();
        }
        let many = commit("many");
        let sources = sources(dir.path());
        let url = sources
            .check(&format!("file://{}", repo.display()))
            .unwrap();
        for filtered in ["true", "false"] {
            git(&repo, &["config", "uploadpack.allowFilter", filtered]);
            let found = sources.changed(&url, &first, &third).await.unwrap();
            assert_eq!(found.unwrap(), ["infra/a b.tf", "infra/ü.tf"]);
            let found = sources.changed(&url, &second, &third).await.unwrap();
            assert_eq!(found.unwrap(), [""; 0]);
            assert_eq!(sources.changed(&url, &third, &many).await.unwrap(), None);
        }
        let missing = "a".repeat(40);
        let error = sources.changed(&url, &missing, &first).await.unwrap_err();
        assert!(error.to_string().contains(&missing), "{error}");
        assert!(sources.changed(&url, "--output=x", &first).await.is_err());
    }
}
