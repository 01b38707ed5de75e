//! The control plane's process: all it does is start and say how it ended.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // Every TLS set-up below asks for the process's provider; there is one, ring.
    gantry_net::install_crypto();
    gantry_server::process::run().await.into()
}
