//! The words after `gantry ca`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Prints the value of ADDITIONAL_ROOT_CAS that makes every component trust these CAs besides the known ones
    Bundle {
        /// Certificates of CAs, PEM or DER
        #[arg(required = true, value_name = "CERT")]
        files: Vec<PathBuf>,
        /// Takes certificates too that are no CA or have ended
        #[arg(long)]
        force: bool,
    },
}
