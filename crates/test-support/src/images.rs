//! Runner images for tests: busybox with Terraform, and nothing but Terraform.
//!
//! Takes the host's static busybox and Terraform, gives images in a registry whose storage is kept between
//! test runs under a name made of their content. Never: an image from anywhere else.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gantry_protocol::Digest;
use tempfile::TempDir;

use crate::docker::Docker;
use crate::programs::find_program;

/// Changes when the recipe below does.
const RECIPE: u32 = 1;

/// One image in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `host:port/repository:tag`.
    pub tag: String,
    /// `host:port/repository@sha256:…`.
    pub digest: String,
}

/// The images of the tests.
#[derive(Clone, Debug)]
pub struct Images {
    /// busybox (with `sh`) and Terraform.
    pub busybox: Image,
    /// Terraform alone: no shell, no accounts, no libc.
    pub scratch: Image,
}

impl Images {
    /// Where the registry keeps what it holds: under the user's cache, by content.
    pub fn storage() -> PathBuf {
        let path = cache().join("registry");
        fs::create_dir_all(&path).expect("make the registry's storage");
        path
    }

    /// Builds and pushes what the registry at `address` lacks.
    pub(crate) fn ready(docker: Docker, address: &str) -> Self {
        let lock = File::create(cache().join("lock")).expect("make the cache's lock");
        lock.lock().expect("lock the cache");
        let image = |name: &str, fill: fn(&Path)| {
            let repository = format!("{address}/it/{name}");
            let tag = format!("{repository}:1");
            let known = cache().join(format!("{name}.digest"));
            let digest = match fs::read_to_string(&known) {
                Ok(digest) => digest,
                Err(_) => {
                    let digest = build_and_push(docker, &tag, fill);
                    fs::write(&known, &digest).expect("keep the image's digest");
                    digest
                }
            };
            Image {
                tag,
                digest: format!("{repository}@{digest}"),
            }
        };
        Self {
            busybox: image("busybox", fill_busybox),
            scratch: image("scratch", fill_scratch),
        }
    }

    /// Removes from the daemon what runs have pulled.
    pub(crate) fn forget(&self, docker: Docker) {
        for image in [&self.busybox, &self.scratch] {
            docker.tries(&["image", "rm", &image.digest]);
        }
    }
}

fn terraform() -> PathBuf {
    find_program("terraform", "terraform (one executable, in /usr/local/bin)")
}

fn busybox() -> PathBuf {
    find_program("busybox", "busybox-static")
}

fn cache() -> PathBuf {
    static KEY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let key = KEY.get_or_init(|| {
        let content = [terraform(), busybox()].map(|path| fs::read(path).expect("read a program"));
        let digests = content.map(|bytes| Digest::of(&bytes).to_string());
        let all = Digest::of(format!("{RECIPE} {}", digests.join(" ")).as_bytes());
        all.to_string()
            .trim_start_matches("sha256:")
            .chars()
            .take(16)
            .collect()
    });
    let path = std::env::temp_dir().join(format!("gantry-it-images-{key}"));
    fs::create_dir_all(&path).expect("make the images' cache");
    path
}

fn build_and_push(docker: Docker, tag: &str, fill: fn(&Path)) -> String {
    let root = TempDir::new().expect("a directory for the image");
    fill(root.path());
    let mut tar = Command::new(find_program("tar", "tar"));
    tar.args(["--owner=0", "--group=0", "-C"])
        .arg(root.path())
        .args(["-c", "."]);
    let mut tar = tar.stdout(Stdio::piped()).spawn().expect("run tar");
    let packed = tar.stdout.take().expect("tar's output");
    let mut import = Docker::command();
    import
        .args([
            "import",
            "--change",
            "ENV PATH=/usr/local/bin:/bin",
            "-",
            tag,
        ])
        .stdin(packed);
    let imported = import.output().expect("run docker import");
    assert!(
        imported.status.success(),
        "docker import: {}",
        String::from_utf8_lossy(&imported.stderr)
    );
    assert!(tar.wait().expect("wait for tar").success(), "tar failed");
    docker.run(&["push", "--quiet", tag]);
    let digests = docker.run(&[
        "image",
        "inspect",
        "--format",
        "{{range .RepoDigests}}{{println .}}{{end}}",
        tag,
    ]);
    let repository = tag.rsplit_once(':').expect("a tag").0;
    let digest = digests
        .lines()
        .find_map(|line| line.strip_prefix(repository)?.strip_prefix('@'));
    let digest = digest.expect("the registry gives a digest").to_owned();
    // Runs have to pull it.
    docker.tries(&["image", "rm", tag, &format!("{repository}@{digest}")]);
    digest
}

fn fill_busybox(root: &Path) {
    fill_scratch(root);
    let bin = root.join("bin");
    fs::create_dir_all(&bin).expect("make /bin");
    fs::copy(busybox(), bin.join("busybox")).expect("copy busybox");
    let listed = Command::new(busybox())
        .arg("--list")
        .output()
        .expect("run busybox");
    let names = String::from_utf8(listed.stdout).expect("busybox prints text");
    for name in names.lines().filter(|name| *name != "busybox") {
        symlink("busybox", bin.join(name)).expect("link an applet");
    }
    fs::create_dir_all(root.join("etc")).expect("make /etc");
    let passwd = "root:x:0:0:root:/root:/bin/sh\nrunner:x:1983:1983:runs:/home/runner:/bin/sh\n";
    fs::write(root.join("etc/passwd"), passwd).expect("write passwd");
    fs::write(root.join("etc/group"), "root:x:0:\nrunner:x:1983:\n").expect("write group");
}

fn fill_scratch(root: &Path) {
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("open the image's root");
    let bin = root.join("usr/local/bin");
    fs::create_dir_all(&bin).expect("make /usr/local/bin");
    fs::copy(terraform(), bin.join("terraform")).expect("copy terraform");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bin.join("terraform"), executable).expect("make terraform executable");
}
