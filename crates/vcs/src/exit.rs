//! Exit codes of the agent: stable, so that units and scripts may depend on them.

use std::process::ExitCode;

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Told to stop, and everything that was asked before has its answer. Also a verdict of "admitted".
    Drained,
    /// The configuration is wrong, or something here failed. Also a verdict of "refused".
    Failed,
    /// The gateway never let this agent in: the token is not, or no longer, that of a pool.
    Refused,
    /// Told to stop, and requests were cut: the drain limit passed, or a second signal came.
    Cut,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Failed => 1,
            Self::Refused => 65,
            Self::Cut => 67,
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
        let all = [Exit::Drained, Exit::Failed, Exit::Refused, Exit::Cut];
        assert_eq!(all.map(Exit::code), [0, 1, 65, 67]);
    }
}
