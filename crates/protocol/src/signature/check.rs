//! Whether a run carries a signature that lets it happen here.
//!
//! Takes trusted keys, what the launcher is about to do, the run's metadata and the time. Gives the claims that
//! were believed, or one sentence. Never: a field defaulted, an older signature where the newest one is bad.

use std::str::FromStr;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::canonical;
use super::claims::{Claims, LONGEST_LIFE, SignedPhase};
use super::document::{Fields, RunDocument};
use super::token::{MARK, Token, TokenError};
use super::trust::TrustedKeys;
use crate::control::envelope::CLOCK_ALLOWANCE;
use crate::control::workspace::WorkspaceAttestation;
use crate::ids::{PoolId, RunId};
use crate::payload::RunPayload;

/// Which leases need a signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Requirement {
    /// None. One that is there is checked all the same.
    #[default]
    Off,
    /// Those in which the world may change: applies, tasks, and plans that go on to their apply by themselves.
    ApplyOnly,
    /// Every one.
    All,
}

/// To whom a signature may be made out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Audience {
    /// To nobody in particular, or to one of these.
    AnyOf(Vec<String>),
    /// To this name only.
    Only(String),
}

/// What a launcher is about to do.
#[derive(Clone, PartialEq, Debug)]
pub struct Expected {
    phase: SignedPhase,
    fields: Fields,
    audience: Audience,
    /// Of an apply whose plan was made from something else.
    planned_otherwise: Option<RunId>,
}

/// A signature that was believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// What was signed.
    pub claims: Claims,
    /// Name of the key that signed.
    pub kid: String,
}

/// Why a run's signature does not let it happen.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum SignatureRefusal {
    /// No signature for this.
    #[error("the run carries no signature for `{phase}`, which this launcher requires{others}")]
    Missing {
        /// What it would have to be for.
        phase: SignedPhase,
        /// What there is instead, as the end of the sentence.
        others: String,
    },
    /// Not a signature by a trusted key.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The signature was made for something else.
    #[error("the run signature was made for something else: {0}")]
    Differs(String),
    /// It lives longer than any may.
    #[error(
        "the run signature lives from {made} to {ends}: at most {hours} hours are allowed",
        hours = LONGEST_LIFE / 3600
    )]
    Life {
        /// When it was made.
        made: String,
        /// When it ends.
        ends: String,
    },
    /// It has ended.
    #[error(
        "the run signature ended at {ends}, and the clock of this host says {now}: sign again, or set the clock"
    )]
    Expired {
        /// When it ended.
        ends: String,
        /// What time it is here.
        now: String,
    },
    /// It has not begun.
    #[error(
        "the run signature was made at {made}, and the clock of this host says {now}: set the clock here, or of whoever signed"
    )]
    Future {
        /// When it was made.
        made: String,
        /// What time it is here.
        now: String,
    },
    /// Made out to somebody else.
    #[error("the run signature is made out to {found}, and this launcher takes {wanted}")]
    Audience {
        /// To whom.
        found: String,
        /// Who is meant here.
        wanted: String,
    },
    /// An apply whose plan nobody attested, or the plan of another run.
    #[error("the apply of run {0} has no attested plan that a signature could be for")]
    NoPlan(RunId),
    /// An apply whose unsigned plan was made from something else than the apply says.
    #[error(
        "the plan of run {0} was made from other settings than its apply says (code, tool, variables, files or hooks), or by a launcher that does not say from which: plan again"
    )]
    PlannedOtherwise(RunId),
}

impl Requirement {
    /// Whether a lease of this phase needs a signature.
    pub fn demands(self, phase: SignedPhase) -> bool {
        match self {
            Self::Off => false,
            Self::ApplyOnly => phase.changes(),
            Self::All => true,
        }
    }
}

impl FromStr for Requirement {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "apply-only" => Ok(Self::ApplyOnly),
            "all" => Ok(Self::All),
            _ => Err("is none of `off`, `apply-only` and `all`"),
        }
    }
}

