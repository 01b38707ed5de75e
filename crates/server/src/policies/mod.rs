//! Evaluates the server's own policies, each in a process of its own.
//!
//! Takes stored policies and an input document, gives what each said and keeps a sample of it. What must never
//! happen: an evaluation inside a write transaction (it may take seconds), or one without an answer that
//! somebody takes for a yes.

mod approval;
mod input;
mod known;
mod plan;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use gantry_policy::{CompileError, EvalError, Evaluation, Limits, PolicyKind, Sandbox, User};
use serde_json::{Map, Value};
use tokio::time::Instant;

pub use approval::{Decision, Opinion, named};
pub use input::{about_stack, commit, nanos, request, waiting};
pub use known::OfStack;

use crate::clock::UnixMillis;
use crate::domain::AskedPolicy;
use crate::error::chain;
use crate::plans::PlanKeeper;
use crate::store::policies::{self, Policy, Sample};
use crate::store::run_flags::FlagsOf;
use crate::store::{Store, StoreError};

/// Who evaluates where this process is root: nobody.
const NOBODY: User = User {
    uid: 65534,
    gid: 65534,
};

/// Evaluations that decide something at the same time; more wait. Each may take all of one processor.
const AT_ONCE: usize = 2;

/// The same of those that decide nothing, which have to wait longer than those that do.
const TRIALS_AT_ONCE: usize = 1;

/// How long somebody who tries a policy waits for a turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long all policies of one kind may take together about one thing. Those that are not reached have no answer.
const TOGETHER: Duration = Duration::from_secs(5 * 60);

/// Evaluates policies.
#[derive(Clone, Debug)]
pub struct Judge {
    store: Arc<Store>,
    plans: PlanKeeper,
    sandbox: Sandbox,
    turns: Arc<tokio::sync::Semaphore>,
    trials: Arc<tokio::sync::Semaphore>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The text is no policy.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The evaluation failed.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Its turn did not come.
    #[error("too many policies are tried at the moment; try again in a minute")]
    Busy,
    /// Those before it took all the time.
    #[error("the policies before this one took {} s together", TOGETHER.as_secs())]
    NoTimeLeft,
}

/// What one policy said.
#[derive(Debug)]
pub struct Said {
    /// Which one.
    pub policy: Policy,
    /// Its answer; none is never a yes.
    pub answer: Result<Evaluation, JudgeError>,
}

impl Judge {
    /// Evaluates in children of this program, or of another one that has the same entrance.
    pub fn new(store: Arc<Store>, plans: PlanKeeper, program: Option<PathBuf>) -> Self {
        let mut sandbox = Sandbox::new(NOBODY, Limits::default());
        if let Some(program) = program {
            sandbox = sandbox.with_program(program);
        }
        Self {
            store,
            plans,
            sandbox,
            turns: Arc::new(tokio::sync::Semaphore::new(AT_ONCE)),
            trials: Arc::new(tokio::sync::Semaphore::new(TRIALS_AT_ONCE)),
        }
    }

    /// What a text says about an input; nothing is kept.
    ///
    /// # Errors
    /// When the text is no policy of this kind, or has no answer.
    pub async fn simulate(
        &self,
        kind: PolicyKind,
        name: &str,
        body: &str,
        input: &Value,
    ) -> Result<Evaluation, JudgeError> {
        let _turn = self.trial().await?;
        self.evaluate(kind, name, body, input).await
    }

    async fn evaluate(
        &self,
        kind: PolicyKind,
        name: &str,
        body: &str,
        input: &Value,
    ) -> Result<Evaluation, JudgeError> {
        let policy = self.sandbox.compile(kind, name, body).await?;
        let sandbox = self.sandbox.clone().with_time(kind.time());
        Ok(sandbox.evaluate(&policy, input).await?)
    }

    /// A turn for what decides nothing: it never takes one from what does.
    async fn trial(&self) -> Result<impl Drop, JudgeError> {
        let turn = Arc::clone(&self.trials).acquire_owned();
        match tokio::time::timeout(PATIENCE, turn).await {
            // The semaphore is never closed.
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(JudgeError::Busy),
        }
    }

