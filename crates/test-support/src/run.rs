//! One run, as the API tells of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::wait::{LONG, wait_for};
use crate::world::World;

/// A run of a world's stack.
#[derive(Debug)]
pub struct Run<'w> {
    world: &'w World,
    stack: String,
    id: String,
}

/// What a run looks like at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Documented name of its state.
    pub state: String,
    /// Whether nothing can follow.
    pub finished: bool,
    /// How often it was handed out.
    pub attempt: u64,
    /// Why it ended as it did.
    pub note: String,
    /// The image it executed in.
    pub image: String,
    /// Added, changed, deleted.
    pub delta: Option<[u64; 3]>,
    /// The states that it entered, oldest first.
    pub history: Vec<String>,
    /// Notes of the transitions, oldest first, empty ones too.
    pub notes: Vec<String>,
}

const QUERY: &str = "query($stack: ID!, $run: ID!) { stack(id: $stack) { run(id: $run) {
    state finished attempt note imageDigest delta { addCount changeCount deleteCount }
    history { state note } } } }";

impl<'w> Run<'w> {
    pub(crate) fn new(world: &'w World, stack: String, id: String) -> Self {
        Self { world, stack, id }
    }

    /// A run that was started by other means.
    pub fn of(world: &'w World, stack: &str, id: &str) -> Self {
        Self::new(world, stack.to_owned(), id.to_owned())
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Looks at it.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn look(&self) -> Seen {
        self.try_look()
            .unwrap_or_else(|error| panic!("look at run {}: {error}", self.id))
    }

    /// Looks at it; the error is what the server said.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn try_look(&self) -> Result<Seen, String> {
        let variables = json!({ "stack": self.stack, "run": self.id });
        let data = self.world.api().ask(QUERY, variables)?;
        Ok(seen(&data["stack"]["run"]))
    }

    /// Waits until it is in this state; another end fails at once.
    pub fn wait(&self, state: &str) -> Seen {
        wait_for(&format!("run {} to be {state}", self.id), LONG, || {
            let seen = self.try_look()?;
            if seen.state == state {
                return Ok(seen);
            }
            assert!(
                !seen.finished,
                "run {} ended {seen:#?}\n{}",
                self.id,
                self.all_logs()
            );
            Err(format!("{seen:?}"))
        })
    }

    /// Waits until it has ended, however.
    pub fn wait_end(&self) -> Seen {
        wait_for(&format!("run {} to end", self.id), LONG, || {
            let seen = self.try_look()?;
            if seen.finished {
                Ok(seen)
            } else {
                Err(format!("{seen:?}"))
            }
        })
    }

    /// Confirms its plan.
    pub fn confirm(&self) {
        self.decide("confirm");
    }

    /// Discards its plan.
    pub fn discard(&self) {
        self.decide("discard");
    }

    fn decide(&self, what: &str) {
        self.world
            .cli()
            .text(&["stack", what, "--id", &self.stack, "--run", &self.id]);
    }

    /// The log of a state, byte for byte as the command line serves it.
    pub fn log_bytes(&self, state: &str) -> Vec<u8> {
        let args = [
            "stack",
            "logs",
            "--id",
            &self.stack,
            "--run",
            &self.id,
            "--phase",
            state,
        ];
        let ended = self.world.cli().call(&args);
        assert_eq!(ended.code, 0, "the log of {state}: {}", ended.stderr);
        ended.stdout
    }

    /// The log of a state, byte for byte as it is downloaded; the state was entered once.
    pub fn download(&self, state: &str) -> Vec<u8> {
        let query = "query($stack: ID!, $run: ID!) { stack(id: $stack) { run(id: $run) { history { state stateVersion } } } }";
        let variables = json!({ "stack": self.stack, "run": self.id });
        let data = self
            .world
            .api()
            .ask(query, variables)
            .expect("the run's history");
        let history = data["stack"]["run"]["history"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let entered = history.iter().find(|entry| entry["state"] == state);
        let version =
            &entered.unwrap_or_else(|| panic!("{state} was never entered"))["stateVersion"];
        let path = format!("/api/runs/{}/logs?stateVersion={version}", self.id);
        self.world
            .api()
            .download(&path)
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Every state that the run entered, oldest first, with the bytes that were logged in it, if any.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn downloads(&self) -> Result<Vec<(String, Vec<u8>)>, String> {
        let query = "query($stack: ID!, $run: ID!) { stack(id: $stack) { run(id: $run) { history { state stateVersion } } } }";
        let variables = json!({ "stack": self.stack, "run": self.id });
        let data = self.world.api().ask(query, variables)?;
        let history = data["stack"]["run"]["history"].as_array().cloned();
        let mut logged = Vec::new();
        for entry in history.unwrap_or_default().iter().rev() {
            let version = &entry["stateVersion"];
            let path = format!("/api/runs/{}/logs?stateVersion={version}", self.id);
            let bytes = match self.world.api().download(&path) {
                Err(error) if error.contains("404") => Vec::new(),
                other => other?,
            };
            let state = entry["state"].as_str().unwrap_or_default();
            logged.push((state.to_owned(), bytes));
        }
        Ok(logged)
    }

    /// The log of a state as text.
    pub fn log(&self, state: &str) -> String {
        String::from_utf8_lossy(&self.log_bytes(state)).into_owned()
    }

    /// Waits until the log of a state contains `text`: the last bytes may arrive after the state was left.
    pub fn wait_log(&self, state: &str, text: &str) -> String {
        wait_for(
            &format!("`{text}` in the log of {state} of run {}", self.id),
            LONG,
            || {
                let log = self.log(state);
                if log.contains(text) {
                    Ok(log)
                } else {
                    Err(log)
                }
            },
        )
    }

    /// The logs of all states, oldest first, for messages.
    pub fn all_logs(&self) -> String {
        let args = ["stack", "logs", "--id", &self.stack, "--run", &self.id];
        let ended = self.world.cli().call(&args);
        String::from_utf8_lossy(&ended.stdout).into_owned()
    }
}

impl Seen {
    /// How often the run entered this state.
    pub fn times(&self, state: &str) -> usize {
        self.history
            .iter()
            .filter(|entered| *entered == state)
            .count()
    }

    /// Every reason that the API gives, in one text.
    pub fn reasons(&self) -> String {
        format!("{}\n{}", self.note, self.notes.join("\n"))
    }
}

fn seen(run: &Value) -> Seen {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let delta = run["delta"].as_object().map(|delta| {
        let by_name: BTreeMap<_, _> = delta
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_u64()))
            .collect();
        ["addCount", "changeCount", "deleteCount"].map(|name| by_name[name].unwrap_or_default())
    });
    let history: Vec<&Value> = run["history"]
        .as_array()
        .into_iter()
        .flatten()
        .rev()
        .collect();
    Seen {
        state: text(&run["state"]),
        finished: run["finished"].as_bool().unwrap_or_default(),
        attempt: run["attempt"].as_u64().unwrap_or_default(),
        note: text(&run["note"]),
        image: text(&run["imageDigest"]),
        delta,
        history: history.iter().map(|entry| text(&entry["state"])).collect(),
        notes: history.iter().map(|entry| text(&entry["note"])).collect(),
    }
}
