//! One evaluation, in this very process.
//!
//! Takes a policy, an input document and limits; gives what its rules said. Never: a process that matters. Here the
//! time limit is cooperative and memory is not limited; [`crate::Sandbox`] makes both hard.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::builtins::{self, Runner};
use crate::dialect::Dialect;
use crate::evaluation::{EvalError, Evaluation};
use crate::kind::{PACKAGE, Rule, Shape};
use crate::limits::{Limits, MAX_INPUT, MAX_TEXT, MAX_TEXTS, shortened};
use crate::policy::{Policy, plain_engine};
use crate::prelude;
use crate::said::Said;
use crate::walk;

/// What the engine calls the policy's text.
pub(crate) const FILE: &str = "policy.rego";

/// How many steps of the engine go between two looks at the clock.
const STEPS: NonZeroU32 = NonZeroU32::new(64).expect("64 is not 0");

/// An engine that has read the policy, with all functions.
pub(crate) fn prepare(policy: &Policy, runner: Option<Runner>) -> Result<Engine, Said> {
    let mut engine = plain_engine(policy.dialect());
    let said = |error: anyhow::Error| Said::read(&error, FILE);
    let text = walk::spelled_out(policy.text(), &policy.findings().walks);
    engine.add_policy(FILE.to_owned(), text).map_err(said)?;
    builtins::add(&mut engine, runner).map_err(said)?;
    engine.set_rego_v0(true);
    let findings = policy.findings();
    let rest = prelude::prelude(policy.kind(), &findings.names);
    let pairs = (!findings.walks.is_empty()).then(walk::pairs);
    for (file, text) in [(prelude::FILE, rest), (walk::FILE, pairs)] {
        let Some(text) = text else { continue };
        engine.add_policy(file.to_owned(), text).map_err(said)?;
    }
    let mut shimmed = Vec::new();
    for call in findings.calls.iter().filter(|call| call.output) {
        if !shimmed.contains(&call.function) {
            shimmed.push(call.function);
            let shim = builtins::shim(call.function);
            engine
                .add_policy(call.function.to_owned(), shim)
                .map_err(said)?;
        }
    }
    engine.set_rego_v0(policy.dialect() == Dialect::V0);
    // Whatever the engine finds out before any rule runs: unsafe variables, conflicts, recursion.
    engine.eval_query("true".to_owned(), false).map_err(said)?;
    Ok(engine)
}

/// Evaluates in this process, without `exec`: for checks and measurements.
///
/// # Errors
/// See [`EvalError`].
pub fn evaluate_here(
    policy: &Policy,
    input: &str,
    limits: Limits,
) -> Result<Evaluation, EvalError> {
    evaluate(policy, input, limits, None)
}

pub(crate) fn evaluate(
    policy: &Policy,
    input: &str,
    limits: Limits,
    runner: Option<Runner>,
) -> Result<Evaluation, EvalError> {
    if input.len() > MAX_INPUT {
        return Err(EvalError::InputTooLarge {
            policy: policy.name().to_owned(),
            bytes: input.len(),
            most: MAX_INPUT,
        });
    }
    let begun = Instant::now();
    let mut engine = prepare(policy, runner.clone()).map_err(|said| failed(policy, said))?;
    engine.set_gather_prints(true);
    let compiled_in = begun.elapsed();
    let begun = Instant::now();
    let input = Value::from_json_str(input).map_err(|_| EvalError::FailedSomewhere {
        policy: policy.name().to_owned(),
        what: "the input document is no JSON".to_owned(),
    })?;
    engine.set_input(input);
    let limit = limits.time + runner.map_or(Duration::ZERO, |_| limits.exec.total);
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit,
        check_interval: STEPS,
    });
    let asked = engine.eval_query(query(policy), false);
    let answer = asked.map_err(|error| refused(policy, limit, &error))?;
    let answer = answer
        .result
        .first()
        .and_then(|row| row.expressions.first());
    let mut evaluation = Evaluation {
        compiled_in,
        evaluated_in: begun.elapsed(),
        prints: prints(&mut engine, policy),
        ..Evaluation::default()
    };
    for rule in policy.kind().rules() {
        let value = answer.map(|answer| &answer.value[rule.name][0]);
        keep(
            policy,
            *rule,
            value.unwrap_or(&Value::Undefined),
            &mut evaluation,
        )?;
    }
    Ok(evaluation)
}

