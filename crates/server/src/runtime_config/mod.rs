//! Settings in repositories (`.spacelift/config.yml`) and those given with a trigger.
//!
//! Takes texts that others wrote, gives what they change of a run's settings, and what was left out of them.
//! Never: I/O, an unknown key that is passed over, a text that takes more memory than its bounds.

mod apply;
mod parse;
mod settings;

pub use apply::{Applied, Trust, apply};
pub use parse::{FILE_LIMIT, RuntimeConfigError, parse_file, parse_given};
pub use settings::Settings;

/// Where the file stands in a repository.
pub const PATH: &str = ".spacelift/config.yml";

/// A stack with this label takes nothing from the file.
pub const IGNORE_LABEL: &str = "feature:ignore_runtime_config";

/// A stack with this label lets branches other than its own change everything that the file can.
pub const BRANCHES_LABEL: &str = "feature:branch_runtime_config";
