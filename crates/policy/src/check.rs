//! Looks through a policy before it is ever evaluated: which functions it calls, what its rules can't be.
//!
//! Takes the engine's reading of it, gives [`Findings`] or the first thing that is wrong. Never: recursion along the
//! text, whose chains of references may be as long as the text.

use std::collections::BTreeSet;

use regorus::Engine;
use regorus::unstable::{BUILTINS, Expr, Literal, Module, Query, Rule, RuleHead};

use crate::builtins;
use crate::kind::{PACKAGE, PolicyKind, Shape};
use crate::prelude::Names;
use crate::walk::Walk;

/// Functions of Rego that no policy gets: the outside world, other policies, the clock.
const DISABLED: [&str; 5] = [
    "http.send",
    "opa.runtime",
    "rego.parse_module",
    "time.now_ns",
    "trace",
];

/// Functions that the engine has for others and no policy of this field knows.
const FOREIGN: [&str; 2] = ["azure.", "__builtin"];

/// What is wrong, and where.
pub(crate) struct Finding {
    pub(crate) line: u32,
    pub(crate) what: String,
}

/// A call of one of our own functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnCall {
    pub(crate) function: &'static str,
    pub(crate) line: u32,
    /// Whether the result is taken as a last argument: `f(x, y)` for `y := f(x)`.
    pub(crate) output: bool,
}

/// What the text uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) calls: Vec<OwnCall>,
    /// Longest first.
    pub(crate) constants: Vec<String>,
    /// Which of the kind's rules there are.
    pub(crate) rules: Vec<&'static str>,
    /// Its names.
    pub(crate) names: Names,
    /// Where it takes the pairs of a walk for a value.
    pub(crate) walks: Vec<Walk>,
}

