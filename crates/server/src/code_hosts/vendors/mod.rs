//! What the four vendors' APIs are asked, and what they answer. Pure.
//!
//! Takes names, gives requests; takes JSON, gives what it says. Never: an answer that is only half understood taken
//! for a whole one.

mod azure;
mod bitbucket;
mod github;
mod gitlab;

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::ask::Ask;
use super::place::Place;
use crate::domain::CodeHost;
use crate::vcs_probe::{Details, is_full_hash};

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Pages or entries before it, whatever the vendor counts.
    pub(super) at: u64,
    /// Most entries.
    pub(super) size: u32,
}

/// A part of a list, and where the next one begins.
pub(super) type Part<T> = (Vec<T>, Option<u64>);

/// A repository in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its whole name at the host, such as `acme/net`.
    pub name: String,
    /// What git clones.
    pub url: String,
    /// The branch that the host shows first.
    pub default_branch: Option<String>,
}

/// A branch in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// The commit it points at.
    pub commit: String,
}

/// A commit, or a branch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Version<'a> {
    Commit(&'a str),
    Branch(&'a str),
}

/// Paths that differ between two commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) paths: Vec<String>,
    pub(super) next: Option<u64>,
    /// Whether the host tells of every path.
    pub(super) all: bool,
}

/// A file as the host gives it.
pub(super) type Bytes = Vec<u8>;

/// One vendor's API. Each question has a reader; a reader's `None` is an answer that can't be understood.
pub(super) trait Vendor: Sync + std::fmt::Debug {
    /// Headers of every request.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
    /// Whether lists of repositories are searched by the host.
    fn searches(&self) -> bool;
    /// Whether [`Vendor::changes`] compares the two trees, however the commits are related, or says that they are
    /// not in line.
    fn compares_trees(&self) -> bool;

    /// Whose token it is.
    fn viewer(&self) -> Ask;
    fn read_viewer(&self, headers: &HeaderMap, said: &Value) -> Option<String>;

    fn repositories(&self, window: Window, search: Option<&str>) -> Ask;
    fn read_repositories(&self, window: Window, said: &Value) -> Option<Part<Listed>>;

    fn branches(&self, place: &Place, window: Window, search: Option<&str>) -> Ask;
    fn read_branches(&self, window: Window, said: &Value) -> Option<Part<Branch>>;

    /// The branch of this name, maybe among others.
    fn head(&self, place: &Place, branch: &str) -> Ask;
    fn read_head(&self, branch: &str, said: &Value) -> Option<Option<String>>;

    fn commit(&self, place: &Place, hash: &str) -> Ask;
    fn read_commit(&self, said: &Value) -> Option<Details>;

    fn file(&self, place: &Place, hash: &str, path: &str) -> Ask;
    fn read_file(&self, said: Bytes) -> Option<Bytes>;

    fn changes(&self, place: &Place, from: &str, to: &str, at: u64) -> Ask;
    fn read_changes(&self, at: u64, said: &Value) -> Option<Changes>;

    /// Whether everything in `older` is in `newer`.
    fn ancestor(&self, place: &Place, older: Version<'_>, newer: Version<'_>) -> Ask;
    fn read_ancestor(&self, said: &Value) -> Option<bool>;

    fn archive(&self, place: &Place, hash: &str) -> Ask;
}

/// The API of a kind of host; servers that only speak git have none.
pub(super) fn of(host: CodeHost) -> Option<&'static dyn Vendor> {
    match host {
        CodeHost::Git => None,
        CodeHost::Github => Some(&github::Github),
        CodeHost::Gitlab => Some(&gitlab::Gitlab),
        CodeHost::BitbucketDatacenter => Some(&bitbucket::Bitbucket),
        CodeHost::AzureDevops => Some(&azure::Azure),
    }
}

fn text(said: &Value, pointer: &str) -> Option<String> {
    Some(said.pointer(pointer)?.as_str()?.to_owned())
}

/// A full hash, in lower case.
fn hash(said: &Value, pointer: &str) -> Option<String> {
    let hash = text(said, pointer)?.to_ascii_lowercase();
    is_full_hash(&hash).then_some(hash)
}

/// Every entry of a list, or nothing if one can't be understood.
fn each<T>(said: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    said.as_array()?.iter().map(read).collect()
}

/// The next page of a host that counts pages: there is one after a full page.
fn full(window: Window, found: usize) -> Option<u64> {
    (found >= window.size as usize).then_some(window.at + 1)
}

/// A moment as the vendors write it, in Unix seconds.
fn moment(said: &Value, pointer: &str) -> Option<i64> {
    let text = text(said, pointer)?;
    let parsed = chrono::DateTime::parse_from_rfc3339(&text).ok()?;
    Some(parsed.timestamp())
}

fn details(author: String, message: &str, committed_at: i64) -> Details {
    Details::bounded(&author, message, committed_at)
}
