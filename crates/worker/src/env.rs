//! The environment that hooks and tool share.
//!
//! Takes the container's own variables and the order's, gives the variables of each command. Must never
//! happen here: printing one. Values are bytes, as the system has them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use gantry_protocol::RunState;
use gantry_protocol::Secret;
use gantry_protocol::payload::Variable;
use gantry_protocol::socket::{Handed, Phase};

/// Where programs are looked for when `PATH` is unset.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Tells the code in which state the run is.
const RUN_STATE: &str = "TF_VAR_spacelift_run_state";

/// Tells `after_run` how the run ended.
const FINAL_RUN_STATE: &str = "TF_VAR_spacelift_final_run_state";

/// What a shell sets by itself and nobody exported.
const SHELL_OWN: [&str; 3] = ["_", "SHLVL", "OLDPWD"];

/// A variable that no system accepts.
#[derive(Debug, thiserror::Error)]
#[error(
    "environment variable `{name}` can't be set: {rule}; correct it on the stack or its contexts"
)]
pub struct InvalidVariable {
    name: String,
    rule: &'static str,
}

/// Variables by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    /// The stack set the run state itself, which it may: then the worker leaves it alone.
    own_run_state: bool,
    /// What the host's owner hands over, but for names that the stack sets itself.
    handed: Vec<Handed>,
}

impl Environment {
    /// The container's variables `base`, over them `defaults`, over them the order's, in order.
    ///
    /// # Errors
    /// [`InvalidVariable`] names the first one that can't be set.
    pub fn new(
        base: impl IntoIterator<Item = (OsString, OsString)>,
        defaults: &[(&str, &str)],
        order: &[Variable],
    ) -> Result<Self, InvalidVariable> {
        let mut variables: BTreeMap<OsString, OsString> = base.into_iter().collect();
        for (name, value) in defaults {
            variables.insert(name.into(), value.into());
        }
        for variable in order {
            check(&variable.name, &variable.value)?;
            let value = variable.value.expose();
            variables.insert((&variable.name).into(), value.into());
        }
        let own_run_state = order.iter().any(|v| v.name == RUN_STATE);
        let path = variables.entry("PATH".into()).or_default();
        if path.is_empty() {
            *path = DEFAULT_PATH.into();
        }
        Ok(Self {
            variables,
            own_run_state,
            handed: Vec::new(),
        })
    }

    /// Sets one variable.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.variables.insert(name.into(), value.into());
    }

    /// Has programs looked for in `directory` before all others.
    pub fn put_first_in_path(&mut self, directory: &std::path::Path) {
        let mut path = directory.as_os_str().to_owned();
        if let Some(rest) = self.get("PATH") {
            path.push(":");
            path.push(rest);
        }
        self.set("PATH", path);
    }

    /// Takes what the host's owner hands to runs. The stack's own variables win.
    ///
    /// # Errors
    /// [`InvalidVariable`] names the first one that can't be set.
    pub fn hand_over(
        mut self,
        handed: &[Handed],
        order: &[Variable],
    ) -> Result<Self, InvalidVariable> {
        let own = |name: &str| order.iter().any(|variable| variable.name == name);
        for one in handed.iter().filter(|one| !own(&one.name)) {
            check(&one.name, &one.value)?;
            self.handed.push(one.clone());
        }
        Ok(self)
    }

    /// Tells the code the state of the phase that begins, and hands over what is meant for it.
    pub fn enter(&mut self, phase: Phase) {
        if !self.own_run_state {
            self.set(RUN_STATE, phase.state().as_str());
        }
        let handed = std::mem::take(&mut self.handed);
        let reaches = |one: &&Handed| one.to.reaches(phase.writes());
        for one in handed.iter().filter(|one| !reaches(one)) {
            if self.get(&one.name) == Some(OsStr::new(one.value.expose())) {
                self.variables.remove(OsStr::new(&one.name));
            }
        }
        for one in handed.iter().filter(reaches) {
            self.set(&one.name, one.value.expose());
        }
        self.handed = handed;
    }

    /// Tells `after_run` how the run ended.
    pub fn set_final_state(&mut self, state: RunState) {
        self.set(FINAL_RUN_STATE, state.as_str());
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
    }

    /// All variables but those that `leave_out` names.
    pub fn without<'a>(
        &'a self,
        leave_out: &'a [String],
    ) -> impl Iterator<Item = (&'a OsString, &'a OsString)> {
        let left_out = |name: &OsString| leave_out.iter().any(|n| name == OsStr::new(n));
        self.variables
            .iter()
            .filter(move |(name, _)| !left_out(name))
    }

    /// Takes over what hooks exported: exactly those variables remain.
    pub fn replace(&mut self, exported: impl IntoIterator<Item = (OsString, OsString)>) {
        let mut exported: BTreeMap<OsString, OsString> = exported.into_iter().collect();
        // A name that a hook gave another value is the run's own from here on.
        self.handed.retain(|one| {
            let name = OsStr::new(&one.name);
            exported.get(name) == self.variables.get(name)
        });
        for name in SHELL_OWN {
            let name = OsStr::new(name);
            match self.variables.get(name) {
                Some(before) => exported.insert(name.to_owned(), before.clone()),
                None => exported.remove(name),
            };
        }
        self.variables = exported;
    }
}

