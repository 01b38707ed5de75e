//! The machines that runs are made for: which image of an index, which worker, which tool.
//!
//! Takes the ways in which the field writes them, gives one value. Never: a machine that no worker is built for.

use std::fmt;
use std::str::FromStr;

/// An architecture that workers are built for; all of them run Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

/// A text that names no machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is neither `linux/amd64` nor `linux/arm64`")]
pub struct UnknownMachine;

impl Machine {
    const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// What this program was built for; nothing where no worker is built for that.
    pub fn own() -> Option<Self> {
        let own = |machine: &Self| machine.kernel() == std::env::consts::ARCH;
        Self::ALL.into_iter().find(own)
    }

    /// By the architecture of an image or an engine, such as `arm64`.
    pub fn of_image(architecture: &str) -> Option<Self> {
        let same = |machine: &Self| machine.go() == architecture;
        Self::ALL.into_iter().find(same)
    }

    /// As kernels and our manifests write it.
    pub fn kernel(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As Go, images and the publishers of tools write it.
    pub fn go(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.go())
    }
}

impl FromStr for Machine {
    type Err = UnknownMachine;

    fn from_str(text: &str) -> Result<Self, UnknownMachine> {
        let architecture = text.strip_prefix("linux/").ok_or(UnknownMachine)?;
        Self::of_image(architecture).ok_or(UnknownMachine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read_as_it_is_written() {
        for machine in Machine::ALL {
            assert_eq!(machine.to_string().parse(), Ok(machine));
        }
        for text in [
            "",
            "amd64",
            "linux/",
            "linux/riscv64",
            "windows/amd64",
            "linux/arm64/v8",
        ] {
            assert_eq!(text.parse::<Machine>(), Err(UnknownMachine), "{text}");
        }
    }
}
