//! Arguments of `gantry space`, `gantry api-key` and `gantry audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum SpaceCommand {
    /// Lists the spaces that the login sees
    List,
    /// Makes a space; for admins of all spaces
    Create {
        /// The space's name; its id is made from it
        #[arg(long)]
        name: String,
        /// The space that it is part of [default: root]
        #[arg(long, value_name = "ID")]
        parent: Option<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
        /// Pools, policies and contexts of the parent can't be used in it
        #[arg(long)]
        separate: bool,
    },
    /// Deletes a space that nothing is in
    Delete {
        /// The space's id
        #[arg(long, value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Lists the keys in use
    List,
    /// Makes a key and prints its secret, once
    Create(ApiKeyCreateArgs),
    /// Takes a key back; it stops working at once
    Delete {
        /// The key's id
        #[arg(long, value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct ApiKeyCreateArgs {
    /// The name that histories show
    #[arg(long)]
    pub name: String,
    /// What its bearer may do
    #[arg(long, value_enum)]
    pub role: RoleArg,
    /// A space that it is limited to, with all below it; may be given more than once [default: all spaces]
    #[arg(long = "space", value_name = "ID")]
    pub spaces: Vec<String>,
    /// Days until it stops to work [default: never]
    #[arg(long, value_name = "DAYS")]
    pub expires_in: Option<u32>,
    /// Write the secret here (mode 0600, a new file) instead of printing it
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    Reader,
    Writer,
    Admin,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Prints the audit trail, oldest first, one JSON object per line
    Export {
        /// From this time on, in Unix seconds
        #[arg(long, value_name = "SECONDS")]
        since: Option<i64>,
        /// Until before this time, in Unix seconds
        #[arg(long, value_name = "SECONDS")]
        until: Option<i64>,
    },
}