impl Audience {
    /// A launcher without a name of its owner's choice: it is known by its id and its pool's.
    pub fn of(launcher: &str, pool: PoolId) -> Self {
        Self::AnyOf(vec![launcher.to_owned(), pool.to_string()])
    }

    fn check(&self, found: Option<&str>) -> Result<(), SignatureRefusal> {
        let (fits, wanted) = match (self, found) {
            (Self::AnyOf(_), None) => (true, String::new()),
            (Self::AnyOf(names), Some(found)) => (
                names.iter().any(|name| name == found),
                format!("those for nobody in particular or for {}", names.join(", ")),
            ),
            (Self::Only(name), found) => (
                found == Some(name.as_str()),
                format!("only those for `{name}`"),
            ),
        };
        if fits {
            return Ok(());
        }
        let found = found.map_or_else(|| "nobody".to_owned(), |name| format!("`{name}`"));
        Err(SignatureRefusal::Audience { found, wanted })
    }
}

impl Expected {
    /// What a signature has to say for this payload; an apply needs its plan's verified attestation.
    ///
    /// # Errors
    /// [`SignatureRefusal::NoPlan`].
    pub fn new(
        payload: &RunPayload,
        plan: Option<&WorkspaceAttestation>,
        audience: Audience,
    ) -> Result<Self, SignatureRefusal> {
        let phase = SignedPhase::of(payload.run_type, payload.stage, payload.autodeploy);
        let document = RunDocument::of(payload);
        let fields = match (phase, plan) {
            (SignedPhase::Apply, Some(plan)) if plan.run == payload.run => {
                document.apply_fields(plan)
            }
            (SignedPhase::Apply, _) => return Err(SignatureRefusal::NoPlan(payload.run)),
            (SignedPhase::Plan | SignedPhase::PlanAndApply | SignedPhase::Task, _) => {
                document.fields()
            }
        };
        let alike = plan.is_none_or(|plan| plan.document == Some(document.planned()));
        let otherwise = phase == SignedPhase::Apply && !alike;
        Ok(Self {
            phase,
            fields,
            audience,
            planned_otherwise: otherwise.then_some(payload.run),
        })
    }

    /// The phase that is needed.
    pub fn phase(&self) -> SignedPhase {
        self.phase
    }

    /// Whether an apply's plan was made from what the apply says. Where plans are not signed this alone ties what was
    /// executed then to what is signed now.
    ///
    /// # Errors
    /// [`SignatureRefusal::PlannedOtherwise`].
    pub fn planned_alike(&self) -> Result<(), SignatureRefusal> {
        match self.planned_otherwise {
            None => Ok(()),
            Some(run) => Err(SignatureRefusal::PlannedOtherwise(run)),
        }
    }
}

impl Checked {
    /// Whether it holds at `now` (Unix seconds), with the allowance for clocks that differ.
    ///
    /// # Errors
    /// [`SignatureRefusal::Expired`] or [`SignatureRefusal::Future`].
    pub fn in_time(&self, now: i64) -> Result<(), SignatureRefusal> {
        let Claims { iat, exp, .. } = self.claims;
        if now.saturating_sub(exp) > CLOCK_ALLOWANCE {
            let (ends, now) = (instant(exp), instant(now));
            return Err(SignatureRefusal::Expired { ends, now });
        }
        if iat.saturating_sub(now) > CLOCK_ALLOWANCE {
            let (made, now) = (instant(iat), instant(now));
            return Err(SignatureRefusal::Future { made, now });
        }
        Ok(())
    }
}

