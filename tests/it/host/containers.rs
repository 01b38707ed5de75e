//! A run's container as it really is: what it can see, do and not do.
//!
//! Takes a shell script in the worker's place. Never: a container that is left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use gantry_launcher::container::{
    Accounts, HostPolicy, LABEL_LAUNCHER, Network, RunMounts, accounts, container_name,
    container_spec,
};
use gantry_launcher::engine::{
    ContainerId, ContainerSpec, ContainerStatus, Docker, ErrorKind, Exit, Limits,
};
use gantry_launcher::image::{Allowlist, PulledImage};
use gantry_launcher::workspace::{DataDir, Owner, RunDirs};
use gantry_protocol::{Attempt, LauncherId, RunId};

use super::world::{LocalImage, Registry, docker, engine, images, script, unique, wait_until};

/// One run's directories, image and names; its container is removed on drop.
/// Who the container is.
struct Names {
    launcher: LauncherId,
    run: RunId,
    attempt: Attempt,
}

impl Names {
    fn container(&self) -> String {
        container_name(self.run, self.attempt)
    }
}

struct World {
    engine: Docker,
    dirs: RunDirs,
    image: PulledImage,
    names: Names,
    policy: HostPolicy,
    worker: PathBuf,
    _temp: tempfile::TempDir,
    _registry: Registry,
}

impl World {
    async fn new(worker: &str) -> Self {
        let (engine, info) = engine().await;
        let temp = tempfile::tempdir().expect("temp dir");
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o755)).expect("mode");
        let names = Names {
            launcher: unique().parse::<LauncherId>().expect("valid"),
            run: unique().parse::<RunId>().expect("valid"),
            attempt: Attempt(1),
        };
        let owner = Owner::of_runs(1983, info.remap);
        let data = DataDir::open(&temp.path().join("d"), owner).expect("usable");
        let dirs = data.create_run(names.run, names.attempt).expect("created");
        let path = temp.path().join("worker");
        script(&path, &format!("#!/bin/busybox sh\nPATH=/bin\n{worker}\n"));
        let registry = Registry::open();
        let local = LocalImage::new(&[
            "--change",
            "ENTRYPOINT [\"/never\"]",
            "--change",
            "ENV IMAGE=1",
        ]);
        let (reference, _) = registry.push(&local, "run:1");
        let list = Allowlist::new([registry.host.as_str()]).expect("valid");
        let images = images(&engine, &info);
        let admitted = list.admit(&reference).expect("listed");
        let resolved = images.resolve(admitted).await.expect("resolved");
        let limit = Duration::from_secs(60);
        let image = images
            .pull(resolved, limit, &mut |_| {})
            .await
            .expect("pulled");
        Self {
            engine,
            dirs,
            image,
            names,
            policy: policy(),
            worker: path,
            _temp: temp,
            _registry: registry,
        }
    }

    fn spec(&self) -> ContainerSpec {
        let files = match accounts(self.image.passwd(), self.image.group()) {
            Accounts::InImage => None,
            Accounts::Generated { passwd, group } => {
                let put =
                    |name, content: &[u8]| self.dirs.put_file(name, content).expect("written");
                Some((put("passwd", &passwd), put("group", &group)))
            }
        };
        let mounts = RunMounts {
            workspace: self.dirs.workspace(),
            io: self.dirs.io(),
            spool: self.dirs.spool(),
            worker: self.worker.clone(),
            tool: None,
            accounts: files,
            extra: Vec::new(),
        };
        let network = Network::default();
        container_spec(
            &self.policy,
            &mounts,
            &network,
            &self.image,
            self.names.launcher,
            &self.names.container(),
        )
    }

    async fn started(&self) -> ContainerId {
        let id = self.engine.create(&self.spec()).await.expect("created");
        self.engine.start(&id).await.expect("started");
        id
    }

    async fn ended(&self) -> (ContainerId, Exit) {
        let id = self.started().await;
        let wait = tokio::time::timeout(Duration::from_secs(60), self.engine.wait(&id));
        let exit = wait.await.expect("ends in time").expect("an exit");
        (id, exit)
    }

    fn spool(&self, name: &str) -> String {
        let path = self.dirs.spool().join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let name = self.names.container();
        let _ = std::process::Command::new("docker")
            .args(["rm", "--force", "--volumes", &name])
            .output();
    }
}

fn policy() -> HostPolicy {
    HostPolicy {
        runtime: None,
        limits: Limits {
            memory: 256 << 20,
            nano_cpus: 1_000_000_000,
            pids: 64,
        },
        tmp_size: 64 << 20,
        stop_timeout: Duration::from_secs(30),
        writable_root: Vec::new(),
        providers: None,
        cas: None,
    }
}