    /// Whether a text is a policy of this kind. Read in a child: some texts keep the reader busy for long.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn check(&self, kind: PolicyKind, name: &str, body: &str) -> Result<(), JudgeError> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        self.sandbox.compile(kind, name, body).await?;
        Ok(())
    }

    /// What each of these policies says about an input; each evaluation is kept as a sample.
    ///
    /// # Errors
    /// When the database fails. What a policy has no answer to stands in its [`Said`].
    pub async fn ask(&self, asked: Vec<Policy>, input: &Value) -> Result<Vec<Said>, StoreError> {
        let begun = Instant::now();
        let each = asked.into_iter().map(|policy| async move {
            let answer = self.answer(&policy, input, begun).await;
            if let Err(error) = &answer {
                tracing::warn!(policy = %policy.id, error = chain(error), "a policy has no answer");
            }
            Said { policy, answer }
        });
        let all: Vec<Said> = stream::iter(each).buffered(AT_ONCE).collect().await;
        let text = input.to_string();
        let mut tx = self.store.begin().await?;
        for said in &all {
            let sample = Sample {
                key: self.store.new_id(),
                outcome: said.outcome().to_owned(),
                input: Some(text.clone()),
                body: said.policy.body.clone(),
                taken_at: UnixMillis::now(),
            };
            policies::keep_sample(&mut tx, &said.policy.id, &sample).await?;
        }
        self.store.commit(tx).await?;
        Ok(all)
    }

    /// One answer, as long as those of all policies have not taken all the time since `begun`.
    async fn answer(
        &self,
        policy: &Policy,
        input: &Value,
        begun: Instant,
    ) -> Result<Evaluation, JudgeError> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        if begun.elapsed() >= TOGETHER {
            return Err(JudgeError::NoTimeLeft);
        }
        self.evaluate(policy.kind, policy.id.as_str(), &policy.body, input)
            .await
    }
}

impl Said {
    /// What it notes about the run; nothing without an answer.
    pub fn flags(&self) -> FlagsOf {
        let texts = |rule: &str| {
            let answer = self.answer.as_ref().ok();
            answer.map_or_else(Vec::new, |answer| answer.texts(rule).to_vec())
        };
        FlagsOf {
            policy: self.policy.id.clone(),
            reset: texts("reset_flag"),
            set: texts("flag"),
        }
    }

    /// One word for lists.
    fn outcome(&self) -> &'static str {
        let Ok(answer) = &self.answer else {
            return "error";
        };
        let rules: &[(&str, &str)] = match self.policy.kind {
            PolicyKind::Approval => &[
                ("reject", "reject"),
                ("reject_with_note", "reject"),
                ("approve", "approve"),
                ("approve_with_note", "approve"),
            ],
            PolicyKind::Plan | PolicyKind::Initialization => &[("deny", "deny"), ("warn", "warn")],
            PolicyKind::Push => &[
                ("ignore", "ignore"),
                ("track", "track"),
                ("propose", "propose"),
            ],
        };
        let fired = |rule: &str| answer.flag(rule) || !answer.texts(rule).is_empty();
        let first = rules.iter().find(|(rule, _)| fired(rule));
        match (first, self.policy.kind) {
            (Some((_, word)), _) => word,
            (None, PolicyKind::Plan | PolicyKind::Initialization) => "allow",
            (None, PolicyKind::Approval | PolicyKind::Push) => "undecided",
        }
    }
}

/// Which policies these are, as they are now.
fn asked(policies: &[Policy]) -> Vec<AskedPolicy> {
    let asked = policies.iter().map(|policy| AskedPolicy {
        id: policy.id.to_string(),
        updated_at: policy.updated_at.0,
    });
    asked.collect()
}

/// An answer as people see it: every rule of the kind under its name.
pub fn shown(answer: &Evaluation) -> Value {
    let texts = answer.texts.iter();
    let flags = answer.flags.iter();
    let mut object: Map<String, Value> = texts
        .map(|(rule, texts)| (rule.clone(), texts.clone().into()))
        .chain(flags.map(|(rule, flag)| (rule.clone(), (*flag).into())))
        .collect();
    if !answer.prints.is_empty() {
        object.insert("print".to_owned(), answer.prints.clone().into());
    }
    Value::Object(object)
}
