//! A run that is held in a phase, in a world of its own.
//!
//! Takes a phase, gives the run and the means to let it go. Never: a phase that is only assumed to be reached.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gantry_test_support::{
    Checkpoint, Docker, Hold, LONG, Launcher, Registry, Run, SHORT, Seen, SlowRepo, Stack, World,
    wait_for,
};

use crate::expected::Phase;

/// Longest time of a run from the end of a fault to its own end: a lost lease, back-off, a second attempt.
const END: Duration = Duration::from_secs(300);

/// Lines of a printed block.
pub(crate) const LINES: usize = 2000;

/// Everything around a run.
pub(crate) struct Scene<'w> {
    pub(crate) phase: Phase,
    pub(crate) world: &'w World,
    /// Between the launcher and the server, behind the wire.
    pub(crate) control: Checkpoint,
    /// Between dockerd and the registry.
    images: Checkpoint,
    slow: Option<SlowRepo>,
    image: String,
    pub(crate) stack: Stack<'w>,
    pub(crate) run: Run<'w>,
}

impl<'w> Scene<'w> {
    /// Everything but the launcher; the run waits for one.
    pub(crate) fn set(world: &'w World, phase: Phase) -> Self {
        let control = Checkpoint::before(world.server().address());
        world.wire().connect_to(control.address());
        let images = Checkpoint::before(world.registry().parse().unwrap());
        let tag = match phase {
            // What an engine has of an image it does not ask for again.
            Phase::Pulling => Registry::shared().variant(&unique(world)),
            _ => "1".to_owned(),
        };
        let repo = world.repo("code");
        repo.commit(&[("main.tf", &code(phase))]);
        let evidence = evidence(world);
        fs::create_dir(&evidence).unwrap();
        std::os::unix::fs::chown(&evidence, Some(1983), Some(1983)).unwrap();
        let stack = stack(world, &repo, phase);
        let run = stack.deploy();
        let slow = (phase == Phase::Preparing).then(|| SlowRepo::of(&repo));
        Self {
            image: format!("{}/it/busybox:{tag}", images.address()),
            phase,
            world,
            control,
            images,
            slow,
            stack,
            run,
        }
    }

    /// The launcher that will get the run.
    pub(crate) fn launcher(&self) -> Launcher {
        let mount = format!("{}:/mnt/evidence", evidence(self.world).display());
        let launcher = self.world.launcher("a");
        let launcher = launcher.env("SPACELIFT_DEFAULT_RUNNER_IMAGE", &self.image);
        let allowed = self.images.address().to_string();
        let launcher = launcher.env("GANTRY_ALLOWED_REGISTRIES", &allowed);
        let launcher = launcher.env("GANTRY_NETWORK_POOL", &own_networks());
        launcher
            .env("SPACELIFT_WORKER_EXTRA_MOUNTS", &mount)
            .start()
    }

    /// Arms what holds the run: before the launcher starts.
    pub(crate) fn arm(&self) {
        match self.phase {
            Phase::Leased => self.control.hold(Hold::Answer("/v1/inbox", "\"envelope\"")),
            Phase::Verifying => self.images.hold(Hold::Request("", "/manifests/")),
            // The first one asks for the digest.
            Phase::Pulling => self.images.hold_after(1, Hold::Request("", "/blobs/")),
            Phase::Packing => self.control.hold(Hold::Request("PUT", "/workspace")),
            Phase::Restoring => self.control.hold(Hold::Request("GET", "/workspace")),
            Phase::Reporting => self.control.hold(Hold::Request("POST", "/result")),
            Phase::Preparing | Phase::Initializing | Phase::Planning | Phase::Applying => {}
        }
    }

    /// Waits until the run stands in its phase.
    pub(crate) fn reach(&mut self, launcher: &Launcher) {
        let made = |name| launcher.run_dir(self.run.id(), 1).wait_file(name);
        match self.phase {
            Phase::Leased | Phase::Packing | Phase::Reporting => self.control.wait_held(LONG),
            Phase::Verifying => self.images.wait_held(LONG),
            Phase::Pulling => {
                self.images.wait_held(LONG);
                self.run.wait_log("PREPARING", "pulling image");
            }
            Phase::Preparing => self.slow.as_mut().unwrap().wait_read(),
            Phase::Initializing => made("in-init"),
            Phase::Planning => made("in-plan"),
            Phase::Applying => made("in-apply"),
            Phase::Restoring => {
                self.run.wait("UNCONFIRMED");
                self.run.confirm();
                self.control.wait_held(LONG);
            }
        }
    }

