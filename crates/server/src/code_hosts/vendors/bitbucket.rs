//! Bitbucket Data Center, API version 1.0.
//!
//! Takes names, gives requests below `https://HOST`. Never: a branch taken for another one whose name begins alike.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{
    Branch, Bytes, Changes, Listed, Part, Vendor, Version, Window, details, each, hash, text,
};
use crate::code_hosts::ask::{Ask, path, piece};
use crate::code_hosts::place::Place;
use crate::vcs_probe::Details;

#[derive(Debug)]
pub(super) struct Bitbucket;

fn at(place: &Place, rest: &str) -> String {
    let (key, name) = (piece(place.owner()), piece(place.last()));
    format!("/rest/api/1.0/projects/{key}/repos/{name}{rest}")
}

fn version(version: Version<'_>) -> String {
    match version {
        Version::Commit(hash) => piece(hash),
        Version::Branch(name) => piece(&format!("refs/heads/{name}")),
    }
}

fn next(said: &Value) -> Option<Option<u64>> {
    match said.get("isLastPage")?.as_bool()? {
        true => Some(None),
        false => Some(Some(said.get("nextPageStart")?.as_u64()?)),
    }
}

/// The URL under which git reaches it over `https`.
fn link(one: &Value) -> Option<String> {
    let links = one.pointer("/links/clone")?.as_array()?;
    let over = |link: &&Value| text(link, "/href").is_some_and(|href| href.starts_with("http"));
    text(links.iter().find(over)?, "/href")
}

impl Vendor for Bitbucket {
    fn searches(&self) -> bool {
        true
    }

    fn compares_trees(&self) -> bool {
        false
    }

    fn viewer(&self) -> Ask {
        Ask::get("get current user", "/rest/api/1.0/repos?limit=1".to_owned())
    }

    fn read_viewer(&self, headers: &HeaderMap, said: &Value) -> Option<String> {
        next(said)?;
        let name = headers
            .get("x-ausername")
            .and_then(|name| name.to_str().ok());
        Some(name.unwrap_or("anonymous").to_owned())
    }

    fn repositories(&self, window: Window, search: Option<&str>) -> Ask {
        let (size, start) = (window.size, window.at);
        let name = search.map(|text| format!("&name={}", piece(text)));
        let name = name.unwrap_or_default();
        let target = format!("/rest/api/1.0/repos?limit={size}&start={start}{name}");
        Ask::get("list repositories", target)
    }

    fn read_repositories(&self, _: Window, said: &Value) -> Option<Part<Listed>> {
        let all = each(said.get("values")?, |one| {
            let (key, slug) = (text(one, "/project/key")?, text(one, "/slug")?);
            Some(Listed {
                name: format!("{key}/{slug}"),
                url: link(one).unwrap_or_default(),
                default_branch: None,
            })
        })?;
        Some((all, next(said)?))
    }

    fn branches(&self, place: &Place, window: Window, search: Option<&str>) -> Ask {
        let (size, start) = (window.size, window.at);
        let filter = search.map(|text| format!("&filterText={}", piece(text)));
        let filter = filter.unwrap_or_default();
        let rest = format!("/branches?limit={size}&start={start}{filter}");
        Ask::get("list branches", at(place, &rest))
    }

    fn read_branches(&self, _: Window, said: &Value) -> Option<Part<Branch>> {
        let all = each(said.get("values")?, |one| {
            let name = text(one, "/id")?;
            let name = name.strip_prefix("refs/heads/")?.to_owned();
            let commit = hash(one, "/latestCommit")?;
            Some(Branch { name, commit })
        })?;
        Some((all, next(said)?))
    }

    fn head(&self, place: &Place, branch: &str) -> Ask {
        let filter = piece(branch);
        // The exact name comes first among those that hold it.
        let rest = format!("/branches?limit=100&start=0&filterText={filter}&boostMatches=true");
        Ask::get("get branch", at(place, &rest))
    }

    fn read_head(&self, branch: &str, said: &Value) -> Option<Option<String>> {
        let window = Window { at: 0, size: 100 };
        let (all, _) = self.read_branches(window, said)?;
        let found = all.into_iter().find(|one| one.name == branch);
        Some(found.map(|one| one.commit))
    }

    fn commit(&self, place: &Place, hash: &str) -> Ask {
        let rest = format!("/commits/{}", piece(hash));
        Ask::get("get commit", at(place, &rest))
    }

    fn read_commit(&self, said: &Value) -> Option<Details> {
        let author = text(said, "/author/displayName").or_else(|| text(said, "/author/name"))?;
        let when = said.get("committerTimestamp")?.as_i64()? / 1000;
        Some(details(author, &text(said, "/message")?, when))
    }

    fn file(&self, place: &Place, hash: &str, file: &str) -> Ask {
        let (key, name) = (piece(place.owner()), piece(place.last()));
        let (file, hash) = (path(file), piece(hash));
        let target = format!("/projects/{key}/repos/{name}/raw/{file}?at={hash}");
        Ask::get("get file", target).accepting("*/*")
    }

    fn read_file(&self, said: Bytes) -> Option<Bytes> {
        Some(said)
    }

    fn changes(&self, place: &Place, from: &str, to: &str, start: u64) -> Ask {
        // What the newer commit has and the older has not.
        let (from, to) = (piece(from), piece(to));
        let rest = format!("/compare/changes?from={to}&to={from}&limit=1000&start={start}");
        Ask::get("compare commits", at(place, &rest))
    }

    fn read_changes(&self, _: u64, said: &Value) -> Option<Changes> {
        let both = each(said.get("values")?, |change| {
            let path = text(change, "/path/toString")?;
            Some([Some(path), text(change, "/srcPath/toString")])
        })?;
        Some(Changes {
            paths: both.into_iter().flatten().flatten().collect(),
            next: next(said)?,
            all: true,
        })
    }

    fn ancestor(&self, place: &Place, older: Version<'_>, newer: Version<'_>) -> Ask {
        let (older, newer) = (version(older), version(newer));
        let rest = format!("/compare/commits?from={older}&to={newer}&limit=1");
        Ask::get("compare commits", at(place, &rest))
    }

    fn read_ancestor(&self, said: &Value) -> Option<bool> {
        Some(said.get("values")?.as_array()?.is_empty())
    }

    fn archive(&self, place: &Place, hash: &str) -> Ask {
        let rest = format!("/archive?at={}&format=tgz", piece(hash));
        Ask::get("get archive", at(place, &rest)).accepting("*/*")
    }
}