/// All rules in one query, so that what they share is evaluated once; an undefined one is an empty array.
fn query(policy: &Policy) -> String {
    let rules = policy.kind().rules().iter();
    let rules =
        rules.map(|Rule { name, .. }| format!("\"{name}\": [v | v := data.{PACKAGE}.{name}]"));
    format!("{{{}}}", rules.collect::<Vec<_>>().join(", "))
}

fn keep(
    policy: &Policy,
    rule: Rule,
    value: &Value,
    evaluation: &mut Evaluation,
) -> Result<(), EvalError> {
    let wrong = |found: &str| EvalError::WrongType {
        policy: policy.name().to_owned(),
        rule: rule.name.to_owned(),
        expected: rule.shape.expected().to_owned(),
        found: found.to_owned(),
    };
    match rule.shape {
        Shape::Flag => {
            let flag = match value {
                Value::Undefined => false,
                Value::Bool(flag) => *flag,
                other => return Err(wrong(type_name(other))),
            };
            evaluation.flags.insert(rule.name.to_owned(), flag);
        }
        Shape::Texts => {
            let items: Vec<&Value> = match value {
                Value::Undefined => Vec::new(),
                Value::Set(set) => set.iter_sorted().collect(),
                Value::Array(array) => array.iter().collect(),
                other => return Err(wrong(type_name(other))),
            };
            let texts = texts(&items)
                .map_err(|other| wrong(&format!("one with {} in it", type_name(other))))?;
            evaluation.texts.insert(rule.name.to_owned(), texts);
        }
    }
    Ok(())
}

/// The first [`MAX_TEXTS`] of `items`, and how many there are besides.
fn texts<'a>(items: &[&'a Value]) -> Result<Vec<String>, &'a Value> {
    let mut texts = Vec::new();
    for item in items {
        let Value::String(text) = item else {
            return Err(item);
        };
        if texts.len() < MAX_TEXTS {
            texts.push(shortened(text, MAX_TEXT));
        }
    }
    if items.len() > MAX_TEXTS {
        texts.push(format!("and {} more", items.len() - MAX_TEXTS));
    }
    Ok(texts)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "undefined",
    }
}

fn prints(engine: &mut Engine, policy: &Policy) -> Vec<String> {
    let lines = engine.take_prints().unwrap_or_default();
    let lines = lines.iter().take(MAX_TEXTS);
    let named = lines.map(|line| line.replacen(FILE, policy.name(), 1));
    named.map(|line| shortened(&line, MAX_TEXT)).collect()
}

fn refused(policy: &Policy, limit: Duration, error: &anyhow::Error) -> EvalError {
    // The engine wraps its own error in texts on the way up.
    if format!("{error:#}").contains("exceeded time limit") {
        return EvalError::TimedOut {
            policy: policy.name().to_owned(),
            limit,
        };
    }
    failed(policy, Said::read(error, FILE))
}

fn failed(policy: &Policy, said: Said) -> EvalError {
    let Said { mut line, what } = said.without_constants(policy);
    if line == 0 {
        // It happened behind a shim: the place of the call is the place, when there is only one.
        let calls = policy.findings().calls.iter();
        let mut calls = calls.filter(|call| what.starts_with(&format!("{}:", call.function)));
        if let (Some(only), None) = (calls.next(), calls.next()) {
            line = only.line;
        }
    }
    let policy = policy.name().to_owned();
    let what = shortened(&what, MAX_TEXT);
    match line {
        0 => EvalError::FailedSomewhere { policy, what },
        line => EvalError::Failed { policy, line, what },
    }
}
