//! Exit codes of the launcher: stable, so that units and scripts may depend on them.

use std::process::ExitCode;

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Drained, or cycled: a supervisor may start a fresh process. Also a command that did what it was asked.
    Drained,
    /// Something here failed (Docker, the data directory). Also a command's "no".
    Failed,
    /// The configuration is wrong (`EX_USAGE`): starting again changes nothing.
    BadConfig,
    /// The server refuses this launcher (revoked, quarantined, wrong pool): a person has to look.
    Refused,
    /// A newer process uses this data directory's identity.
    Fenced,
    /// Told three times to stop: containers were left for the next process.
    Left,
    /// A command found no answer (`EX_UNAVAILABLE`): what it had to ask failed.
    Unavailable,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Failed => 1,
            Self::BadConfig => 64,
            Self::Refused => 65,
            Self::Fenced => 66,
            Self::Left => 67,
            Self::Unavailable => 69,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_stable() {
        let all = [
            Exit::Drained,
            Exit::Failed,
            Exit::BadConfig,
            Exit::Refused,
            Exit::Fenced,
            Exit::Left,
            Exit::Unavailable,
        ];
        assert_eq!(all.map(Exit::code), [0, 1, 64, 65, 66, 67, 69]);
    }
}