/// A place of the text that is still to be looked at.
enum Place<'a> {
    Expr(&'a Expr),
    Query(&'a Query),
}

pub(crate) fn look(engine: &mut Engine, kind: PolicyKind) -> Result<Findings, Finding> {
    let (mut findings, mut constants) = (Findings::default(), BTreeSet::new());
    for module in engine.get_modules() {
        let own = own_functions(module);
        findings.names.of_module(module);
        let mut places = Vec::new();
        for rule in &module.policy {
            constant_result(rule, kind)?;
            possible(rule, kind)?;
            parts_of_rule(rule, &mut places);
        }
        while let Some(place) = places.pop() {
            match place {
                Place::Query(query) => {
                    findings.names.of_query(query);
                    parts_of_query(query, &mut places);
                }
                Place::Expr(expr) => {
                    findings.names.of_expr(expr);
                    findings.calls.extend(call(expr, &own, kind)?);
                    findings.walks.extend(walk(expr));
                    if let Expr::String { value, .. } | Expr::RawString { value, .. } = expr {
                        constants.extend(value.as_string().ok().map(ToString::to_string));
                    }
                    parts(expr, &mut places);
                }
            }
        }
    }
    findings.constants = constants.into_iter().collect();
    findings
        .constants
        .sort_by_key(|constant| std::cmp::Reverse(constant.len()));
    findings.calls.sort_by_key(|call| call.line);
    Ok(findings)
}

/// `a.b["c"]` → `a.b.c`; nothing for what is no plain path.
fn path(expr: &Expr) -> Option<String> {
    let (mut names, mut at) = (Vec::new(), expr);
    loop {
        match at {
            Expr::Var { span, .. } => {
                names.push(span.text().to_owned());
                names.reverse();
                return Some(names.join("."));
            }
            Expr::RefDot { refr, field, .. } => {
                names.push(field.0.text().to_owned());
                at = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                let Expr::String { value, .. } = index.as_ref() else {
                    return None;
                };
                names.push(value.as_string().ok()?.to_string());
                at = refr;
            }
            _ => return None,
        }
    }
}

fn own_functions(module: &Module) -> BTreeSet<String> {
    let heads = module.policy.iter().filter_map(|rule| match rule.as_ref() {
        Rule::Spec {
            head: RuleHead::Func { refr, .. },
            ..
        } => path(refr),
        Rule::Default { refr, args, .. } if !args.is_empty() => path(refr),
        _ => None,
    });
    heads.collect()
}

/// Refuses what is disabled and what does not exist, which would else only be found when it is too late.
fn call(expr: &Expr, own: &BTreeSet<String>, kind: PolicyKind) -> Result<Option<OwnCall>, Finding> {
    let Expr::Call {
        span, fcn, params, ..
    } = expr
    else {
        return Ok(None);
    };
    let line = span.line;
    let wrong = |what| Err(Finding { line, what });
    let Some(name) = path(fcn) else {
        return wrong("this can't be called".to_owned());
    };
    let local = name.strip_prefix(&format!("data.{PACKAGE}."));
    if own.contains(local.unwrap_or(&name)) {
        return match name == "walk" {
            // The engine takes each call of this name for Rego's.
            true => wrong("`walk` is a function of Rego; give yours another name".to_owned()),
            false => Ok(None),
        };
    }
    if DISABLED.contains(&name.as_str()) {
        return wrong(format!("`{name}` is not available to policies"));
    }
    if name == "exec" && !kind.may_exec() {
        let kind = kind.name();
        return wrong(format!("`exec` is not available to {kind} policies"));
    }
    if let Some((function, arguments)) = builtins::find(&name) {
        let given = params.len();
        if given != arguments && given != arguments + 1 {
            return wrong(format!("`{name}` takes {arguments} arguments, not {given}"));
        }
        let output = given == arguments + 1;
        return Ok(Some(OwnCall {
            function,
            line,
            output,
        }));
    }
    let foreign = FOREIGN.iter().any(|prefix| name.starts_with(prefix));
    if name == "print" || (BUILTINS.contains_key(name.as_str()) && !foreign) {
        return Ok(None);
    }
    wrong(format!("there is no function `{name}`"))
}

/// `walk(x)` in the place of a value.
fn walk(expr: &Expr) -> Option<Walk> {
    let Expr::Call { fcn, params, .. } = expr else {
        return None;
    };
    let walks = params.len() == 1 && path(fcn)? == "walk";
    walks.then(|| Walk::at(expr, fcn))
}

/// Refuses rules that hold something back elsewhere and could not here.
fn possible(rule: &Rule, kind: PolicyKind) -> Result<(), Finding> {
    let (Rule::Default { refr, .. }
    | Rule::Spec {
        head:
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. },
        ..
    }) = rule;
    match path(refr) {
        Some(name) if kind.impossible().contains(&name.as_str()) => Err(Finding {
            line: rule.span().line,
            what: format!("there is no rule `{name}` here: nothing would wait for it"),
        }),
        _ => Ok(()),
    }
}

/// A rule that is a constant of a wrong type can be told at once.
fn constant_result(rule: &Rule, kind: PolicyKind) -> Result<(), Finding> {
    let (refr, value) = match rule {
        Rule::Spec {
            head: RuleHead::Compr { refr, assign, .. },
            ..
        } => (refr, assign.as_ref().map(|assign| &assign.value)),
        Rule::Default { refr, value, .. } => (refr, Some(value)),
        Rule::Spec { .. } => return Ok(()),
    };
    let known = |name: String| kind.rules().iter().find(|rule| rule.name == name);
    let Some(known) = path(refr).and_then(known) else {
        return Ok(());
    };
    let fits = match (known.shape, value.map(|value| value.as_ref())) {
        // `deny { … }` is `deny = true { … }`.
        (Shape::Texts, None | Some(Expr::Bool { .. } | Expr::Null { .. })) => false,
        (Shape::Texts, Some(Expr::String { .. } | Expr::RawString { .. })) => false,
        (Shape::Texts, Some(Expr::Number { .. } | Expr::Object { .. })) => false,
        (Shape::Flag, Some(Expr::String { .. } | Expr::RawString { .. })) => false,
        (Shape::Flag, Some(Expr::Number { .. } | Expr::Null { .. } | Expr::Object { .. })) => false,
        (Shape::Flag, Some(Expr::Array { .. } | Expr::Set { .. })) => false,
        _ => true,
    };
    let expected = known.shape.expected();
    match fits {
        true => Ok(()),
        false => Err(Finding {
            line: rule.span().line,
            what: format!("rule `{}` has to be {expected}", known.name),
        }),
    }
}

