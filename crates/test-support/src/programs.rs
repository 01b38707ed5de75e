//! Where the programs under test are.
//!
//! Takes a name, gives a path. Never: a program of another build without saying so.

use std::path::{Path, PathBuf};

/// The one variable that the tests read: the directory of the programs under test.
const BIN_DIR: &str = "GANTRY_BIN_DIR";

/// How to make them.
const BUILD: &str = "scripts/test test (or: RUSTFLAGS='-C target-feature=+crt-static' cargo build --workspace --bins --target \
    x86_64-unknown-linux-gnu, and the tests with the same flags)";

/// Part of a dynamic executable's header, never of a static one's.
const LOADER: &[u8] = b"/ld-linux";

/// A program of this repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `gantry-server`.
    Server,
    /// `gantry-launcher`.
    Launcher,
    /// `gantry-worker`, which has to be static.
    Worker,
    /// `gantry`.
    Cli,
    /// `gantry-vcs-agent`.
    VcsAgent,
    /// `gantry-code-host`: a Git host for tests.
    CodeHost,
    /// `gantry-breakout`: what hostile code would try. Static, because any image has to run it.
    Breakout,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "gantry-server",
            Self::Launcher => "gantry-launcher",
            Self::Worker => "gantry-worker",
            Self::Cli => "gantry",
            Self::VcsAgent => "gantry-vcs-agent",
            Self::CodeHost => "gantry-code-host",
            Self::Breakout => "gantry-breakout",
        }
    }

    /// The executable.
    ///
    /// # Panics
    /// When it was not built, or the worker is not static; says what to do.
    pub fn path(self) -> PathBuf {
        let path = directory().join(self.name());
        assert!(
            path.is_file(),
            "`{}` is missing; build it: {BUILD}",
            path.display()
        );
        if matches!(self, Self::Worker | Self::Breakout) {
            assert_static(&path);
        }
        path
    }
}

/// `GANTRY_BIN_DIR`, or the directory above the test executable's.
fn directory() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of the tests that reads the environment"
    )]
    if let Some(dir) = std::env::var_os(BIN_DIR).filter(|dir| !dir.is_empty()) {
        return PathBuf::from(dir);
    }
    let own = std::env::current_exe().expect("the path of the test executable");
    let dir = own
        .ancestors()
        .nth(2)
        .expect("a test executable lies in target/…/deps");
    dir.to_owned()
}

fn assert_static(path: &Path) {
    let content = std::fs::read(path).expect("read the worker");
    let head = &content[..content.len().min(4096)];
    assert!(
        !head.windows(LOADER.len()).any(|part| part == LOADER),
        "`{}` is not static, so it can't start in every image; build it: {BUILD}",
        path.display()
    );
}

/// A program of the host, from the usual directories.
///
/// # Panics
/// When it is missing; names the package that has it.
pub fn find_program(name: &str, package: &str) -> PathBuf {
    let dirs = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    let found = dirs
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("`{name}` is missing on this host: install {package}"))
}
