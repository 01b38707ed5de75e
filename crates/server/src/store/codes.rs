//! How values stand in columns: enumerations as names, structures as JSON.
//!
//! Takes values, gives column texts and back. A text that no value has is an error, never a default.

use std::str::FromStr;

use gantry_policy::PolicyKind;
use gantry_protocol::payload::ToolKind;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::domain::stack::{Availability, StateKeeper};
use crate::domain::{
    Approval, Cause, CodeHost, Contact, Gate, Review, Scope, Stop, TaskInit, Urgency,
};

/// A value that is stored as one of a few names.
pub(super) trait Code: Copy + PartialEq + Sized + 'static {
    const COLUMN: &'static str;
    const NAMES: &'static [(Self, &'static str)];

    fn code(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(value, _)| *value == self);
        found.expect("invariant: every value has a name").1
    }

    fn decode(text: &str) -> Result<Self, StoreError> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text);
        found
            .map(|(value, _)| *value)
            .ok_or_else(|| unreadable(Self::COLUMN, text))
    }
}

impl Code for Contact {
    const COLUMN: &'static str = "contact";
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::NotLeased, "NOT_LEASED"),
        (Self::Live, "LIVE"),
        (Self::Lost, "LOST"),
    ];
}

impl Code for CodeHost {
    const COLUMN: &'static str = "vendor";
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Git, "GIT"),
        (Self::Github, "GITHUB"),
        (Self::Gitlab, "GITLAB"),
        (Self::BitbucketDatacenter, "BITBUCKET_DATACENTER"),
        (Self::AzureDevops, "AZURE_DEVOPS"),
    ];
}

impl Code for Approval {
    const COLUMN: &'static str = "approval";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Person, "PERSON"), (Self::Automatic, "AUTOMATIC")];
}

impl Code for TaskInit {
    const COLUMN: &'static str = "task_init";
    const NAMES: &'static [(Self, &'static str)] = &[(Self::Run, "RUN"), (Self::Skip, "SKIP")];
}

impl Code for Stop {
    const COLUMN: &'static str = "stop";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::NotAsked, "NOT_ASKED"), (Self::Asked, "ASKED")];
}

impl Code for StateKeeper {
    const COLUMN: &'static str = "state_keeper";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Server, "SERVER"), (Self::Elsewhere, "ELSEWHERE")];
}

impl Code for ToolKind {
    const COLUMN: &'static str = "workflow_tool";
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Terraform, "TERRAFORM"),
        (Self::OpenTofu, "OPEN_TOFU"),
    ];
}

impl Code for Gate {
    const COLUMN: &'static str = "gate";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Open, "OPEN"), (Self::Closed, "CLOSED")];
}

impl Code for Scope {
    const COLUMN: &'static str = "scope";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Whole, "WHOLE"), (Self::Targeted, "TARGETED")];
}

impl Code for Cause {
    const COLUMN: &'static str = "cause";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Asked, "ASKED"), (Self::Drift, "DRIFT")];
}

impl Code for Urgency {
    const COLUMN: &'static str = "urgency";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Normal, "NORMAL"), (Self::Prioritised, "PRIORITISED")];
}

impl Code for Availability {
    const COLUMN: &'static str = "availability";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Enabled, "ENABLED"), (Self::Disabled, "DISABLED")];
}

impl Code for Review {
    const COLUMN: &'static str = "decision";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Approve, "APPROVE"), (Self::Reject, "REJECT")];
}

impl Code for PolicyKind {
    const COLUMN: &'static str = "kind";
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Initialization, "INITIALIZATION"),
        (Self::Approval, "APPROVAL"),
        (Self::Plan, "PLAN"),
        (Self::Push, "GIT_PUSH"),
    ];
}

/// Parses a column through the value's own text form.
pub(super) fn parse<T: FromStr>(column: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| unreadable(column, text))
}

/// Reads a JSON column.
pub(super) fn from_json<T: DeserializeOwned>(
    column: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| unreadable(column, text))
}

/// Writes a JSON column.
pub(super) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("invariant: stored values are plain data")
}

pub(super) fn unreadable(column: &'static str, text: &str) -> StoreError {
    StoreError::Unreadable {
        column,
        value: text.chars().take(64).collect(),
    }
}
