//! Disk, programs and files of the host.

use std::path::Path;

use tokio::process::Command;

use super::Report;
use crate::config::Config;
use crate::report::Chain;
use crate::source::OLDEST_GIT;
use crate::tool::Keys;

/// Fewer free inodes than this, in percent, and no run is taken.
const MIN_INODES: u64 = 2;

pub(super) async fn examine(config: &Config, report: &mut Report) {
    disk(
        "data directory",
        &config.data_dir,
        config.room.min_free,
        report,
    );
    git(report).await;
    files(config, report);
    workers(config, report);
    tool_keys(config, report);
}

/// Free bytes and inodes where `path` is, or will be.
pub(super) fn disk(check: &str, path: &Path, min_free: u64, report: &mut Report) {
    let Some(there) = path.ancestors().find(|ancestor| ancestor.exists()) else {
        return report.failed(
            check,
            format!("`{}` has no parent", path.display()),
            "make it",
        );
    };
    let look = match rustix::fs::statvfs(there) {
        Ok(look) => look,
        Err(error) => {
            return report.failed(
                check,
                format!("`{}`: {error}", there.display()),
                "see the cause",
            );
        }
    };
    let free = look.f_bavail.saturating_mul(look.f_frsize);
    let inodes = match look.f_files {
        0 => 100,
        all => look.f_favail.saturating_mul(100) / all,
    };
    let found = format!(
        "`{}` has {} MiB and {inodes} % of its inodes free",
        path.display(),
        free >> 20
    );
    if free < min_free || inodes < MIN_INODES {
        let least = min_free >> 20;
        report.failed(
            check,
            found,
            format!("make room: below {least} MiB (GANTRY_MIN_FREE_DISK_MB) or {MIN_INODES} % of inodes no run is taken"),
        );
    } else {
        report.ok(check, found);
    }
}

async fn git(report: &mut Report) {
    let (major, minor) = OLDEST_GIT;
    let advice =
        format!("install git {major}.{minor} or newer: the launcher fetches source with it");
    let said = match Command::new("git").arg("--version").output().await {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) => return report.failed("git", Chain(&error), advice),
    };
    match version(&said) {
        Some(found) if found >= OLDEST_GIT => report.ok("git", said),
        _ => report.failed("git", said, advice),
    }
}

/// `git version 2.39.5` → 2, 39.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn files(config: &Config, report: &mut Report) {
    let source = &config.source;
    let listed = source.file_prefixes.iter().chain(&source.known_hosts);
    for path in listed.filter(|path| !path.exists()) {
        let found = format!("`{}` does not exist", path.display());
        report.failed(
            "source",
            found,
            "make it, or take it out of the configuration",
        );
    }
    if source.known_hosts.is_none() {
        report.skipped(
            "ssh",
            "GANTRY_SSH_KNOWN_HOSTS is not set; ssh repositories are refused",
        );
    }
    for mount in &config.containers.mounts {
        match mount.source.exists() {
            true => report.ok("mount", format!("`{}` is there", mount.source.display())),
            false => report.failed(
                "mount",
                format!("`{}` does not exist", mount.source.display()),
                "make it, or take it out of SPACELIFT_WORKER_EXTRA_MOUNTS and its like",
            ),
        }
    }
    for name in &config.handed.unset {
        let found = format!("`{name}` is listed in SPACELIFT_WHITELIST_ENVS and not set");
        report.warning(
            "handed variables",
            found,
            "set it, or take it out of the list",
        );
    }
}

fn workers(config: &Config, report: &mut Report) {
    let keys = config.trust_keys.len();
    let cache = config.data_dir.join("workers");
    let cached = std::fs::read_dir(&cache).map_or(0, |entries| entries.flatten().count());
    let arch = std::env::consts::ARCH;
    report.ok(
        "worker",
        match cached {
            0 => format!("none for {arch} in the cache yet; the first run downloads it, signed by one of {keys} trusted keys"),
            cached => format!("{cached} in the cache for {arch}; {keys} trusted keys"),
        },
    );
}

fn tool_keys(config: &Config, report: &mut Report) {
    if config.tools.keys.is_empty() {
        return report.skipped(
            "tool keys",
            "GANTRY_TOOL_KEYS is not set; stacks that ask for a version get the image's tool if it is that",
        );
    }
    match Keys::load(&config.tools.keys) {
        Ok(keys) => {
            for (fingerprint, name, fault) in keys.list() {
                match fault {
                    None => report.ok("tool key", format!("{fingerprint} {name}")),
                    Some(fault) => report.warning(
                        "tool key",
                        format!("{fingerprint} {name}: {fault}"),
                        "it verifies nothing; replace it",
                    ),
                }
            }
        }
        Err(error) => report.failed("tool keys", Chain(&error), "correct GANTRY_TOOL_KEYS"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn versions_of_git() {
        assert_eq!(version("git version 2.39.5"), Some((2, 39)));
        assert_eq!(version("git version 2.51.0.windows.1"), Some((2, 51)));
        assert_eq!(version("gut"), None);
    }

    #[test]
    fn a_disk_is_judged_where_the_directory_will_be() {
        let temp = tempfile::tempdir().unwrap();
        let mut report = Report::default();
        let deep = temp.path().join("not/there/yet");
        disk("data directory", &deep, 0, &mut report);
        assert_eq!(report.verdict(), Verdict::Ok, "{report:?}");
        disk("data directory", &deep, u64::MAX, &mut report);
        assert_eq!(report.verdict(), Verdict::Failed);
    }
}
