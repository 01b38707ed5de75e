//! Extra mounts on a real file system: what is followed, what is refused, and in which words.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;

use super::*;
use crate::engine::Access;

/// A host with a data directory, an engine's directory and a socket below one temporary directory.
struct World {
    temp: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let temp = tempfile::tempdir().expect("temp dir");
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).expect("mode");
        for name in ["data/runs", "engine/overlay2", "run", "srv/cache"] {
            fs::create_dir_all(temp.path().join(name)).expect("made");
        }
        fs::write(temp.path().join("srv/file"), "x").expect("made");
        Self { temp }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn mounts(&self, source: &str, to: HandedTo) -> ExtraMounts {
        let rule = MountRule {
            source: match source.starts_with('/') {
                true => source.into(),
                false => self.path(source),
            },
            target: "/x".to_owned(),
            access: Access::ReadWrite,
            to,
        };
        let closed = Closed {
            data: &self.path("data"),
            engine: &self.path("engine"),
            socket: Some(&self.path("run/engine.sock")),
            remap: None,
        };
        ExtraMounts::new(vec![rule], closed)
    }

    fn refusal(&self, source: &str, to: HandedTo) -> String {
        let error = self.mounts(source, to).check();
        error.expect_err(source).to_string()
    }
}

#[test]
fn a_link_of_the_owners_is_followed_each_time() {
    let world = World::new();
    fs::create_dir(world.path("srv/next")).expect("made");
    symlink("cache", world.path("srv/current")).expect("linked");
    let mounts = world.mounts("srv/current", HandedTo::Every);
    let source = |mounts: &ExtraMounts| mounts.of(Class::Reading).expect("fine")[0].source.clone();
    let real = fs::canonicalize(world.path("srv")).expect("there");
    assert_eq!(source(&mounts), real.join("cache"));
    fs::remove_file(world.path("srv/current")).expect("removed");
    symlink(world.path("srv/next"), world.path("srv/current")).expect("linked");
    assert_eq!(source(&mounts), real.join("next"));
    symlink("../srv/file", world.path("run/up")).expect("linked");
    let up = world.mounts("run/up", HandedTo::Every);
    assert_eq!(source(&up), real.join("file"));
}

#[test]
fn what_would_open_the_host_is_refused() {
    let world = World::new();
    let _socket = UnixListener::bind(world.path("run/engine.sock")).expect("bound");
    fs::hard_link(world.path("run/engine.sock"), world.path("srv/other.sock")).expect("linked");
    symlink("/", world.path("srv/root")).expect("linked");
    symlink(world.path("data"), world.path("srv/data")).expect("linked");
    symlink("loop", world.path("srv/loop")).expect("linked");
    for (source, why) in [
        ("/", "whole file system"),
        ("srv/root", "whole file system"),
        ("/proc", "kernel"),
        ("/proc/sys", "kernel"),
        ("/sys/fs", "kernel"),
        ("/dev/null", "neither"),
        ("/dev", "kernel"),
        ("data", "launcher's directory"),
        ("data/runs", "launcher's directory"),
        ("srv/data", "launcher's directory"),
        ("engine/overlay2", "engine's directory"),
        ("run", "socket"),
        ("run/engine.sock", "socket"),
        ("srv/other.sock", "socket"),
        ("srv/absent", "No such file"),
        ("srv/loop", "too many links"),
        ("/run", "is, holds or lies in"),
    ] {
        let said = world.refusal(source, HandedTo::Every);
        assert!(said.contains(why), "{source}: {said}");
        assert!(
            said.starts_with("SPACELIFT_WORKER_EXTRA_MOUNTS: `"),
            "{said}"
        );
    }
    // The directory that holds all of it.
    let above = world.refusal(world.temp.path().to_str().expect("UTF-8"), HandedTo::Every);
    assert!(above.contains("is, holds or lies in"), "{above}");
}

#[test]
fn a_path_that_a_run_could_change_is_refused() {
    let world = World::new();
    fs::create_dir(world.path("srv/cache/inner")).expect("made");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    chown(world.path("srv/cache"), Some(RUN_ID), Some(RUN_ID)).expect("given away");
    // The directory itself may be the runs' own.
    assert!(world.mounts("srv/cache", HandedTo::Every).check().is_ok());
    let said = world.refusal("srv/cache/inner", HandedTo::Every);
    assert!(said.contains("runs could change"), "{said}");
    chown(world.path("srv/cache"), Some(0), Some(0)).expect("taken back");
    assert!(
        world
            .mounts("srv/cache/inner", HandedTo::Every)
            .check()
            .is_ok()
    );
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(world.path("srv/cache"), open).expect("mode");
    let said = world.refusal("srv/cache/inner", HandedTo::Every);
    assert!(said.contains("runs could change"), "{said}");
    let sticky = fs::Permissions::from_mode(0o1777);
    fs::set_permissions(world.path("srv/cache"), sticky).expect("mode");
    assert!(
        world
            .mounts("srv/cache/inner", HandedTo::Every)
            .check()
            .is_ok()
    );
}

#[test]
fn lists_by_class_take_directories_and_reach_their_class() {
    let world = World::new();
    let count = |to, class| world.mounts("srv/cache", to).of(class).expect("fine").len();
    use Class::{Reading, Writing};
    for (to, reading, writing) in [
        (HandedTo::Every, 1, 1),
        (HandedTo::Reading, 1, 0),
        (HandedTo::Writing, 0, 1),
    ] {
        assert_eq!((count(to, Reading), count(to, Writing)), (reading, writing));
    }
    assert!(world.mounts("srv/file", HandedTo::Every).check().is_ok());
    let said = world.refusal("srv/file", HandedTo::Reading);
    assert!(
        said.contains("SPACELIFT_WORKER_RO_EXTRA_MOUNTS") && said.contains("no directory"),
        "{said}"
    );
}
