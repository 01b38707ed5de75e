//! A repository that keeps git waiting.
//!
//! Takes a repository in a local directory, gives the moment at which git reads it. Never: a reader that waits for ever.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use crate::repo::Repo;
use crate::wait::{LONG, wait_for};

/// Put in the place of a repository's configuration, which git reads first.
#[derive(Debug)]
pub struct SlowRepo {
    config: PathBuf,
    text: Vec<u8>,
    writer: Option<File>,
}

impl SlowRepo {
    /// From now on git waits when it opens `repo`.
    pub fn of(repo: &Repo) -> Self {
        let url = repo.url();
        let bare = Path::new(url.strip_prefix("file://").expect("a local repository"));
        let config = bare.join("config");
        let text = fs::read(&config).expect("a local repository");
        let pipe = bare.join("config.pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o644), 0)
            .expect("a local repository");
        fs::set_permissions(&pipe, fs::Permissions::from_mode(0o644)).expect("a local repository");
        fs::rename(&pipe, &config).expect("a local repository");
        let writer = None;
        Self {
            config,
            text,
            writer,
        }
    }

    /// Waits until git reads.
    pub fn wait_read(&mut self) {
        let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).expect("a local repository");
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
    pub fn release(&mut self) {
        let whole = self.config.with_extension("whole");
        fs::write(&whole, &self.text).expect("a local repository");
        fs::rename(&whole, &self.config).expect("a local repository");
        if let Some(mut writer) = self.writer.take() {
            // Whoever read is gone by now where the fault has ended it.
            writer.write_all(&self.text).ok();
        }
    }
}
