//! A repository that keeps git waiting.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use gantry_test_support::{LONG, Repo, wait_for};
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Put in the place of a repository's configuration, which git reads first.
#[derive(Debug)]
pub(crate) struct SlowRepo {
    config: PathBuf,
    text: Vec<u8>,
    writer: Option<File>,
}

impl SlowRepo {
    pub(crate) fn of(repo: &Repo) -> Self {
        let url = repo.url();
        let bare = Path::new(url.strip_prefix("file://").unwrap());
        let config = bare.join("config");
        let text = fs::read(&config).unwrap();
        let pipe = bare.join("config.pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        fs::set_permissions(&pipe, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(&pipe, &config).unwrap();
        let writer = None;
        Self {
            config,
            text,
            writer,
        }
    }

    /// Waits until git reads.
    pub(crate) fn wait_read(&mut self) {
        let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
        let mut options = File::options();
        let options = options.write(true).custom_flags(nonblock);
        let opened = wait_for("git to read the repository", LONG, || {
            options
                .open(&self.config)
                .map_err(|error| error.to_string())
        });
        self.writer = Some(opened);
    }

    /// Gives git what it reads, and everybody after it at once.
    pub(crate) fn release(&mut self) {
        let whole = self.config.with_extension("whole");
        fs::write(&whole, &self.text).unwrap();
        fs::rename(&whole, &self.config).unwrap();
        if let Some(mut writer) = self.writer.take() {
            // Whoever read is gone by now where the fault has ended it.
            writer.write_all(&self.text).ok();
        }
    }
}