const PROBE: &str = r#"
exec >/gantry/spool/probe 2>&1
say() { echo "$1=$2"; }
try() { name=$1; shift; if "$@" >/dev/null 2>&1; then say "$name" yes; else say "$name" no; fi; }
say id "$(busybox id -u):$(busybox id -g):$(busybox id -G)"
say user "$(busybox whoami)"
say home "$HOME"
say image "$IMAGE"
say args "$*"
say pwd "$PWD"
for f in CapEff CapPrm CapBnd CapInh NoNewPrivs Seccomp; do
  say $f "$(busybox grep ^$f: /proc/self/status | busybox awk '{print $2}')"
done
try write_root busybox touch /x
try write_home busybox touch /home/spacelift/x
try write_tmp busybox touch /tmp/x
try write_workspace busybox touch /mnt/workspace/x
try write_io busybox touch /gantry/io/x
try write_worker busybox sh -c 'echo x >> /gantry/bin/worker'
busybox printf '#!/bin/busybox sh\nexit 0\n' >/tmp/program; busybox chmod +x /tmp/program
try exec_tmp /tmp/program
try docker_socket busybox test -e /var/run/docker.sock
say home_mode "$(busybox stat -c %a:%u:%g /home/spacelift)"
say pid "$$"
exit 7
"#;

#[tokio::test]
async fn a_container_has_what_a_run_needs_and_nothing_else() {
    let world = World::new(PROBE).await;
    let (id, exit) = world.ended().await;
    assert_eq!(
        (exit.code, exit.oom_killed, exit.error.clone()),
        (7, false, None)
    );
    let expected = "id=1983:1983:1983\nuser=spacelift\nhome=/home/spacelift\nimage=1\nargs=run\n\
        pwd=/mnt/workspace\nCapEff=0000000000000000\nCapPrm=0000000000000000\n\
        CapBnd=0000000000000000\nCapInh=0000000000000000\nNoNewPrivs=1\nSeccomp=2\n\
        write_root=no\nwrite_home=yes\nwrite_tmp=yes\nwrite_workspace=yes\nwrite_io=no\n\
        write_worker=no\nexec_tmp=yes\ndocker_socket=no\nhome_mode=700:1983:1983\npid=1\n";
    assert_eq!(world.spool("probe"), expected);
    // An exit can be asked for as often as one likes, also by a process that did not start it.
    let (other, _) = engine().await;
    assert_eq!(other.wait(&id).await.expect("again"), exit);
    let inspected = docker(&["inspect", id.as_str()]);
    for word in ["docker.sock", "CAP_", "\"Privileged\": true"] {
        assert!(!inspected.contains(word), "{word} in {inspected}");
    }
}

#[tokio::test]
async fn containers_are_found_by_label_and_by_name() {
    let world = World::new("exec busybox sleep 1000").await;
    let id = world.started().await;
    let launcher = world.names.launcher.to_string();
    let listed = world
        .engine
        .list(LABEL_LAUNCHER, &launcher)
        .await
        .expect("listed");
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].id, listed[0].running), (&id, true));
    assert_eq!(listed[0].name, world.names.container());
    let view = world
        .engine
        .inspect_named(&world.names.container())
        .await
        .expect("found");
    assert_eq!(
        (view.id, view.status),
        (id.clone(), ContainerStatus::Running)
    );
    let error = world
        .engine
        .create(&world.spec_again())
        .await
        .expect_err("taken");
    assert!(
        matches!(error.kind(), ErrorKind::Conflict { .. }),
        "{error:?}"
    );
    world.engine.start(&id).await.expect("started already");
    world
        .engine
        .remove(&id)
        .await
        .expect("removed while it ran");
    world.engine.remove(&id).await.expect("nothing to remove");
    world
        .engine
        .kill(&id, "SIGTERM")
        .await
        .expect("nothing to kill");
    let error = world.engine.wait(&id).await.expect_err("gone");
    assert!(
        matches!(error.kind(), ErrorKind::NotFound { .. }),
        "{error:?}"
    );
}

impl World {
    /// The same spec, for a second container of the same name.
    fn spec_again(&self) -> ContainerSpec {
        let mut spec = self.spec_of_nothing();
        spec.name = self.names.container();
        spec
    }

