//! What every policy of a kind has, whether its text says so or not.
//!
//! Takes which names a text uses and declares, gives the rest of its package: rules that it may ask about without having
//! them (`ignore { not track }`), defaults, aliases of parts of the input. Pure. Never: a definition of a name that the
//! text declares itself, as a rule or within one (the engine takes the two for one).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use regorus::unstable::{AssignOp, Expr, Literal, Module, Query, Rule, RuleHead};

use crate::kind::{PACKAGE, PolicyKind, Shape};

/// What the engine calls the text that is added.
pub(crate) const FILE: &str = "prelude.rego";

/// The names of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Those that stand anywhere.
    used: BTreeSet<String>,
    /// Those that are declared within rules, or imported.
    local: BTreeSet<String>,
    /// Rules of whatever kind.
    rules: BTreeSet<String>,
    /// Rules that can't get a default: they have one, or are more than a name and a value.
    settled: BTreeSet<String>,
}

impl Names {
    pub(crate) fn of_module(&mut self, module: &Module) {
        for import in &module.imports {
            let name = match (&import.r#as, import.refr.as_ref()) {
                (Some(name), _) => name.text(),
                (None, Expr::RefDot { field, .. }) => field.0.text(),
                (None, _) => continue,
            };
            self.local.insert(name.to_owned());
        }
        for rule in &module.policy {
            self.of_rule(rule);
        }
    }

    fn of_rule(&mut self, rule: &Rule) {
        let (refr, args) = match rule {
            Rule::Default { refr, args, .. } => (refr, args.as_slice()),
            Rule::Spec { head, .. } => match head {
                RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } => (refr, &[][..]),
                RuleHead::Func { refr, args, .. } => (refr, args.as_slice()),
            },
        };
        for arg in args {
            self.of_pattern(arg);
        }
        let Some(name) = first(refr) else { return };
        let plain = matches!(refr.as_ref(), Expr::Var { .. });
        let computed = matches!(rule, Rule::Spec { head: RuleHead::Compr { .. }, bodies, .. } if !bodies.is_empty());
        if !(plain && computed) {
            self.settled.insert(name.clone());
        }
        self.rules.insert(name);
    }

    pub(crate) fn of_query(&mut self, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { vars, .. } => {
                    self.local
                        .extend(vars.iter().map(|var| var.text().to_owned()));
                }
                Literal::SomeIn { key, value, .. } => {
                    for pattern in key.iter().chain([value]) {
                        self.of_pattern(pattern);
                    }
                }
                Literal::Every { key, value, .. } => {
                    let names = key.iter().chain([value]);
                    self.local.extend(names.map(|name| name.text().to_owned()));
                }
                Literal::Expr { .. } | Literal::NotExpr { .. } => {}
            }
        }
    }

    pub(crate) fn of_expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Var { span, .. } => {
                self.used.insert(span.text().to_owned());
            }
            Expr::AssignExpr {
                op: AssignOp::ColEq,
                lhs,
                ..
            } => self.of_pattern(lhs),
            _ => {}
        }
    }

    /// What `[x, {"k": y}] := …` declares.
    fn of_pattern(&mut self, pattern: &Expr) {
        match pattern {
            Expr::Var { span, .. } => {
                self.local.insert(span.text().to_owned());
            }
            Expr::Array { items, .. } => items.iter().for_each(|item| self.of_pattern(item)),
            Expr::Object { fields, .. } => {
                fields
                    .iter()
                    .for_each(|(_, _, value)| self.of_pattern(value));
            }
            _ => {}
        }
    }

    fn lacks(&self, name: &str) -> bool {
        self.used.contains(name) && !self.rules.contains(name) && !self.local.contains(name)
    }
}

/// `a` of `a.b[c]`.
fn first(refr: &Expr) -> Option<String> {
    let mut at = refr;
    loop {
        match at {
            Expr::Var { span, .. } => return Some(span.text().to_owned()),
            Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => at = refr,
            _ => return None,
        }
    }
}

/// The rest of the package, in Rego v0; nothing where the text lacks nothing.
pub(crate) fn prelude(kind: PolicyKind, names: &Names) -> Option<String> {
    let mut text = String::new();
    for rule in kind.rules() {
        let name = rule.name;
        let valueless = names.rules.contains(name) && !names.settled.contains(name);
        // Writing to a text does not fail.
        let _ = match rule.shape {
            Shape::Flag if valueless || names.lacks(name) => {
                writeln!(text, "default {name} = false")
            }
            Shape::Texts if names.lacks(name) => {
                writeln!(text, "{name}[\"never\"] {{ false }}")
            }
            Shape::Flag | Shape::Texts => Ok(()),
        };
    }
    for (name, definition) in kind.aliases() {
        if names.lacks(name) {
            text.push_str(definition);
            text.push('\n');
        }
    }
    (!text.is_empty()).then(|| format!("package {PACKAGE}\n{text}"))
}

