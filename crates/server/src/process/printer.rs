//! The one place that writes to standard output.
//!
//! Takes results of commands, gives text or JSON. Never: log lines; those go to standard error.

use std::io::{self, Write};

use gantry_net::egress::Inventory;

use crate::auth::IssuedKey;
use crate::config::Output;

/// Writes a text as it is.
pub(super) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a new API key: the only time its secret is shown.
pub(super) fn issued_key(key: &IssuedKey, output: Output) -> io::Result<()> {
    let secret = key.secret.expose();
    text(&match output {
        Output::Text => format!("id: {}\nsecret: {secret}\n", key.id),
        Output::Json => format!(
            "{}\n",
            serde_json::json!({ "id": key.id, "secret": secret })
        ),
    })
}

/// Writes what is contacted.
pub(super) fn inventory(inventory: &Inventory, output: Output) -> io::Result<()> {
    text(&match output {
        Output::Text => inventory.text(),
        Output::Json => format!("{:#}\n", inventory.json()),
    })
}

/// Writes why a command failed, to standard error.
pub(super) fn failure(reason: &str) {
    // Nowhere is left to say that even this failed.
    let _ = writeln!(io::stderr().lock(), "gantry-server: {reason}");
}
