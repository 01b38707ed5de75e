//! Providers that do not come from a registry: the host's mirror and the image's `/plugins`.
//!
//! Takes the directories that exist, makes the tool find them, and afterwards makes the workspace whole: the
//! tool links what it finds in such a directory, and a link out of the workspace would be missing at the apply.
//! Must never happen here: a configuration of the stack's own replaced, or a download where the host's owner
//! gave a mirror and the stack said nothing else.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::env::Environment;

/// Variables by which a stack names a configuration of its own.
const OWN_CONFIGURATION: [&str; 2] = ["TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG"];

/// The configuration that the worker adds; the tool reads every `*.tfrc` beside it too.
const CONFIGURATION: &str = "gantry.tfrc";

/// Steps from the tool's `providers` directory to a package: host, namespace, type, version, platform.
const STEPS: usize = 5;

/// Largest configuration of a stack that is looked into, in bytes.
const MAX_CONFIGURATION: u64 = 1 << 20;

/// Something with a provider that did not work.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} `{}`", path.display())]
pub struct ProviderError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Directories with providers in this container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Providers {
    mirror: Option<PathBuf>,
    plugins: Option<PathBuf>,
}

/// What was done so that the tool finds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// There are none.
    Nothing,
    /// The stack's own configuration stands; this is what it passes over.
    Own(String),
    /// The image's plugins come before the registries.
    Plugins,
    /// The host's mirror (and the image's plugins) instead of every registry.
    Mirror,
}

impl Providers {
    /// Those of the two that are directories.
    pub fn new(mirror: &Path, plugins: &Path) -> Self {
        let present = |path: &Path| path.is_dir().then(|| path.to_owned());
        Self {
            mirror: present(mirror),
            plugins: present(plugins),
        }
    }

    /// Makes the tool find them. Done again it changes nothing.
    ///
    /// # Errors
    /// [`ProviderError`] when the home directory can't be written.
    pub fn offer(&self, env: &Environment) -> Result<Offer, ProviderError> {
        let Some(first) = self.mirror.as_ref().or(self.plugins.as_ref()) else {
            return Ok(Offer::Nothing);
        };
        let own = |why: &str| {
            Ok(Offer::Own(format!(
                "{why}: `{}` is not offered",
                first.display()
            )))
        };
        if let Some(name) = OWN_CONFIGURATION
            .iter()
            .find(|name| env.get(name).is_some())
        {
            return own(&format!("{name} is set"));
        }
        let home = env
            .get("HOME")
            .map(Path::new)
            .filter(|home| home.is_absolute());
        let Some(home) = home else {
            return own("HOME is not set");
        };
        let beside = home.join(".terraform.d");
        if let Some(file) = installs_providers(home, &beside) {
            return own(&format!(
                "`{}` says where providers come from",
                file.display()
            ));
        }
        fs::create_dir_all(&beside).map_err(failed("make", &beside))?;
        match &self.mirror {
            Some(mirror) => self.only_mirror(mirror, &beside).map(|()| Offer::Mirror),
            None => link_plugins(first, &beside.join("plugins")).map(|()| Offer::Plugins),
        }
    }

    /// No `direct` method: nothing is downloaded.
    fn only_mirror(&self, mirror: &Path, beside: &Path) -> Result<(), ProviderError> {
        let method = |path: &PathBuf| {
            let path = path.display();
            format!("  filesystem_mirror {{\n    path = \"{path}\"\n  }}\n")
        };
        let places = [Some(mirror.to_owned()), self.plugins.clone()];
        let methods: String = places.iter().flatten().map(method).collect();
        let file = beside.join(CONFIGURATION);
        let text = format!("provider_installation {{\n{methods}}}\n");
        fs::write(&file, text).map_err(failed("write", &file))
    }
}

/// The tool looks into this directory by itself, and leaves the registry alone for what it finds there.
fn link_plugins(plugins: &Path, link: &Path) -> Result<(), ProviderError> {
    match std::os::unix::fs::symlink(plugins, link) {
        // The image's or a hook's own.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
    .map_err(failed("make", link))
}

/// A configuration of the stack that says where providers come from; two of them would be an error.
fn installs_providers(home: &Path, beside: &Path) -> Option<PathBuf> {
    let main = [".terraformrc", ".tofurc"].map(|name| home.join(name));
    let entries = fs::read_dir(beside).into_iter().flatten().flatten();
    let added = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name != CONFIGURATION && (name.ends_with(".tfrc") || name.ends_with(".tfrc.json"))
    });
    main.into_iter().chain(added).find(|path| mentions(path))
}

fn mentions(path: &Path) -> bool {
    use io::Read as _;
    let mut text = Vec::new();
    let Ok(file) = fs::File::open(path) else {
        return false;
    };
    let read = file.take(MAX_CONFIGURATION).read_to_end(&mut text);
    read.is_ok() && String::from_utf8_lossy(&text).contains("provider_installation")
}

/// Puts copies in the place of the packages below `directory` that are links out of `workspace`; gives their number.
///
/// # Errors
/// [`ProviderError`] names the package.
pub fn settle(
    env: &Environment,
    directory: &Path,
    workspace: &Path,
) -> Result<usize, ProviderError> {
    let data = env.get("TF_DATA_DIR").filter(|data| !data.is_empty());
    let providers = directory
        .join(data.unwrap_or(OsStr::new(".terraform")))
        .join("providers");
    if !providers.starts_with(workspace) {
        return Ok(0);
    }
    let mut packages = vec![providers];
    for _ in 0..STEPS {
        let below = packages.iter().filter(|path| !path.is_symlink());
        packages = below.flat_map(|path| children(path)).collect();
    }
    let mut copied = 0;
    for package in packages.iter().filter(|path| leaves(path, workspace)) {
        let beside = package.with_extension("gantry");
        copy_tree(package, &beside)?;
        fs::remove_file(package).map_err(failed("replace", package))?;
        fs::rename(&beside, package).map_err(failed("replace", package))?;
        copied += 1;
    }
    Ok(copied)
}

