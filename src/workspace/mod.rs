//! What a run has on the host's disk: its directories, files, packed workspace, spool, and executables.
//!
//! Takes the data directory and names; gives paths, streams and facts. Never: a link followed in a directory
//! that a run has written to, a path used where a directory handle will do, or ownership changed after a
//! stranger's code had the directory.
//!
//! Every step into such a directory goes one name at a time with no-follow, from a handle ([`beneath`]): what
//! a run renames or links meanwhile can't lead out of it.

mod beneath;
mod binary;
mod dirs;
mod files;
mod held;
mod layout;
mod pack;
mod package;
mod remove;
mod size;
mod spool;
mod unpack;
mod upload;
mod usage;

pub use beneath::Owner;
pub use binary::{BinaryStore, StoreError};
pub use dirs::{DataDir, DirsError, RunDirs};
pub use files::{FileError, LaidFile, MAX_MOUNTED_FILE, check_path, lay_files};
pub use held::held_bytes;
pub use layout::{Bounds, CONTAINER_ROOT, LinkRule};
pub use pack::{PackError, PackReport, pack};
pub use package::{lay_package, read_plain, take_package};
pub use remove::{Leftover, remove_tree};
pub use size::tree_size;
pub use spool::{LogRead, MAX_OFFSET, SpoolError, SpoolReader, left_in};
pub use unpack::{UnpackError, UnpackReport, unpack};
pub use upload::{UploadError, unpack_upload};
pub use usage::{Usage, free_bytes, usage};