    /// Lets the run go on.
    pub(crate) fn release(&mut self) {
        self.control.release();
        self.images.release();
        if let Some(slow) = &mut self.slow {
            slow.release();
        }
    }

    /// Waits until a run has ended, confirming its plan and opening its hooks on the way.
    pub(crate) fn finish(&self, run: &Run<'_>, launcher: &Launcher) -> Seen {
        let mut opened = BTreeSet::new();
        wait_for(&format!("run {} to end", run.id()), END, || {
            open_hooks(launcher.data_dir(), &mut opened);
            let seen = run.try_look()?;
            if seen.state == "UNCONFIRMED" {
                run.confirm();
            }
            match seen.finished {
                true => Ok(seen),
                false => Err(format!("{seen:?}")),
            }
        })
    }

    /// Takes what the run pulled from the engine.
    pub(crate) fn forget_images(&self) {
        let reference = format!("reference={}/it/busybox", self.images.address());
        let format = "{{.Repository}}@{{.Digest}}";
        let listed = Docker.run(&[
            "images",
            "--digests",
            "--filter",
            &reference,
            "--format",
            format,
        ]);
        for image in listed.lines() {
            Docker.tries(&["image", "rm", image]);
        }
    }

    /// How often something was really applied, as the host knows it.
    pub(crate) fn applied(&self) -> usize {
        let text = fs::read_to_string(evidence(self.world).join("applied"));
        text.unwrap_or_default().lines().count()
    }
}

/// Addresses that no other cell of this process uses.
fn own_networks() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % (16 * 256);
    format!("10.215.{}.{}/28", next / 16, next % 16 * 16)
}

fn evidence(world: &World) -> PathBuf {
    world.dir().join("evidence")
}

fn unique(world: &World) -> String {
    let name = world.dir().file_name().unwrap().to_str().unwrap();
    name.to_ascii_lowercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

fn stack<'w>(world: &'w World, repo: &gantry_test_support::Repo, phase: Phase) -> Stack<'w> {
    let mut stack = world
        .stack("matrix", repo)
        .option("--before-init", &block("init"))
        .option("--before-plan", &block("plan"))
        .option("--before-apply", &block("apply"))
        .option("--after-apply", &block("end"));
    stack = match phase {
        Phase::Initializing => stack.option("--before-init", &waiting("init")),
        Phase::Planning => stack.option("--after-plan", &waiting("plan")),
        _ => stack,
    };
    if !phase.waits_for_a_person() {
        stack = stack.autodeploy();
    }
    stack.create()
}

/// Code whose apply leaves a line on the host.
fn code(phase: Phase) -> String {
    let wait = match phase {
        Phase::Applying => waiting("apply"),
        _ => "true".to_owned(),
    };
    format!(
        r#"
resource "terraform_data" "it" {{
  input = "made"
  provisioner "local-exec" {{
    command = "echo applied >> /mnt/evidence/applied; {wait}"
  }}
}}
output "said" {{ value = terraform_data.it.output }}
"#
    )
}

/// Prints numbered lines.
fn block(name: &str) -> String {
    format!("awk 'BEGIN {{ for (i = 0; i < {LINES}; i++) printf \"{name}-block %08d\\n\", i }}'")
}

fn waiting(name: &str) -> String {
    format!(
        "touch /mnt/workspace/in-{name}; until [ -e /mnt/workspace/go-{name} ]; do sleep 0.1; done"
    )
}

/// Opens every hook that waits in a run of this data directory, each once: an opened one may be on its way out.
fn open_hooks(data: &Path, opened: &mut BTreeSet<PathBuf>) {
    let runs = fs::read_dir(data.join("runs")).into_iter().flatten();
    for run in runs.flatten() {
        let workspace = run.path().join("workspace");
        for name in ["init", "plan", "apply"] {
            let go = workspace.join(format!("go-{name}"));
            if workspace.join(format!("in-{name}")).exists() && opened.insert(go.clone()) {
                // The directory may go at any time: then nobody waits in it.
                fs::write(&go, "").ok();
            }
        }
    }
}

/// Waits for something that has to be so soon.
pub(crate) fn soon(what: &str, look: impl FnMut() -> Result<(), String>) {
    wait_for(what, SHORT, look);
}