#[cfg(test)]
mod tests {
    use crate::{Limits, Policy, PolicyKind, evaluate_here};

    fn said(kind: PolicyKind, text: &str, input: &str) -> (Vec<String>, Vec<String>) {
        let text = format!("package spacelift\n{text}\n");
        let policy = Policy::compile(kind, "p", &text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let said = evaluate_here(&policy, input, Limits::default());
        let said = said.unwrap_or_else(|e| panic!("{text}: {e}"));
        let true_ones = said.flags.into_iter().filter(|(_, flag)| *flag);
        let flags = true_ones.map(|(name, _)| name).collect();
        (said.texts.into_values().flatten().collect(), flags)
    }

    #[test]
    fn rules_that_a_text_does_not_have_can_be_asked_about() {
        use PolicyKind::{Approval, Plan, Push};
        for (kind, text, flags) in [
            (Push, "ignore { not track; not propose }", &["ignore"][..]),
            (
                Push,
                "track { true }\nnotify { ignore == false }",
                &["notify", "track"],
            ),
            (Plan, "sample { count(deny) == 0 }", &["sample"]),
            (
                Approval,
                "approve { input.x }\nsample { approve == false }",
                &["sample"],
            ),
            (
                Approval,
                "default approve = true\nreject { not approve }",
                &["approve"],
            ),
            (
                Approval,
                "approve := true\nsample { reject == false }",
                &["approve", "sample"],
            ),
            (Push, "propose if not track", &["propose"]),
        ] {
            assert_eq!(said(kind, text, "{}").1, flags, "{text}");
        }
    }

    #[test]
    fn own_names_stay_the_texts_own() {
        use PolicyKind::{Approval, Initialization, Plan};
        for (kind, text) in [
            (
                Approval,
                "approve if { some flag in [\"a\"]; flag == \"a\" }",
            ),
            (Approval, "approve { flag := 1; flag == 1 }"),
            (Approval, "approve { some flag; [1][flag] == 1 }"),
            (Approval, "f(flag) { flag == 1 }\napprove { f(1) }"),
            (Approval, "approve { [flag, _] := [1, 2]; flag == 1 }"),
        ] {
            assert_eq!(said(kind, text, "{}").1, ["approve"], "{text}");
        }
        let text = "created_resources := {\"x\"}\ndeny[r] { created_resources[r] }";
        assert_eq!(said(Plan, text, "{}").0, ["x"]);
        let input = r#"{"run": {"id": "r", "commit": {"branch": "b"}}, "stack": {"name": "n"}}"#;
        let text = "import input.run\ndeny[run.id] { true }\ndeny[commit.branch] { stack.name }";
        assert_eq!(said(Initialization, text, input).0, ["b", "r"]);
    }

    #[test]
    fn resources_have_names_by_what_happens_to_them() {
        let input = r#"{"terraform": {"resource_changes": [
            {"address": "c", "change": {"actions": ["create"]}},
            {"address": "d", "change": {"actions": ["delete"]}},
            {"address": "n", "change": {"actions": ["no-op"]}},
            {"address": "r", "change": {"actions": ["delete", "create"]}},
            {"address": "u", "change": {"actions": ["update"]}}]}}"#;
        for (which, found) in [
            ("affected", &["c", "d", "r", "u"][..]),
            ("created", &["c", "r"]),
            ("deleted", &["d", "r"]),
            ("recreated", &["r"]),
            ("updated", &["u"]),
        ] {
            let v0 = format!("deny[x.address] {{ some x; {which}_resources[x] }}");
            let v1 = format!("deny contains x.address if some x in {which}_resources");
            for text in [v0, v1] {
                assert_eq!(said(PolicyKind::Plan, &text, input).0, found, "{text}");
            }
        }
    }

    #[test]
    fn what_would_have_to_be_waited_for_is_refused() {
        let text = "package spacelift\ntrack { true }\nexternal_dependency[\"x\"] { true }";
        let refused = Policy::compile(PolicyKind::Push, "p", text).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "line 3 of policy `p`: there is no rule `external_dependency` here: nothing would wait for it"
        );
    }
}