fn check(name: &str, value: &Secret) -> Result<(), InvalidVariable> {
    let rule = if name.is_empty() {
        "it has no name"
    } else if name.contains(['=', '\0']) {
        "its name holds `=` or a zero byte"
    } else if value.expose().contains('\0') {
        "its value holds a zero byte"
    } else {
        return Ok(());
    };
    let name = name.chars().take(64).collect();
    Err(InvalidVariable { name, rule })
}

#[cfg(test)]
mod tests {
    use gantry_protocol::socket::HandedTo;

    use super::*;

    fn variable(name: &str, value: &str) -> Variable {
        Variable {
            name: name.into(),
            value: Secret::new(value),
            secret: false,
        }
    }

    fn base(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(n, v)| (n.into(), v.into())).collect()
    }

    #[test]
    fn the_order_wins_over_defaults_over_the_image() {
        let order = [
            variable("B", "order"),
            variable("A", "1"),
            variable("A", "2"),
        ];
        let image = base(&[
            ("B", "image"),
            ("C", "image"),
            ("D", "image"),
            ("PATH", "/x"),
        ]);
        let env = Environment::new(image, &[("B", "default"), ("C", "default")], &order).unwrap();
        let table = [
            ("A", "2"),
            ("B", "order"),
            ("C", "default"),
            ("D", "image"),
            ("PATH", "/x"),
        ];
        for (name, value) in table {
            assert_eq!(env.get(name), Some(OsStr::new(value)), "{name}");
        }
    }

    #[test]
    fn an_unset_path_gets_the_default() {
        for image in [base(&[]), base(&[("PATH", "")])] {
            let env = Environment::new(image, &[], &[]).unwrap();
            assert_eq!(env.get("PATH"), Some(OsStr::new(DEFAULT_PATH)));
        }
    }

    #[test]
    fn impossible_variables_are_named() {
        for (name, value) in [("A=B", "x"), ("A\0", "x"), ("A", "x\0"), ("", "x")] {
            let error = Environment::new([], &[], &[variable(name, value)])
                .err()
                .unwrap();
            assert!(
                error.to_string().starts_with("environment variable `"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_run_state_follows_the_phase_unless_the_stack_sets_it() {
        let mut env = Environment::new([], &[], &[]).unwrap();
        env.enter(Phase::Plan);
        assert_eq!(env.get(RUN_STATE), Some(OsStr::new("PLANNING")));
        let mut env = Environment::new([], &[], &[variable(RUN_STATE, "mine")]).unwrap();
        env.enter(Phase::Plan);
        assert_eq!(env.get(RUN_STATE), Some(OsStr::new("mine")));
    }

    #[test]
    fn exports_replace_all_but_the_shells_own() {
        let mut env = Environment::new(base(&[("A", "1"), ("SHLVL", "1")]), &[], &[]).unwrap();
        env.replace(base(&[
            ("B", "2"),
            ("SHLVL", "2"),
            ("_", "/bin/x"),
            ("OLDPWD", "/"),
        ]));
        let left: Vec<_> = env
            .without(&[])
            .map(|(n, v)| (n.to_str().unwrap(), v.to_str().unwrap()))
            .collect();
        assert_eq!(left, [("B", "2"), ("SHLVL", "1")]);
    }

    #[test]
    fn what_is_handed_over_follows_the_phase() {
        let one = |name: &str, value: &str, to| Handed {
            name: name.into(),
            value: Secret::new(value),
            to,
        };
        let handed = [
            one("REGION", "eu", HandedTo::Every),
            one("KEY", "read", HandedTo::Reading),
            one("KEY", "write", HandedTo::Writing),
            one("ROLE", "admin", HandedTo::Writing),
            one("OWN", "host", HandedTo::Every),
        ];
        let order = [variable("OWN", "stack")];
        let env = Environment::new(base(&[("ROLE", "image")]), &[], &order).unwrap();
        let mut env = env.hand_over(&handed, &order).unwrap();
        let seen =
            |env: &Environment, name: &str| env.get(name).map(|v| v.to_str().unwrap().to_owned());
        let table = [
            (Phase::Init, "read", Some("image")),
            (Phase::Plan, "read", Some("image")),
            (Phase::Apply, "write", Some("admin")),
            (Phase::Plan, "read", None),
        ];
        for (phase, key, role) in table {
            env.enter(phase);
            assert_eq!(seen(&env, "KEY").as_deref(), Some(key), "{phase:?}");
            assert_eq!(seen(&env, "ROLE").as_deref(), role, "{phase:?}");
            assert_eq!(seen(&env, "REGION").as_deref(), Some("eu"));
            assert_eq!(seen(&env, "OWN").as_deref(), Some("stack"));
        }
        env.replace(base(&[("KEY", "of a hook"), ("REGION", "eu")]));
        env.enter(Phase::Apply);
        assert_eq!(seen(&env, "KEY").as_deref(), Some("of a hook"));
        assert_eq!(seen(&env, "ROLE").as_deref(), Some("admin"));
    }
}
