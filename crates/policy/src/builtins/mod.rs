//! Functions that policies of this field use and the engine lacks.
//!
//! Takes values, gives a value or an error, which ends the evaluation (and so denies). Never: a soft failure as OPA
//! has it, where a broken token makes a rule undefined and so denies nothing; the network; the file system.

mod hash;
mod jwt;
mod key;
mod plain;

use std::sync::Arc;

use anyhow::{Result, bail};
use regorus::{Engine, Value};

pub use hash::sanitized;

/// What performs `exec`.
pub(crate) type Runner = Arc<dyn Fn(&Value) -> Result<Value> + Send + Sync>;

type Function = fn(&[Value]) -> Result<Value>;

/// Name, number of arguments, what it does.
type Row = (&'static str, u8, Function);

/// The engine finds an own function by this path when a shim in Rego has its usual name.
const BEHIND: &str = "gantry_own";

fn all() -> impl Iterator<Item = Row> {
    plain::ALL.into_iter().chain(hash::ALL).chain(jwt::ALL)
}

/// The function of this name, and how many arguments it takes.
pub(crate) fn find(name: &str) -> Option<(&'static str, usize)> {
    if name == "exec" {
        return Some(("exec", 1));
    }
    let found = all().find(|(known, ..)| *known == name);
    found.map(|(known, arguments, _)| (known, usize::from(arguments)))
}

/// Gives `engine` all functions.
pub(crate) fn add(engine: &mut Engine, runner: Option<Runner>) -> Result<()> {
    for (name, arguments, function) in all() {
        add_one(engine, name, arguments, move |values: &[Value]| {
            function(values)
        })?;
    }
    add_one(engine, "exec", 1, move |values: &[Value]| match &runner {
        Some(runner) => runner(&values[0]),
        None => bail!("commands are only run in a process of their own"),
    })
}

fn add_one(
    engine: &mut Engine,
    name: &'static str,
    arguments: u8,
    function: impl Fn(&[Value]) -> Result<Value> + Clone + Send + Sync + 'static,
) -> Result<()> {
    let named = move |values: Vec<Value>| {
        let result = function(&values);
        result.map_err(|error| anyhow::anyhow!("{name}: {error:#}"))
    };
    engine.add_extension(name.to_owned(), arguments, Box::new(named.clone()))?;
    engine.add_extension(format!("{BEHIND}.{name}"), arguments, Box::new(named))
}

/// A function in Rego around an own one: the engine takes results as last arguments only from those and its own.
pub(crate) fn shim(name: &str) -> String {
    let (package, function) = match name.rsplit_once('.') {
        Some((package, function)) => (format!("{}.{package}", crate::kind::PACKAGE), function),
        None => (crate::kind::PACKAGE.to_owned(), name),
    };
    let arguments = find(name).map_or(0, |(_, arguments)| arguments);
    let arguments = (0..arguments).map(|index| format!("a{index}"));
    let arguments = arguments.collect::<Vec<_>>().join(", ");
    format!(
        "package {package}\n{function}({arguments}) = r {{ r := {BEHIND}.{name}({arguments}) }}\n"
    )
}

/// The text that an argument is.
fn text(value: &Value) -> Result<&str> {
    match value {
        Value::String(text) => Ok(text),
        _ => bail!("a string is needed"),
    }
}
