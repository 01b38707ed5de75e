//! Real git against real repositories, honest and hostile.
//!
//! Takes temporary repositories reached by `file` URLs, and checked requests for the rest. Never: the network.

use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use gantry_protocol::payload::GitCredentials;
use gantry_protocol::{Attempt, Secret};

use super::*;
use crate::workspace::{DataDir, RunDirs};

pub(super) fn policy() -> FetchPolicy {
    FetchPolicy {
        owner: Owner::own(),
        path: DEFAULT_PATH.to_owned(),
        file_prefixes: Vec::new(),
        known_hosts: None,
        ssh_identity: None,
        ca_file: None,
        proxies: gantry_net::Proxies::default(),
        private: BTreeMap::new(),
        time: Duration::from_secs(60),
        bounds: Bounds::default(),
    }
}

/// A repository below an allowed prefix, and a run's directories.
struct World {
    temp: tempfile::TempDir,
    dirs: RunDirs,
    owner: Owner,
}

impl World {
    fn new() -> Self {
        let temp = tempfile::tempdir().expect("temp dir");
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o755)).expect("mode");
        let owner = Owner::of_runs(1983, None);
        let data = DataDir::open(&temp.path().join("data"), owner).expect("data");
        let run = "01J8Z3V4T5W6X7Y8Z9A0B1C2D4".parse().expect("valid");
        let dirs = data.create_run(run, Attempt(1)).expect("dirs");
        let world = Self { temp, dirs, owner };
        std::fs::create_dir_all(world.repo()).expect("repo");
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world
    }

    fn repo(&self) -> PathBuf {
        self.temp.path().join("repos/one")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args([
                "-c",
                "protocol.file.allow=always",
                "-c",
                "core.fsmonitor=false",
            ])
            .args(arguments)
            .current_dir(self.repo())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn put(&self, path: &str, content: &str) {
        let path = self.repo().join(path);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("dirs");
        std::fs::write(path, content).expect("file");
    }

    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn policy(&self) -> FetchPolicy {
        FetchPolicy {
            owner: self.owner,
            file_prefixes: vec![self.temp.path().join("repos")],
            ..policy()
        }
    }

    fn url(&self) -> String {
        format!("file://{}", self.repo().display())
    }

    fn source(&self) -> PathBuf {
        self.dirs.workspace().join("source")
    }

    async fn fetch_with(&self, policy: FetchPolicy, commit: &str) -> Result<Fetched, FetchError> {
        let request = Request {
            url: &self.url(),
            repository: "acme/one",
            branch: "main",
            commit,
            credentials: None,
        };
        let places = Places {
            home: &self.dirs.home(),
            target: &self.source(),
        };
        Fetcher::new(policy, nowhere())
            .fetch(&request, places)
            .await
    }

    async fn fetch(&self, commit: &str) -> Result<Fetched, FetchError> {
        self.fetch_with(self.policy(), commit).await
    }
}

fn nowhere() -> Lookup {
    lookup_fn(|host| async move { Err(format!("no address for {host}").into()) })
}

#[tokio::test]
async fn git_is_new_enough() {
    let version = Fetcher::new(policy(), nowhere())
        .check()
        .await
        .expect("a usable git");
    assert!(version.starts_with("git version "));
    assert_eq!(
        parse_version("git version 2.39.5 (Apple Git-154)"),
        Some((2, 39))
    );
    assert_eq!(parse_version("hg"), None);
}

#[tokio::test]
async fn a_commit_is_checked_out_for_the_runs_user_without_history() {
    let world = World::new();
    world.put("main.tf", "first");
    world.put("mod/x.tf", "x");
    let first = world.commit();
    world.put("main.tf", "second");
    world.commit();
    let fetched = world.fetch(&first).await.expect("fetched");
    assert_eq!((fetched.files, fetched.bytes), (2, 6));
    let main = world.source().join("main.tf");
    assert_eq!(std::fs::read_to_string(&main).expect("file"), "first");
    let metadata = main.metadata().expect("metadata");
    assert_eq!(
        (metadata.uid(), metadata.gid()),
        (world.owner.uid, world.owner.gid)
    );
    assert_eq!(
        world.source().metadata().expect("dir").uid(),
        world.owner.uid
    );
    assert!(!world.source().join(".git").exists());
    assert!(!world.dirs.home().join(environment::GIT_DIR).exists());
}

