//! The images of docs/RUNNER-IMAGES.md, built from the very text that stands there.
//!
//! Takes the page's Dockerfiles, gives images that runs execute in. Never: a copy of the page that could differ.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gantry_test_support::{Docker, World, find_program};

use super::CODE;

const PAGE: &str = include_str!("../../../docs/RUNNER-IMAGES.md");

/// The Dockerfile behind this mark of the page.
fn dockerfile(name: &str) -> &'static str {
    let mark = format!("<!-- dockerfile: {name} -->\n\n```dockerfile\n");
    let (_, rest) = PAGE
        .split_once(&mark)
        .expect("the page has this Dockerfile");
    rest.split_once("```").expect("a closed block").0
}

/// A local image; its tag goes with it.
pub(super) struct Built {
    pub(super) tag: String,
}

impl Built {
    /// Builds a Dockerfile of the page, beside executable files of these names.
    pub(super) fn documented(
        name: &str,
        tag: &str,
        args: &[(&str, &str)],
        files: &[(&str, &Path)],
    ) -> Self {
        Self::new(dockerfile(name), tag, args, files)
    }

    fn new(text: &str, tag: &str, args: &[(&str, &str)], files: &[(&str, &Path)]) -> Self {
        let context = tempfile::tempdir().unwrap();
        fs::write(context.path().join("Dockerfile"), text).unwrap();
        for (name, from) in files {
            let path = context.path().join(name);
            fs::copy(from, &path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut call = vec!["build".to_owned(), "--quiet".to_owned()];
        for (name, value) in args {
            call.extend(["--build-arg".to_owned(), format!("{name}={value}")]);
        }
        call.extend(["--tag", tag, context.path().to_str().unwrap()].map(str::to_owned));
        let call: Vec<&str> = call.iter().map(String::as_str).collect();
        Docker::answering().run(&call);
        Self {
            tag: tag.to_owned(),
        }
    }

    /// Puts it where launchers find it.
    pub(super) fn push(&self) {
        Docker.run(&["push", "--quiet", &self.tag]);
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        Docker.tries(&["image", "rm", "--force", &self.tag]);
    }
}

#[test]
fn images_as_documented_run_plans_and_applies() {
    let world = World::start();
    let ours = world.images().busybox.tag.clone();
    let tag = |name: &str| format!("{}/it/{name}:1", world.registry());
    let busybox = find_program("busybox", "busybox-static");
    // A base that has a shell and nothing of ours.
    let text = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\n";
    let base = Built::new(text, &tag("base"), &[], &[("busybox", &busybox)]);
    let helper = world.dir().join("helper");
    fs::write(&helper, "#!/bin/sh\necho the helper helps\n").unwrap();

    let on_ours = Built::documented(
        "on-ours",
        &tag("on-ours"),
        &[("RUNNER", &ours)],
        &[("deploy-helper", &helper)],
    );
    let in_yours = Built::documented(
        "in-yours",
        &tag("in-yours"),
        &[("RUNNER", &ours), ("BASE", &base.tag)],
        &[],
    );
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let _launcher = world.launcher("a").start();
    for (id, image, hook, said) in [
        ("on-ours", &on_ours, "deploy-helper", "the helper helps"),
        ("in-yours", &in_yours, "busybox echo shell", "shell"),
    ] {
        image.push();
        let stack = world
            .stack(id, &repo)
            .autodeploy()
            .option("--runner-image", &image.tag)
            .option("--before-plan", hook)
            .create();
        let run = stack.deploy();
        run.wait("FINISHED");
        run.wait_log("PLANNING", said);
        assert_eq!(stack.output("said").as_deref(), Some("\"hello\""), "{id}");
    }
}
