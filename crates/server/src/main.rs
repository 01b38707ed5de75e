//! The control plane's process: all it does is start and say how it ended.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before there are threads: a child that evaluates a policy limits its whole process.
    if let Some(code) = gantry_policy::enter_if_asked() {
        return code;
    }
    serve()
}

#[tokio::main]
async fn serve() -> ExitCode {
    // Every TLS set-up below asks for the process's provider; there is one, ring.
    gantry_net::install_crypto();
    gantry_server::process::run().await.into()
}