impl Shape {
    /// In words.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Texts => "a set (or array) of strings",
            Self::Flag => "true or false",
        }
    }
}

fn parts_of_rule<'a>(rule: &'a Rule, places: &mut Vec<Place<'a>>) {
    match rule {
        Rule::Default {
            refr, value, args, ..
        } => {
            places.extend([refr, value].map(|expr| Place::Expr(expr)));
            places.extend(args.iter().map(|expr| Place::Expr(expr)));
        }
        Rule::Spec { head, bodies, .. } => {
            match head {
                RuleHead::Compr { refr, assign, .. } => {
                    places.push(Place::Expr(refr));
                    places.extend(assign.iter().map(|assign| Place::Expr(&assign.value)));
                }
                RuleHead::Set { refr, key, .. } => {
                    places.push(Place::Expr(refr));
                    places.extend(key.iter().map(|key| Place::Expr(key)));
                }
                RuleHead::Func {
                    refr, args, assign, ..
                } => {
                    places.push(Place::Expr(refr));
                    places.extend(args.iter().map(|arg| Place::Expr(arg)));
                    places.extend(assign.iter().map(|assign| Place::Expr(&assign.value)));
                }
            }
            for body in bodies {
                places.extend(body.assign.iter().map(|assign| Place::Expr(&assign.value)));
                places.push(Place::Query(&body.query));
            }
        }
    }
}

fn parts_of_query<'a>(query: &'a Query, places: &mut Vec<Place<'a>>) {
    for statement in &query.stmts {
        for with in &statement.with_mods {
            // What is replaced is a name, not a call.
            places.push(Place::Expr(&with.r#as));
        }
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => {
                places.extend(key.iter().map(|key| Place::Expr(key)));
                places.extend([value, collection].map(|expr| Place::Expr(expr)));
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                places.push(Place::Expr(expr));
            }
            Literal::Every { domain, query, .. } => {
                places.push(Place::Expr(domain));
                places.push(Place::Query(query));
            }
        }
    }
}

fn parts<'a>(expr: &'a Expr, places: &mut Vec<Place<'a>>) {
    match expr {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => {}
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            places.extend(items.iter().map(|item| Place::Expr(item)));
        }
        Expr::Object { fields, .. } => {
            for (_, key, value) in fields {
                places.extend([key, value].map(|expr| Place::Expr(expr)));
            }
        }
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            places.extend([Place::Expr(term), Place::Query(query)]);
        }
        Expr::ObjectCompr {
            key, value, query, ..
        } => {
            places.extend([key, value].map(|expr| Place::Expr(expr)));
            places.push(Place::Query(query));
        }
        Expr::Call { params, .. } => {
            places.extend(params.iter().map(|param| Place::Expr(param)));
        }
        Expr::UnaryExpr { expr, .. } => places.push(Place::Expr(expr)),
        Expr::RefDot { refr, .. } => places.push(Place::Expr(refr)),
        Expr::RefBrack { refr, index, .. } => {
            places.extend([refr, index].map(|expr| Place::Expr(expr)));
        }
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            places.extend([lhs, rhs].map(|expr| Place::Expr(expr)));
        }
        Expr::Membership {
            key,
            value,
            collection,
            ..
        } => {
            places.extend(key.iter().map(|key| Place::Expr(key)));
            places.extend([value, collection].map(|expr| Place::Expr(expr)));
        }
    }
}
