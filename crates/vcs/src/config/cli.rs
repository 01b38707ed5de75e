//! The command line.
//!
//! Takes arguments, gives what to do and the settings that were given as flags. Never: a check of a value; that is the
//! readers' thing, who tell all mistakes at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use gantry_service::Source;

use super::settings::{Kind, SETTINGS};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve the gateway.
    Serve,
    /// Explain a verdict.
    Check(Question),
    /// Print the tables of routes as Markdown.
    Routes,
    /// Print the table of settings as Markdown.
    Configuration,
    /// Ask the agent that runs beside this.
    Health {
        /// Whether it has a gateway, and not only whether it lives.
        ready: bool,
    },
    /// Print what is contacted.
    Egress {
        /// As one JSON object.
        json: bool,
    },
}

/// A request to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// File with the body.
    pub body: Option<PathBuf>,
}

/// What was said on the command line.
#[derive(Clone, Debug)]
pub struct Cli {
    /// What to do.
    pub command: Command,
    flags: BTreeMap<&'static str, String>,
}

impl Cli {
    /// Reads arguments, the program's name first.
    ///
    /// # Errors
    /// A mistake in them, or a wish for help: both are clap's to print, which knows the exit code too.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = command().try_get_matches_from(arguments)?;
        let (command, last) = match matches.subcommand() {
            Some(("check", check)) => (Command::Check(question(check)), check),
            Some(("routes", routes)) => (Command::Routes, routes),
            Some(("configuration", configuration)) => (Command::Configuration, configuration),
            Some(("health", health)) => {
                let ready = health.get_flag("ready");
                (Command::Health { ready }, health)
            }
            Some(("egress", egress)) => (
                Command::Egress {
                    json: wants_json(egress),
                },
                egress,
            ),
            Some((_, serve)) => (Command::Serve, serve),
            None => (Command::Serve, &matches),
        };
        let given = SETTINGS.iter().filter(|setting| !setting.flag.is_empty());
        let flag = |name: &'static str| last.get_one::<String>(name).cloned();
        let flags = given.filter_map(|setting| Some((setting.name, flag(setting.flag)?)));
        Ok(Self {
            command,
            flags: flags.collect(),
        })
    }

    /// The flags that were given, before what `under` knows.
    pub fn over<'a>(&'a self, under: &'a dyn Source) -> Over<'a> {
        Over {
            flags: &self.flags,
            under,
        }
    }
}

/// Flags in front of variables.
#[derive(Clone, Copy)]
pub struct Over<'a> {
    flags: &'a BTreeMap<&'static str, String>,
    under: &'a dyn Source,
}

impl Source for Over<'_> {
    fn get(&self, name: &str) -> Option<String> {
        match self.flags.get(name) {
            Some(value) => Some(value.clone()).filter(|value| !value.is_empty()),
            None => self.under.get(name),
        }
    }

    fn names_with(&self, prefix: &str) -> Vec<String> {
        self.under.names_with(prefix)
    }
}

fn wants_json(matches: &ArgMatches) -> bool {
    matches
        .get_one::<String>("output")
        .is_some_and(|form| form == "json")
}

fn question(matches: &ArgMatches) -> Question {
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    Question {
        method: text("method"),
        target: text("path"),
        body: matches.get_one::<PathBuf>("body").cloned(),
    }
}

fn command() -> clap::Command {
    clap::Command::new("gantry-vcs-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Reaches an internal Git host for a gateway, and lets through only what it has to")
        .after_help("Each flag may also be given as a variable; docs/VCS-AGENT.md has the table.")
        .args(
            SETTINGS
                .iter()
                .filter(|setting| !setting.flag.is_empty())
                .map(flag),
        )
        .subcommand(
            clap::Command::new("serve")
                .about("Serve the gateway (what is done without a subcommand)"),
        )
        .subcommand(check())
        .subcommand(
            clap::Command::new("routes")
                .about("Print the routes of all vendors, or of --vendor, as Markdown"),
        )
        .subcommand(
            clap::Command::new("configuration").about("Print flags and variables as Markdown"),
        )
        .subcommand(health())
        .subcommand(egress())
}

fn flag(setting: &super::settings::Setting) -> Arg {
    let help = match setting.default {
        "" => setting.meaning.to_owned(),
        default => format!("{} [default: {default}]", setting.meaning),
    };
    let flag = Arg::new(setting.flag)
        .long(setting.flag)
        .help(format!("{help} [variable: {}]", setting.name))
        .global(true);
    if setting.kind == Kind::Switch {
        flag.num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
    } else {
        flag.value_name("VALUE")
    }
}

fn health() -> clap::Command {
    clap::Command::new("health")
        .about("Ask the agent that runs beside this, at --health-addr, whether it lives: exit code 0 yes, 1 no")
        .arg(
            Arg::new("ready")
                .long("ready")
                .action(ArgAction::SetTrue)
                .help("Ask instead whether a stream to the gateway is up"),
        )
}

fn egress() -> clap::Command {
    let output = Arg::new("output")
        .long("output")
        .value_name("FORM")
        .value_parser(["text", "json"])
        .default_value("text")
        .help("Columns for people, or one JSON object");
    clap::Command::new("egress")
        .about("Print every host that is contacted under these settings; nobody is")
        .arg(output)
}

fn check() -> clap::Command {
    clap::Command::new("check")
        .about(
            "Explain what becomes of a request: exit code 0 if it is admitted, 1 if it is refused",
        )
        .arg(
            Arg::new("method")
                .required(true)
                .value_name("METHOD")
                .help("GET, POST, PUT, PATCH, DELETE or OPTIONS"),
        )
        .arg(
            Arg::new("path")
                .required(true)
                .value_name("PATH")
                .allow_hyphen_values(true)
                .help("Path and query"),
        )
        .arg(
            Arg::new("body")
                .long("body")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The body; only those of GraphQL requests and of notes are looked at"),
        )
}
