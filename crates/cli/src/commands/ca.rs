//! `gantry ca …`: CAs that operators add.
//!
//! Takes files, gives the one value that every component reads. Never: anything of a file but its certificates.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use gantry_net::{NamedPem, oddities, read_file, write_added};

use crate::args::CaCommand;
use crate::context::Context;
use crate::exit::Exit;

pub fn run(context: &Context, command: CaCommand) -> anyhow::Result<Exit> {
    let CaCommand::Bundle { files, force } = command;
    let read = files.iter().map(|file| ca(context, file, force));
    let roots = read.collect::<anyhow::Result<Vec<_>>>()?;
    context
        .printer
        .data(format!("{}\n", write_added(&roots)).as_bytes())?;
    Ok(Exit::Done)
}

fn ca(context: &Context, file: &Path, force: bool) -> anyhow::Result<NamedPem> {
    let shown = file.display().to_string();
    let content = std::fs::read(file).with_context(|| format!("cannot read `{shown}`"))?;
    let root = read_file(&shown, &content)?;
    for oddity in oddities(&root, SystemTime::now())? {
        if !force {
            bail!(
                "{oddity}; give the certificate of the CA that signed, or --force to take it as it is"
            );
        }
        context.printer.note(&oddity.to_string());
    }
    Ok(root)
}
