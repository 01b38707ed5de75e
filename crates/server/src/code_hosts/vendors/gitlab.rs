//! GitLab, API version 4.
//!
//! Takes names, gives requests below `https://HOST/api/v4`. Never: a list of changes that GitLab cut off taken for
//! a whole one.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{
    Branch, Bytes, Changes, Listed, Part, Vendor, Version, Window, details, each, full, hash,
    moment, text,
};
use crate::code_hosts::ask::{Ask, piece, whole};
use crate::code_hosts::place::Place;
use crate::vcs_probe::Details;

/// From so many paths on a comparison may be cut off.
const PATHS: usize = 1000;

#[derive(Debug)]
pub(super) struct Gitlab;

fn at(place: &Place, rest: &str) -> String {
    format!("/projects/{}{rest}", piece(&place.name()))
}

fn compare(place: &Place, from: &str, to: &str) -> Ask {
    let (from, to) = (piece(from), piece(to));
    let rest = format!("/repository/compare?from={from}&to={to}&straight=true");
    Ask::get("compare commits", at(place, &rest))
}

fn search_of(search: Option<&str>) -> String {
    let value = search.map(|text| format!("&search={}", piece(text)));
    value.unwrap_or_default()
}

impl Vendor for Gitlab {
    fn searches(&self) -> bool {
        true
    }

    fn compares_trees(&self) -> bool {
        true
    }

    fn viewer(&self) -> Ask {
        Ask::get("get current user", "/user".to_owned())
    }

    fn read_viewer(&self, _: &HeaderMap, said: &Value) -> Option<String> {
        text(said, "/username")
    }

    fn repositories(&self, window: Window, search: Option<&str>) -> Ask {
        let (size, page) = (window.size, window.at + 1);
        let search = search_of(search);
        let target = format!(
            "/projects?membership=true&simple=true&order_by=id&per_page={size}&page={page}{search}"
        );
        Ask::get("list repositories", target)
    }

    fn read_repositories(&self, window: Window, said: &Value) -> Option<Part<Listed>> {
        let all = each(said, |one| {
            Some(Listed {
                name: text(one, "/path_with_namespace")?,
                url: text(one, "/http_url_to_repo")?,
                default_branch: text(one, "/default_branch"),
            })
        })?;
        let next = full(window, all.len());
        Some((all, next))
    }

    fn branches(&self, place: &Place, window: Window, search: Option<&str>) -> Ask {
        let (size, page) = (window.size, window.at + 1);
        let search = search_of(search);
        let rest = format!("/repository/branches?per_page={size}&page={page}{search}");
        Ask::get("list branches", at(place, &rest))
    }

    fn read_branches(&self, window: Window, said: &Value) -> Option<Part<Branch>> {
        let all = each(said, |one| {
            let (name, commit) = (text(one, "/name")?, hash(one, "/commit/id")?);
            Some(Branch { name, commit })
        })?;
        let next = full(window, all.len());
        Some((all, next))
    }

    fn head(&self, place: &Place, branch: &str) -> Ask {
        let rest = format!("/repository/branches/{}", piece(branch));
        Ask::get("get branch", at(place, &rest))
    }

    fn read_head(&self, branch: &str, said: &Value) -> Option<Option<String>> {
        let same = text(said, "/name")? == branch;
        let head = hash(said, "/commit/id")?;
        Some(same.then_some(head))
    }

    fn commit(&self, place: &Place, hash: &str) -> Ask {
        let rest = format!("/repository/commits/{}", piece(hash));
        Ask::get("get commit", at(place, &rest))
    }

    fn read_commit(&self, said: &Value) -> Option<Details> {
        let author = text(said, "/author_name")?;
        let when = moment(said, "/committed_date")?;
        Some(details(author, &text(said, "/message")?, when))
    }

    fn file(&self, place: &Place, hash: &str, path: &str) -> Ask {
        let rest = format!("/repository/files/{}/raw?ref={}", whole(path), piece(hash));
        Ask::get("get file", at(place, &rest)).accepting("*/*")
    }

    fn read_file(&self, said: Bytes) -> Option<Bytes> {
        Some(said)
    }

    fn changes(&self, place: &Place, from: &str, to: &str, _: u64) -> Ask {
        compare(place, from, to)
    }

    fn read_changes(&self, _: u64, said: &Value) -> Option<Changes> {
        let both = each(said.get("diffs")?, |diff| {
            Some([text(diff, "/old_path")?, text(diff, "/new_path")?])
        })?;
        let cut = said.get("compare_timeout").and_then(Value::as_bool);
        let all = cut == Some(false) && both.len() < PATHS;
        let mut paths: Vec<String> = both.into_iter().flatten().collect();
        paths.dedup();
        let next = None;
        Some(Changes { paths, next, all })
    }

    fn ancestor(&self, place: &Place, older: Version<'_>, newer: Version<'_>) -> Ask {
        let (Version::Commit(older) | Version::Branch(older)) = older;
        let (Version::Commit(newer) | Version::Branch(newer)) = newer;
        compare(place, newer, older)
    }

    fn read_ancestor(&self, said: &Value) -> Option<bool> {
        Some(said.get("commits")?.as_array()?.is_empty())
    }

    fn archive(&self, place: &Place, hash: &str) -> Ask {
        let rest = format!("/repository/archive?sha={}", piece(hash));
        Ask::get("get archive", at(place, &rest)).accepting("*/*")
    }
}
