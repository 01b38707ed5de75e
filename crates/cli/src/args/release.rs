//! The words after `gantry release`.

use std::path::PathBuf;

use clap::Subcommand;
use gantry_protocol::crypto::EdPublic;

#[derive(Debug, Subcommand)]
pub enum ReleaseCommand {
    /// Makes an Ed25519 release key: the private half into a file, the public half printed
    Keygen {
        /// Where the private key goes (PKCS#8 PEM, mode 0600, a new file)
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Prints the public half of a release key
    Public {
        /// The release key's file
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Signs a worker binary's manifest
    Sign {
        /// The release key's file
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The worker executable
        #[arg(long, value_name = "FILE")]
        binary: PathBuf,
        /// Version to state
        #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
        release: String,
        /// Where the manifest goes; printed otherwise
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Signs a directory of files as one release: writes `release.jws` into it
    Seal {
        /// The release key's file
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The commit that the files were made from
        #[arg(long, value_name = "COMMIT")]
        commit: String,
        /// Version to state
        #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
        release: String,
        /// The directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Verifies a directory that holds a release: signature, then every file
    Verify {
        /// A public key that may have signed it; may be repeated while keys rotate
        #[arg(long, value_name = "KEY", required = true)]
        trust: Vec<EdPublic>,
        /// Files that are listed may be absent (a mirror of some of them)
        #[arg(long)]
        partial: bool,
        /// The directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}