/// Finds the newest signature for what is about to happen and checks everything about it but the time; nothing
/// when the run carries none for it.
///
/// # Errors
/// See [`SignatureRefusal`]. A signature that is there and bad is refused, whatever stands before it.
pub fn examine(
    trust: &TrustedKeys,
    expected: &Expected,
    metadata: &[String],
) -> Result<Option<Checked>, SignatureRefusal> {
    let Some(token) = newest(metadata, expected.phase)? else {
        return Ok(None);
    };
    let (claims, kid) = token.verify(trust)?;
    life(&claims)?;
    let differences = differences(&claims.fields, &expected.fields);
    if !differences.is_empty() {
        return Err(SignatureRefusal::Differs(differences.join("; ")));
    }
    expected.audience.check(claims.aud.as_deref())?;
    Ok(Some(Checked { claims, kid }))
}

/// Everything about a run's signature but its single use.
///
/// # Errors
/// See [`SignatureRefusal`].
pub fn check(
    trust: &TrustedKeys,
    requirement: Requirement,
    expected: &Expected,
    metadata: &[String],
    now: i64,
) -> Result<Option<Checked>, SignatureRefusal> {
    let checked = examine(trust, expected, metadata)?;
    match &checked {
        Some(found) => found.in_time(now)?,
        None => required(requirement, expected.phase, metadata)?,
    }
    Ok(checked)
}

/// Refuses a run without a signature where one is needed.
///
/// # Errors
/// [`SignatureRefusal::Missing`].
pub fn required(
    requirement: Requirement,
    phase: SignedPhase,
    metadata: &[String],
) -> Result<(), SignatureRefusal> {
    if !requirement.demands(phase) {
        return Ok(());
    }
    let tokens = metadata.iter().filter(|entry| entry.starts_with(MARK));
    let tokens = tokens.filter_map(|entry| Token::parse(entry).ok());
    let mut others: Vec<_> = tokens.map(|token| token.unverified().phase).collect();
    others.sort();
    others.dedup();
    let others = match others.is_empty() {
        true => String::new(),
        false => {
            let others: Vec<_> = others.iter().map(|phase| format!("`{phase}`")).collect();
            format!(" (it carries one for {})", others.join(" and "))
        }
    };
    Err(SignatureRefusal::Missing { phase, others })
}

/// The newest entry that says it is for `phase`. One that can't be read might be it, and is refused.
fn newest(metadata: &[String], phase: SignedPhase) -> Result<Option<Token<'_>>, TokenError> {
    let entries = metadata.iter().rev();
    for entry in entries.filter(|entry| entry.starts_with(MARK)) {
        let token = Token::parse(entry)?;
        if token.unverified().phase == phase {
            return Ok(Some(token));
        }
    }
    Ok(None)
}

fn life(claims: &Claims) -> Result<(), SignatureRefusal> {
    let length = claims.exp.checked_sub(claims.iat);
    if length.is_some_and(|length| (1..=LONGEST_LIFE).contains(&length)) {
        return Ok(());
    }
    let (made, ends) = (instant(claims.iat), instant(claims.exp));
    Err(SignatureRefusal::Life { made, ends })
}

/// What differs, a clause each: every name of either side is looked at.
fn differences(signed: &Fields, actual: &Fields) -> Vec<String> {
    let names = signed.keys().chain(actual.keys());
    let mut names: Vec<&String> = names.collect();
    names.sort();
    names.dedup();
    let clause = |name: &String| match (signed.get(name), actual.get(name)) {
        (Some(signed), Some(actual)) if signed == actual => None,
        (Some(signed), Some(actual)) => Some(match (shown(signed), shown(actual)) {
            (Some(signed), Some(actual)) => {
                format!("`{name}` was signed as {signed} and is {actual}")
            }
            _ => format!("`{name}` was signed otherwise"),
        }),
        (None, Some(_)) => Some(format!("`{name}` is not stated")),
        (Some(_), None) => Some(format!("`{name}` is stated and not known here")),
        (None, None) => None,
    };
    names.into_iter().filter_map(clause).collect()
}

/// A value as people read it; digests tell them nothing.
fn shown(value: &Value) -> Option<String> {
    let bytes = canonical::bytes(value);
    let text = String::from_utf8(bytes).ok()?;
    (!value.is_object()).then(|| text.chars().take(100).collect())
}

fn instant(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("second {seconds}"))
}
