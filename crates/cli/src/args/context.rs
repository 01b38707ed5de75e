//! The words after `gantry context`.

use clap::{ArgGroup, Args, Subcommand};

use super::HookArgs;

#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// Lists contexts
    List,
    /// Shows one context: what it holds and where it is attached
    Show {
        /// The context's id
        #[arg(long, value_name = "ID")]
        id: String,
    },
    /// Makes a context
    Create(Box<ContextCreateArgs>),
    /// Changes a context
    Update(Box<ContextUpdateArgs>),
    /// Deletes a context with what it holds, wherever it is attached
    Delete {
        /// The context's id
        #[arg(long, value_name = "ID")]
        id: String,
    },
    /// Attaches a context to a stack, or gives the attachment another priority
    Attach(ContextAttachArgs),
    /// Takes a context off a stack
    Detach(ContextDetachArgs),
    /// Sets one environment variable of a context
    SetEnv(ContextSetArgs),
    /// Removes a variable or file of a context
    Unset {
        /// The context's id
        #[arg(long, value_name = "ID")]
        id: String,
        /// Name of the variable, or path of the file
        #[arg(value_name = "NAME")]
        element: String,
    },
}

#[derive(Debug, Args)]
pub struct ContextCreateArgs {
    /// The context's name
    #[arg(long)]
    pub name: String,
    /// The context's id; made from the name otherwise
    #[arg(long, value_name = "ID")]
    pub slug: Option<String>,
    /// The space; your own otherwise
    #[arg(long, value_name = "ID")]
    pub space: Option<String>,
    /// Label, such as autoattach:prod; may be given more than once
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
    /// What the context is for
    #[arg(long)]
    pub description: Option<String>,
    #[command(flatten)]
    pub hooks: HookArgs,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub struct ContextUpdateArgs {
    /// The context's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// A new name
    #[arg(long, group = "change")]
    pub name: Option<String>,
    /// Label instead of all that it has; may be given more than once
    #[arg(long = "label", value_name = "LABEL", group = "change")]
    pub labels: Vec<String>,
    /// What the context is for
    #[arg(long, group = "change")]
    pub description: Option<String>,
}

#[derive(Debug, Args)]
pub struct ContextAttachArgs {
    /// The context's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub stack: String,
    /// The lowest is the strongest
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
}

#[derive(Debug, Args)]
pub struct ContextDetachArgs {
    /// The context's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub stack: String,
}

#[derive(Debug, Args)]
pub struct ContextSetArgs {
    /// The context's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// Never show the value again, and mask it in logs
    #[arg(long)]
    pub secret: bool,
    /// What the variable is for
    #[arg(long)]
    pub description: Option<String>,
    /// NAME=VALUE, or NAME with the value on standard input
    #[arg(value_name = "NAME[=VALUE]")]
    pub variable: String,
}
