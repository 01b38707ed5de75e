//! Azure DevOps, API version 7.1.
//!
//! Takes names, gives requests below `https://dev.azure.com/ORGANISATION`. Its lists come whole and are cut here.
//! Never: a folder taken for a file.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{
    Branch, Bytes, Changes, Listed, Part, Vendor, Version, Window, details, each, hash, moment,
    text,
};
use crate::code_hosts::ask::{Ask, piece};
use crate::code_hosts::place::Place;
use crate::vcs_probe::Details;

/// Changes that are asked for at a time.
const CHANGES: u64 = 2000;

#[derive(Debug)]
pub(super) struct Azure;

fn at(place: &Place, rest: &str) -> String {
    let (project, name) = (piece(place.owner()), piece(place.last()));
    format!("/{project}/_apis/git/repositories/{name}{rest}")
}

fn version(version: Version<'_>) -> (String, &'static str) {
    match version {
        Version::Commit(hash) => (piece(hash), "commit"),
        Version::Branch(name) => (piece(name), "branch"),
    }
}

fn diff(place: &Place, base: Version<'_>, target: Version<'_>, (top, skip): (u64, u64)) -> Ask {
    let (base, base_type) = version(base);
    let (target, target_type) = version(target);
    let rest = format!(
        "/diffs/commits?baseVersion={base}&baseVersionType={base_type}&targetVersion={target}\
         &targetVersionType={target_type}&diffCommonCommit=false&$top={top}&$skip={skip}&api-version=7.1"
    );
    Ask::get("compare commits", at(place, &rest))
}

/// The part of a whole list that is wanted.
fn cut<T>(window: Window, all: Vec<T>) -> Part<T> {
    let (skip, size) = (
        usize::try_from(window.at).unwrap_or(usize::MAX),
        window.size as usize,
    );
    let more = all.len() > skip.saturating_add(size);
    let next = more.then_some(window.at + u64::from(window.size));
    (all.into_iter().skip(skip).take(size).collect(), next)
}

fn branch(one: &Value) -> Option<Branch> {
    let (name, commit) = (text(one, "/name")?, hash(one, "/commit/commitId")?);
    Some(Branch { name, commit })
}

impl Vendor for Azure {
    fn searches(&self) -> bool {
        false
    }

    fn compares_trees(&self) -> bool {
        true
    }

    fn viewer(&self) -> Ask {
        Ask::get("get current user", "/_apis/connectionData".to_owned())
    }

    fn read_viewer(&self, _: &HeaderMap, said: &Value) -> Option<String> {
        text(said, "/authenticatedUser/providerDisplayName")
    }

    fn repositories(&self, _: Window, _: Option<&str>) -> Ask {
        let target = "/_apis/git/repositories?api-version=7.1";
        Ask::get("list repositories", target.to_owned())
    }

    fn read_repositories(&self, window: Window, said: &Value) -> Option<Part<Listed>> {
        let all = each(said.get("value")?, |one| {
            let (project, name) = (text(one, "/project/name")?, text(one, "/name")?);
            let branch = text(one, "/defaultBranch");
            let branch = branch.and_then(|name| Some(name.strip_prefix("refs/heads/")?.to_owned()));
            Some(Listed {
                name: format!("{project}/{name}"),
                url: text(one, "/remoteUrl").unwrap_or_default(),
                default_branch: branch,
            })
        })?;
        Some(cut(window, all))
    }

    fn branches(&self, place: &Place, _: Window, _: Option<&str>) -> Ask {
        Ask::get(
            "list branches",
            at(place, "/stats/branches?api-version=7.1"),
        )
    }

    fn read_branches(&self, window: Window, said: &Value) -> Option<Part<Branch>> {
        Some(cut(window, each(said.get("value")?, branch)?))
    }

    fn head(&self, place: &Place, branch: &str) -> Ask {
        let rest = format!("/stats/branches?name={}&api-version=7.1", piece(branch));
        Ask::get("get branch", at(place, &rest))
    }

    fn read_head(&self, name: &str, said: &Value) -> Option<Option<String>> {
        let found = branch(said)?;
        Some((found.name == name).then_some(found.commit))
    }

    fn commit(&self, place: &Place, hash: &str) -> Ask {
        let rest = format!("/commits/{}?api-version=7.1", piece(hash));
        Ask::get("get commit", at(place, &rest))
    }

    fn read_commit(&self, said: &Value) -> Option<Details> {
        let author = text(said, "/author/name")?;
        let when = moment(said, "/committer/date")?;
        Some(details(author, &text(said, "/comment")?, when))
    }

    fn file(&self, place: &Place, hash: &str, path: &str) -> Ask {
        let (path, hash) = (piece(&format!("/{path}")), piece(hash));
        let rest = format!(
            "/items?path={path}&versionDescriptor.version={hash}&versionDescriptor.versionType=commit\
             &includeContent=true&$format=json&api-version=7.1"
        );
        Ask::get("get file", at(place, &rest))
    }

    fn read_file(&self, said: Bytes) -> Option<Bytes> {
        let said: Value = serde_json::from_slice(&said).ok()?;
        if said.get("isFolder").and_then(Value::as_bool) == Some(true) {
            return None;
        }
        Some(text(&said, "/content")?.into_bytes())
    }

    fn changes(&self, place: &Place, from: &str, to: &str, skip: u64) -> Ask {
        let (from, to) = (Version::Commit(from), Version::Commit(to));
        diff(place, from, to, (CHANGES, skip))
    }

    fn read_changes(&self, skip: u64, said: &Value) -> Option<Changes> {
        let both = each(said.get("changes")?, |change| {
            let folder = change.pointer("/item/isFolder").and_then(Value::as_bool);
            if folder == Some(true) {
                return Some([None, None]);
            }
            let path = text(change, "/item/path")?;
            Some([Some(path), text(change, "/sourceServerItem")])
        })?;
        let whole = said.get("allChangesIncluded")?.as_bool()?;
        let more = !whole && !both.is_empty();
        let bare = |path: String| path.trim_start_matches('/').to_owned();
        Some(Changes {
            paths: both.into_iter().flatten().flatten().map(bare).collect(),
            next: more.then_some(skip + CHANGES),
            all: whole || more,
        })
    }

    fn ancestor(&self, place: &Place, older: Version<'_>, newer: Version<'_>) -> Ask {
        diff(place, newer, older, (1, 0))
    }

    fn read_ancestor(&self, said: &Value) -> Option<bool> {
        Some(said.get("aheadCount")?.as_u64()? == 0)
    }

    fn archive(&self, place: &Place, hash: &str) -> Ask {
        let hash = piece(hash);
        let rest = format!(
            "/items?path=%2F&versionDescriptor.version={hash}&versionDescriptor.versionType=commit\
             &recursionLevel=full&$format=zip&download=true&api-version=7.1"
        );
        Ask::get("get archive", at(place, &rest)).accepting("application/zip")
    }
}