#[tokio::test]
async fn a_commit_off_the_branch_is_found() {
    let world = World::new();
    let base = world.commit();
    world.git(&["checkout", "--quiet", "-b", "other"]);
    world.put("x", "on the other branch");
    let other = world.commit();
    world.git(&["branch", "--force", "main", &base]);
    world.git(&["config", "uploadpack.allowAnySHA1InWant", "false"]);
    // The old protocol hands out advertised tips only: the fallbacks have to find the commit.
    world.put("x", "tip");
    world.commit();
    world.fetch(&other).await.expect("fetched");
    let content = std::fs::read_to_string(world.source().join("x")).expect("file");
    assert_eq!(content, "on the other branch");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let world = World::new();
    world.commit();
    let unknown = "0123456789012345678901234567890123456789";
    let error = world.fetch(unknown).await.expect_err("no such commit");
    assert!(matches!(error, FetchError::UnknownCommit { .. }), "{error}");
    assert!(error.to_string().contains(unknown) && error.to_string().contains("acme/one"));
    std::fs::remove_dir_all(world.repo().join(".git")).expect("removed");
    let again = World::new();
    std::fs::remove_dir_all(again.repo().join(".git")).expect("removed");
    let error = again.fetch(unknown).await.expect_err("no repository");
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_trees_own_commit_is_what_is_asked_for() {
    let world = World::new();
    world.put("x", "x");
    world.commit();
    let tree = world.git(&["rev-parse", "HEAD^{tree}"]);
    let error = world.fetch(&tree).await.expect_err("a tree is no commit");
    assert!(
        matches!(error, FetchError::UnknownCommit { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn nothing_of_the_repository_is_executed_or_followed() {
    let world = World::new();
    let proof = world.temp.path().join("proof");
    std::fs::create_dir(&proof).expect("dir");
    std::fs::set_permissions(&proof, PermissionsExt::from_mode(0o777)).expect("mode");
    let script = format!(
        "#!/bin/sh\ntouch {}/$(basename \"$0\")\ncat\n",
        proof.display()
    );
    world.put(
        ".gitattributes",
        "*.bin filter=evil diff=evil\n*.lfs filter=lfs\n",
    );
    world.put("a.bin", "content");
    world.put("b.lfs", "version https://git-lfs.github.com/spec/v1\n");
    world.put(
        ".gitmodules",
        "[submodule \"s\"]\n\tpath = s\n\turl = ext::sh -c touch% /tmp/x\n\tupdate = !touch x\n",
    );
    std::os::unix::fs::symlink("/etc", world.repo().join("etc")).expect("link");
    let commit = world.commit();
    // After the commit, because making it runs hooks too.
    for hook in [
        "post-checkout",
        "reference-transaction",
        "post-index-change",
        "fsmonitor",
    ] {
        let path = world.repo().join(".git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("dirs");
        std::fs::write(&path, &script).expect("hook");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("mode");
    }
    let filter = format!("touch {}/filter", proof.display());
    world.git(&["config", "filter.evil.smudge", &filter]);
    world.git(&["config", "uploadpack.packObjectsHook", &filter]);
    world.fetch(&commit).await.expect("fetched");
    let touched: Vec<_> = std::fs::read_dir(&proof).expect("dir").collect();
    assert!(touched.is_empty(), "{touched:?}");
    let read = |name: &str| std::fs::read_to_string(world.source().join(name)).expect("file");
    assert_eq!(read("a.bin"), "content");
    assert!(read("b.lfs").starts_with("version "), "no smudge");
    assert!(
        world.source().join("etc").is_symlink(),
        "a link stays a link"
    );
    assert!(!world.source().join("s").join(".git").exists());
}

#[tokio::test]
async fn a_submodule_stays_empty() {
    let world = World::new();
    let inner = world.temp.path().join("repos/inner");
    std::fs::create_dir_all(&inner).expect("dir");
    world.put("x", "x");
    world.commit();
    world.git(&[
        "clone",
        "--quiet",
        "--bare",
        ".",
        inner.to_str().expect("UTF-8"),
    ]);
    world.git(&[
        "submodule",
        "--quiet",
        "add",
        inner.to_str().expect("UTF-8"),
        "sub",
    ]);
    let commit = world.commit();
    world.fetch(&commit).await.expect("fetched");
    let sub = std::fs::read_dir(world.source().join("sub")).expect("dir");
    assert_eq!(sub.count(), 0);
}

#[tokio::test]
async fn size_and_time_are_bounded() {
    let world = World::new();
    // Small to send, large to write.
    world.put("zeros", &"0".repeat(3_000_000));
    let commit = world.commit();
    let bounds = Bounds {
        entries: 100,
        bytes: 1_000_000,
    };
    let small = FetchPolicy {
        bounds,
        ..world.policy()
    };
    let error = world
        .fetch_with(small, &commit)
        .await
        .expect_err("too large");
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error:?}");
    assert!(
        !world.source().exists(),
        "found before anything was written"
    );
    let quick = FetchPolicy {
        time: Duration::ZERO,
        ..World::new().policy()
    };
    let other = World::new();
    let quick = FetchPolicy {
        file_prefixes: other.policy().file_prefixes,
        ..quick
    };
    let error = other
        .fetch_with(quick, &other.commit())
        .await
        .expect_err("no time");
    assert!(matches!(error, FetchError::TimedOut { .. }), "{error:?}");
}

fn refusal(policy: &FetchPolicy, url: &str, branch: &str, commit: &str) -> Option<String> {
    let request = Request {
        url,
        repository: "r",
        branch,
        commit,
        credentials: None,
    };
    Checked::new(&request, policy)
        .err()
        .map(|error| error.to_string())
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn urls() {
    let world = World::new();
    let with_ssh = FetchPolicy {
        known_hosts: Some("/etc/ssh/ssh_known_hosts".into()),
        ..world.policy()
    };
    let link = world.temp.path().join("repos/link");
    std::os::unix::fs::symlink("/etc", &link).expect("link");
    let beside = world.temp.path().join("repos-evil");
    std::fs::create_dir(&beside).expect("dir");
    for url in [
        "https://github.com/acme/one.git",
        "https://10.0.0.1:8443/x",
        "ssh://git@github.com/acme/one",
        "ssh://git@git.internal:2222/x.git",
        "https://[2001:db8::1]/x",
        &world.url(),
    ] {
        assert_eq!(refusal(&with_ssh, url, "main", COMMIT), None, "{url}");
    }
    let file = |path: &Path| format!("file://{}", path.display());
    for url in [
        "",
        "http://github.com/x",
        "git://github.com/x",
        "ext::sh -c id",
        "ext::sh%20-c%20id",
        "--upload-pack=id",
        "-u",
        "git@github.com:acme/one",
        "/etc",
        "../x",
        "fd::17",
        "https://user@github.com/x",
        "https://user:pass@github.com/x",
        "https://",
        "https://-x/",
        "https://github.com/x?y",
        "https://github.com/x#y",
        "https://git hub.com/x",
        "https://a\n/x",
        "ssh://-oProxyCommand=id/x",
        "ssh://-oProxyCommand=id@h/x",
        "ssh://h/-x",
        "ssh://h",
        "ssh://git@0x7f.1/x",
        "ssh://git@2130706433/x",
        "ssh://git@h$(id)/x",
        "ssh://git@h;id/x",
        "ssh://git:pw@github.com/x",
        "transport::https://x/y",
        "HTTPS::x",
        "file://host/etc",
        "file:///etc",
        "file:///",
        &file(&link),
        &file(&beside),
        &format!("{}/../../data", world.url()),
        &format!("{}%00", world.url()),
    ] {
        assert!(refusal(&with_ssh, url, "main", COMMIT).is_some(), "{url}");
    }
    let without = refusal(&world.policy(), "ssh://git@github.com/x", "main", COMMIT);
    assert!(without.is_some_and(|said| said.contains("GANTRY_SSH_KNOWN_HOSTS")));
}

#[test]
fn branches_and_commits() {
    let policy = policy();
    let url = "https://github.com/acme/one";
    for branch in ["main", "feature/x-1", "release_1.2", "ünïcode", "a@b", "a-"] {
        assert_eq!(refusal(&policy, url, branch, COMMIT), None, "{branch}");
    }
    for branch in [
        "",
        "-x",
        "--upload-pack=id",
        "a..b",
        "a b",
        "a~1",
        "a^",
        "a:b",
        "a*",
        "a?",
        "a[",
        "a\\b",
        "@",
        "a@{1}",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "a.",
        "a\nb",
        "a\0",
    ] {
        assert!(
            refusal(&policy, url, branch, COMMIT).is_some(),
            "{branch:?}"
        );
    }
    let upper = COMMIT.to_uppercase();
    for commit in [
        "",
        "main",
        "HEAD",
        "0123",
        "-0123456789abcdef0123456789abcdef0123456",
        upper.as_str(),
        "0123456789abcdef0123456789abcdef0123456g",
        "0123456789abcdef0123456789abcdef01234567:x",
    ] {
        assert!(refusal(&policy, url, "main", commit).is_some(), "{commit}");
    }
}

#[tokio::test]
async fn addresses_of_the_host_are_refused_by_name_and_by_number() {
    let world = World::new();
    let answers = |address: &str| {
        let address: IpAddr = address.parse().expect("address");
        let public: IpAddr = "140.82.121.4".parse().expect("address");
        lookup_fn(move |_| async move { Ok(vec![public, address]) })
    };
    for (url, address) in [
        ("https://git.example.com/x", "169.254.169.254"),
        ("https://git.example.com/x", "127.0.0.1"),
        ("https://localhost/x", "::1"),
        ("https://127.0.0.1/x", "10.0.0.1"),
        ("https://2130706433/x", "10.0.0.1"),
        ("https://0x7f.1/x", "10.0.0.1"),
        ("https://[::ffff:169.254.169.254]/x", "10.0.0.1"),
    ] {
        let request = Request {
            url,
            repository: "r",
            branch: "main",
            commit: COMMIT,
            credentials: None,
        };
        let places = Places {
            home: &world.dirs.home(),
            target: &world.source(),
        };
        let fetcher = Fetcher::new(world.policy(), answers(address));
        let error = fetcher.fetch(&request, places).await.expect_err(url);
        assert!(
            matches!(error, FetchError::ForbiddenAddress { .. }),
            "{url}: {error:?}"
        );
    }
}

#[test]
fn credentials_reach_git_only_by_the_environment_and_never_a_message() {
    let credentials = GitCredentials {
        username: "bot".to_owned(),
        password: Secret::new("hunter2-hunter2"),
    };
    let world = World::new();
    let request = Request {
        url: "https://git.example.com/acme/one",
        repository: "acme/one",
        branch: "main",
        commit: COMMIT,
        credentials: Some(&credentials),
    };
    let policy = policy();
    let checked = Checked::new(&request, &policy).expect("valid");
    let pinned = address::Pinned::To(vec!["10.1.2.3".parse().expect("address")]);
    let places = Places {
        home: &world.dirs.home(),
        target: &world.source(),
    };
    let environment =
        Environment::new(&checked, &policy, &pinned, request.credentials, places).expect("made");
    let value = |name: &str| {
        let keys = environment.variables().iter();
        let index = keys
            .filter(|(key, _)| key.starts_with("GIT_CONFIG_KEY_"))
            .position(|(_, value)| value == name);
        let key = format!("GIT_CONFIG_VALUE_{}", index.expect(name));
        let found = environment
            .variables()
            .iter()
            .find(|(name, _)| *name == key);
        found.expect("a value").1.clone()
    };
    let header = value("http.https://git.example.com/acme/one.extraHeader");
    assert!(header.starts_with("Authorization: Basic "));
    assert_eq!(value("http.curloptResolve"), "git.example.com:443:10.1.2.3");
    let said = format!("fatal: {header} hunter2-hunter2 refused");
    let said = environment.without_secrets(said.as_bytes());
    assert_eq!(said, "fatal: ***** ***** refused");
    let ssh = FetchPolicy {
        known_hosts: Some("/k".into()),
        ..policy
    };
    let wrong = Request {
        url: "ssh://git@git.example.com/x",
        ..request
    };
    assert!(
        Checked::new(&wrong, &ssh).is_err(),
        "a password is not for ssh"
    );
}