fn children(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Whether it is a link to a directory outside.
fn leaves(path: &Path, workspace: &Path) -> bool {
    path.is_symlink()
        && path.is_dir()
        && fs::canonicalize(path).is_ok_and(|target| !target.starts_with(workspace))
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), ProviderError> {
    fs::create_dir(to).map_err(failed("make", to))?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match source.is_dir() {
            true => copy_tree(&source, &target)?,
            false => {
                fs::copy(&source, &target).map_err(failed("copy", &source))?;
            }
        }
    }
    Ok(())
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProviderError {
    let path = path.to_owned();
    move |source| ProviderError {
        operation,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct World {
        root: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            for dir in ["home", "mirror", "plugins", "workspace/source"] {
                fs::create_dir_all(root.path().join(dir)).unwrap();
            }
            Self { root }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn env(&self, more: &[(&str, &str)]) -> Environment {
            let mut env = Environment::new([], &[], &[]).unwrap();
            env.set("HOME", self.path("home"));
            for (name, value) in more {
                env.set(*name, *value);
            }
            env
        }

        fn providers(&self, mirror: &str) -> Providers {
            Providers::new(&self.path(mirror), &self.path("plugins"))
        }

        fn configuration(&self) -> Option<String> {
            fs::read_to_string(self.path("home/.terraform.d/gantry.tfrc")).ok()
        }
    }

    #[test]
    fn plugins_are_linked_where_the_tool_looks() {
        let world = World::new();
        let providers = world.providers("none");
        for _ in 0..2 {
            assert_eq!(providers.offer(&world.env(&[])).unwrap(), Offer::Plugins);
        }
        let link = fs::read_link(world.path("home/.terraform.d/plugins")).unwrap();
        assert_eq!(link, world.path("plugins"));
        assert_eq!(world.configuration(), None);
    }

    #[test]
    fn a_mirror_is_the_only_source_besides_plugins() {
        let world = World::new();
        let providers = world.providers("mirror");
        for _ in 0..2 {
            assert_eq!(providers.offer(&world.env(&[])).unwrap(), Offer::Mirror);
        }
        let text = world.configuration().unwrap();
        for dir in ["mirror", "plugins"] {
            assert!(
                text.contains(&world.path(dir).display().to_string()),
                "{text}"
            );
        }
        assert!(!text.contains("direct"), "{text}");
    }

    #[test]
    fn the_stacks_own_configuration_stands() {
        let world = World::new();
        let providers = world.providers("mirror");
        let of_variable = world.env(&[("TF_CLI_CONFIG_FILE", "/x")]);
        let rc = "credentials \"a\" {}\nprovider_installation { direct {} }";
        fs::write(world.path("home/.terraformrc"), rc).unwrap();
        for env in [of_variable, world.env(&[])] {
            let offer = providers.offer(&env).unwrap();
            assert!(matches!(offer, Offer::Own(_)), "{offer:?}");
        }
        assert_eq!(world.configuration(), None);
        // Credentials alone say nothing about where providers come from.
        fs::write(world.path("home/.terraformrc"), "credentials \"a\" {}").unwrap();
        assert_eq!(providers.offer(&world.env(&[])).unwrap(), Offer::Mirror);
        assert_eq!(
            Providers::new(Path::new("/none"), Path::new("/none"))
                .offer(&world.env(&[]))
                .unwrap(),
            Offer::Nothing
        );
    }

    #[test]
    fn links_out_of_the_workspace_become_copies() {
        let world = World::new();
        let package = world.path("mirror/package");
        fs::create_dir_all(package.join("sub")).unwrap();
        fs::write(package.join("terraform-provider-x"), "x").unwrap();
        fs::set_permissions(
            package.join("terraform-provider-x"),
            fs::Permissions::from_mode(0o555),
        )
        .unwrap();
        fs::write(package.join("sub/y"), "y").unwrap();
        let source = world.path("workspace/source");
        let version = source.join(".terraform/providers/h/n/t/1.0.0");
        fs::create_dir_all(&version).unwrap();
        symlink(&package, version.join("linux_amd64")).unwrap();
        let inside = source.join(".terraform/providers/h/n/u/1.0.0");
        fs::create_dir_all(&inside).unwrap();
        fs::create_dir_all(source.join("cache")).unwrap();
        symlink(source.join("cache"), inside.join("linux_amd64")).unwrap();
        let workspace = world.path("workspace");
        for expected in [1, 0] {
            assert_eq!(
                settle(&world.env(&[]), &source, &workspace).unwrap(),
                expected
            );
        }
        let copy = version.join("linux_amd64");
        assert!(!copy.is_symlink());
        let mode = fs::metadata(copy.join("terraform-provider-x"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111);
        assert_eq!(fs::read_to_string(copy.join("sub/y")).unwrap(), "y");
        assert!(inside.join("linux_amd64").is_symlink());
        let elsewhere = world.env(&[("TF_DATA_DIR", "/tmp/elsewhere")]);
        assert_eq!(settle(&elsewhere, &source, &workspace).unwrap(), 0);
    }
}
