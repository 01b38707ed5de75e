//! The container of a run, as a whole and rule by rule.
//!
//! Takes fixed policies and images, gives snapshots. Never: a case that reads the host.

use super::*;
use crate::image::PulledImage;

const NAME: &str = "gantry-01J8Z3V4T5W6X7Y8Z9A0B1C2D4-2";

fn launcher() -> LauncherId {
    "01J8Z3V4T5W6X7Y8Z9A0B1C2D3".parse().expect("valid")
}

fn policy() -> HostPolicy {
    HostPolicy {
        runtime: None,
        limits: Limits {
            memory: 4 << 30,
            nano_cpus: 2_000_000_000,
            pids: 1024,
        },
        tmp_size: 1 << 30,
        stop_timeout: Duration::from_secs(600),
        writable_root: vec!["docker.io/library/odd".into()],
        providers: Some("/srv/providers".into()),
        cas: None,
    }
}

fn mounts() -> RunMounts {
    let run = Path::new("/data/runs/01J8Z3V4T5W6X7Y8Z9A0B1C2D4-2");
    RunMounts {
        workspace: run.join("workspace"),
        io: run.join("io"),
        spool: run.join("spool"),
        worker: "/data/workers/ab".into(),
        tool: Some(("/data/tools/cd".into(), "terraform")),
        accounts: Some((run.join("passwd"), run.join("group"))),
        extra: vec![ExtraMount {
            source: "/srv/plugins".into(),
            target: "/plugins".into(),
            access: Access::ReadOnly,
        }],
    }
}

#[test]
fn the_whole_container() {
    let image = PulledImage::for_tests("ghcr.io/acme/runner:1.9", &[]);
    let spec = container_spec(
        &policy(),
        &mounts(),
        &Network::default(),
        &image,
        launcher(),
        NAME,
    );
    insta::assert_json_snapshot!(spec);
}

#[test]
fn only_a_named_image_gets_a_writable_root() {
    for (image, root) in [
        ("odd:1", RootFs::Writable),
        (
            "docker.io/library/odd@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            RootFs::Writable,
        ),
        ("odd-one", RootFs::ReadOnly),
        ("ghcr.io/library/odd", RootFs::ReadOnly),
    ] {
        let pulled = PulledImage::for_tests(image, &[]);
        let spec = container_spec(
            &policy(),
            &mounts(),
            &Network::default(),
            &pulled,
            launcher(),
            NAME,
        );
        assert_eq!(spec.root, root, "{image}");
    }
}

#[test]
fn an_image_with_the_account_keeps_its_files() {
    let image = PulledImage::for_tests("alpine", &[]);
    let bare = RunMounts {
        accounts: None,
        ..mounts()
    };
    let spec = container_spec(
        &policy(),
        &bare,
        &Network::default(),
        &image,
        launcher(),
        NAME,
    );
    assert!(
        spec.mounts
            .iter()
            .all(|mount| !mount.target.starts_with("/etc/"))
    );
}

#[test]
fn volumes_over_the_runs_directories_are_refused() {
    for (volume, fine) in [
        ("/data", true),
        ("/mnt/workspaces", true),
        ("/var/lib/x", true),
        ("/mnt", false),
        ("/mnt/", false),
        ("/mnt/workspace", false),
        ("/mnt/workspace/source", false),
        ("/gantry/spool/", false),
        ("/home/spacelift/.terraform.d", false),
        ("/home", false),
        ("/tmp", false),
        ("/", false),
    ] {
        let image = PulledImage::for_tests("alpine", &[volume]);
        let result = image.check_volumes(&protected_targets());
        assert_eq!(result.is_ok(), fine, "{volume}");
    }
}

#[test]
fn extra_mounts_hide_nothing_that_runs_rely_on() {
    for (target, fine) in [
        ("/plugins", true),
        ("/etc/ssl/certs/ca-certificates.crt", true),
        ("/usr/local/bin/tool", true),
        ("/mnt/cache", true),
        ("/tmpfiles", true),
        ("/", false),
        ("", false),
        ("relative", false),
        ("/a/../b", false),
        ("/a/./b", false),
        ("/a//b", false),
        ("/a/", false),
        ("/mnt", false),
        ("/mnt/workspace", false),
        ("/mnt/workspace/source/x", false),
        ("/gantry", false),
        ("/gantry/bin/worker", false),
        ("/etc", false),
        ("/etc/passwd", false),
        ("/etc/group", false),
        ("/proc/sys", false),
        ("/dev", false),
        ("/home/spacelift/.aws", false),
        ("/tmp/x", false),
        ("/a\nb", false),
    ] {
        assert_eq!(check_extra_target(target).is_ok(), fine, "{target}");
    }
}

#[test]
fn a_container_that_waits_differs_from_one_that_begins_by_its_name_only() {
    let image = PulledImage::for_tests("ghcr.io/acme/runner:1.9", &[]);
    let spec = |name: &str| {
        let network = Network::default();
        container_spec(&policy(), &mounts(), &network, &image, launcher(), name)
    };
    let (begun, mut waits) = (spec(NAME), spec("gantry-standby-1"));
    assert_ne!(begun, waits);
    waits.name.clone_from(&begun.name);
    waits.labels.clone_from(&begun.labels);
    assert_eq!(begun, waits);
}
