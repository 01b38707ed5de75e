//! The words after `gantry dev`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where everything is kept [default: /var/lib/gantry-dev for root, else ~/.local/share/gantry/dev]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Directory with gantry-server, gantry-launcher and gantry-worker [default: this program's own]
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// Address of the server on this machine; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1983")]
    pub listen: std::net::SocketAddr,
    /// Image that runs execute in
    #[arg(long, value_name = "IMAGE", env = "SPACELIFT_DEFAULT_RUNNER_IMAGE")]
    pub runner_image: Option<String>,
    /// Registry to allow besides the known ones; may be given more than once
    #[arg(long = "allow-registry", value_name = "HOST[:PORT]")]
    pub allow_registries: Vec<String>,
    /// Directory whose repositories stacks may name by file:// URLs; may be given more than once
    #[arg(long = "allow-source-dir", value_name = "DIR")]
    pub allow_source_dirs: Vec<PathBuf>,
}
