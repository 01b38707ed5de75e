//! What hostile code in a run would try first: one line for each attempt, and what became of it.
//!
//! Takes nothing, prints `NAME: refused: WHY` or `NAME: DONE`. Tests run it as code of a repository. Never: an attempt
//! that would harm the machine if it succeeded.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::ptrace;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Pid, Uid, chroot, sethostname, setuid};

/// An attempt succeeded when it gives nothing back.
type Attempt = fn() -> io::Result<()>;

const ATTEMPTS: [(&str, Attempt); 34] = [
    ("mount", || mount_at("/tmp")),
    ("mount-over-worker", || mount_at("/gantry/io")),
    ("remount-root", remount_root),
    ("umount", || Ok(umount("/gantry/io")?)),
    ("new-user-namespace", || {
        Ok(unshare(CloneFlags::CLONE_NEWUSER)?)
    }),
    ("new-mount-namespace", || {
        Ok(unshare(CloneFlags::CLONE_NEWNS)?)
    }),
    ("join-namespace", join_namespace),
    ("trace-worker", || Ok(ptrace::attach(Pid::from_raw(1))?)),
    ("read-worker-memory", || open("/proc/1/mem")),
    ("read-worker-environment", || read("/proc/1/environ")),
    ("read-worker-descriptors", || {
        fs::read_dir("/proc/1/fd").map(drop)
    }),
    ("raw-socket", || raw(AddressFamily::Inet)),
    ("packet-socket", || raw(AddressFamily::Packet)),
    ("make-device", make_device),
    ("open-memory-device", || open("/dev/mem")),
    ("open-kernel-log", || open("/dev/kmsg")),
    ("open-disk", || {
        open("/dev/vda").or_else(|_| open("/dev/sda"))
    }),
    ("chroot", || Ok(chroot("/tmp")?)),
    ("become-root", || Ok(setuid(Uid::from_raw(0))?)),
    ("give-away-a-file", give_away),
    ("set-hostname", || Ok(sethostname("other")?)),
    ("write-sysrq", || append("/proc/sysrq-trigger")),
    ("write-core-pattern", || {
        append("/proc/sys/kernel/core_pattern")
    }),
    ("write-sys", || append("/sys/kernel/uevent_helper")),
    ("write-cgroup", || {
        fs::create_dir("/sys/fs/cgroup/other")
            .or_else(|_| fs::create_dir("/sys/fs/cgroup/memory/other"))
    }),
    ("read-kernel-memory-map", || open("/proc/kcore")),
    ("write-root", || fs::write("/breakout", "x")),
    ("write-passwd", || append("/etc/passwd")),
    ("write-tool", || append("/usr/local/bin/terraform")),
    ("write-worker", || append("/gantry/bin/worker")),
    ("write-beside-socket", || fs::write("/gantry/io/x", "x")),
    ("replace-socket", replace_socket),
    ("see-the-engine", see_the_engine),
    ("see-other-runs", see_other_runs),
];

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    for (name, attempt) in ATTEMPTS {
        match attempt() {
            Ok(()) => writeln!(out, "{name}: DONE")?,
            Err(error) => writeln!(out, "{name}: refused: {error}")?,
        }
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let is_right = |line: &&str| {
        ["Cap", "NoNewPrivs", "Seccomp:", "Uid", "Gid", "Groups"]
            .iter()
            .any(|prefix| line.starts_with(prefix))
    };
    for line in status.lines().filter(is_right) {
        writeln!(out, "{}", line.replace('\t', " "))?;
    }
    writeln!(out, "{} attempts", ATTEMPTS.len())
}

fn mount_at(target: &str) -> io::Result<()> {
    let tmpfs = Some("tmpfs");
    Ok(mount(tmpfs, target, tmpfs, MsFlags::empty(), None::<&str>)?)
}

fn remount_root() -> io::Result<()> {
    let none = None::<&str>;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    Ok(mount(none, "/", none, flags, none)?)
}

fn join_namespace() -> io::Result<()> {
    let namespace = File::open("/proc/1/ns/net")?;
    Ok(setns(namespace, CloneFlags::CLONE_NEWNET)?)
}

fn raw(family: AddressFamily) -> io::Result<()> {
    let made = socket(family, SockType::Raw, SockFlag::empty(), None);
    Ok(made.map(drop)?)
}

fn make_device() -> io::Result<()> {
    let path = CString::new("/tmp/device").map_err(io::Error::other)?;
    // The null device: nothing that could hurt.
    Ok(mknod(
        path.as_c_str(),
        SFlag::S_IFCHR,
        Mode::S_IRWXU,
        makedev(1, 3),
    )?)
}

fn give_away() -> io::Result<()> {
    fs::write("/tmp/mine", "x")?;
    fs::set_permissions("/tmp/mine", fs::Permissions::from_mode(0o4755))?;
    chown("/tmp/mine", Some(0), Some(0))
}

fn open(path: &str) -> io::Result<()> {
    File::open(path).map(drop)
}

fn read(path: &str) -> io::Result<()> {
    fs::read(path).map(drop)
}

/// Opens for writing and writes nothing: that much is right already too much.
fn append(path: &str) -> io::Result<()> {
    OpenOptions::new().append(true).open(path).map(drop)
}

fn replace_socket() -> io::Result<()> {
    let entry = fs::read_dir("/gantry/io")?.next();
    let socket = entry.ok_or_else(|| io::Error::other("there is none"))??;
    fs::remove_file(socket.path())
}

fn see_the_engine() -> io::Result<()> {
    for path in [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/var/lib/docker",
    ] {
        if Path::new(path).exists() {
            return Ok(());
        }
    }
    Err(io::Error::other("nothing of it is here"))
}

/// Anything of the host's below the launcher's directory, or a process that is not of this container.
fn see_other_runs() -> io::Result<()> {
    let known = ["bin", "io", "spool", "tool", "providers"];
    for entry in fs::read_dir("/gantry")? {
        let name = entry?.file_name();
        if !known.iter().any(|known| name == *known) {
            return Ok(());
        }
    }
    for entry in fs::read_dir("/proc")?.flatten() {
        let process = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if ["dockerd", "containerd", "gantry-launcher"].contains(&process.trim()) {
            return Ok(());
        }
    }
    Err(io::Error::other("nothing of them is here"))
}