    /// A spec without generated files (they are written once).
    fn spec_of_nothing(&self) -> ContainerSpec {
        let mounts = RunMounts {
            workspace: self.dirs.workspace(),
            io: self.dirs.io(),
            spool: self.dirs.spool(),
            worker: self.worker.clone(),
            tool: None,
            accounts: None,
            extra: Vec::new(),
        };
        let network = Network::default();
        container_spec(
            &self.policy,
            &mounts,
            &network,
            &self.image,
            self.names.launcher,
            &self.names.container(),
        )
    }
}

#[tokio::test]
async fn a_stop_is_one_sigterm_and_then_patience() {
    let world = World::new(
        "trap 'echo caught >/gantry/spool/signal; exit 5' TERM\n\
         busybox touch /gantry/spool/ready\nwhile :; do busybox sleep 0.05; done",
    )
    .await;
    let id = world.started().await;
    let ready = world.dirs.spool().join("ready");
    wait_until("the trap is set", || ready.exists());
    world
        .engine
        .stop(&id, Duration::from_secs(20))
        .await
        .expect("stopped");
    assert_eq!(world.engine.wait(&id).await.expect("an exit").code, 5);
    assert_eq!(world.spool("signal"), "caught\n");
    world
        .engine
        .stop(&id, Duration::ZERO)
        .await
        .expect("stopped already");
    world
        .engine
        .kill(&id, "SIGKILL")
        .await
        .expect("dead already");
}

#[tokio::test]
async fn too_much_memory_is_told_from_other_ends() {
    // The engine hears of it from the kernel beside the container's end: the end waits until it has.
    let world = World::new(
        "busybox dd if=/dev/zero of=/tmp/x bs=1M count=512\n\
         until [ -e /gantry/spool/heard ]; do busybox sleep 0.05; done; exit 3",
    )
    .await;
    let mut spec = world.spec();
    spec.limits.memory = 32 << 20;
    for tmpfs in &mut spec.tmpfs {
        tmpfs.size = 512 << 20;
    }
    let id = world.engine.create(&spec).await.expect("created");
    world.engine.start(&id).await.expect("started");
    let only = format!("container={}", id.as_str());
    let heard = [
        "events",
        "--since",
        "5m",
        "--until",
        "0s",
        "--filter",
        &only,
        "--filter",
        "event=oom",
    ];
    wait_until("the engine has heard of it", || !docker(&heard).is_empty());
    std::fs::write(world.dirs.spool().join("heard"), "").expect("written");
    let exit = world.engine.wait(&id).await.expect("an exit");
    assert!(exit.oom_killed && exit.code == 3, "{exit:?}");
}

#[tokio::test]
async fn what_can_not_start_says_why() {
    let world = World::new("echo the last words >&2; exit 9").await;
    let (id, exit) = world.ended().await;
    assert_eq!(exit.code, 9);
    let words = world.engine.last_words(&id, 4096).await.expect("words");
    assert_eq!(String::from_utf8_lossy(&words), "the last words\n");
    world.engine.remove(&id).await.expect("removed");

    let mut spec = world.spec_of_nothing();
    spec.entrypoint = vec!["/gantry/bin/absent".into()];
    let id = world.engine.create(&spec).await.expect("created");
    let error = world.engine.wait(&id).await.expect_err("never started");
    assert!(
        matches!(error.kind(), ErrorKind::Conflict { .. }),
        "{error:?}"
    );
    let error = world.engine.start(&id).await.expect_err("no such program");
    let said = format!("{:?}", error.kind());
    assert!(said.contains("absent"), "{said}");
    world.engine.remove(&id).await.expect("removed");

    spec.mounts[0].source = "/nonexistent/gantry".into();
    let error = world
        .engine
        .create(&spec)
        .await
        .expect_err("no such directory");
    assert!(
        matches!(error.kind(), ErrorKind::Refused { status: 400, .. }),
        "{error:?}"
    );
    spec.mounts.remove(0);
    spec.image = format!("127.0.0.1:1/x@sha256:{}", "0".repeat(64));
    let error = world.engine.create(&spec).await.expect_err("no such image");
    assert!(
        matches!(error.kind(), ErrorKind::NotFound { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_hosts_network_is_found_out_by_its_id() {
    let (engine, _) = engine().await;
    let host = engine.network("host").await.expect("every engine has it");
    let by_id = Network::parse(&host.id).expect("looks like any id");
    assert!(by_id.confirm(&host).is_err());
    let bridge = engine.network("bridge").await.expect("every engine has it");
    assert!(Network::default().confirm(&bridge).is_ok());
    let error = engine
        .network("gantry-nonexistent")
        .await
        .expect_err("none");
    assert!(
        matches!(error.kind(), ErrorKind::NotFound { .. }),
        "{error:?}"
    );
}
