//! GitHub and GitHub Enterprise, API of 2022-11-28.
//!
//! Takes names, gives requests below `https://api.github.com` or `https://HOST/api/v3`. Never: a comparison of
//! commits that are not in line taken for one of their trees.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{
    Branch, Bytes, Changes, Listed, Part, Vendor, Version, Window, details, each, full, hash,
    moment, text,
};
use crate::code_hosts::ask::{Ask, path, piece};
use crate::code_hosts::place::Place;
use crate::vcs_probe::Details;

/// GitHub names this many paths of a comparison at most.
const PATHS: usize = 300;

#[derive(Debug)]
pub(super) struct Github;

fn at(place: &Place, rest: &str) -> String {
    let (owner, name) = (piece(place.owner()), piece(place.last()));
    format!("/repos/{owner}/{name}{rest}")
}

fn compare(place: &Place, base: &str, head: &str) -> Ask {
    // Paths are on the first page, however many commits it has.
    let (base, head) = (piece(base), piece(head));
    let rest = format!("/compare/{base}...{head}?per_page=1&page=1");
    Ask::get("compare commits", at(place, &rest))
}

impl Vendor for Github {
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("X-GitHub-Api-Version", "2022-11-28")]
    }

    fn searches(&self) -> bool {
        false
    }

    fn compares_trees(&self) -> bool {
        true
    }

    fn viewer(&self) -> Ask {
        Ask::get("get current user", "/user".to_owned())
    }

    fn read_viewer(&self, _: &HeaderMap, said: &Value) -> Option<String> {
        text(said, "/login")
    }

    fn repositories(&self, window: Window, _: Option<&str>) -> Ask {
        let (size, page) = (window.size, window.at + 1);
        let target = format!("/user/repos?per_page={size}&page={page}&sort=full_name");
        Ask::get("list repositories", target)
    }

    fn read_repositories(&self, window: Window, said: &Value) -> Option<Part<Listed>> {
        let all = each(said, |one| {
            Some(Listed {
                name: text(one, "/full_name")?,
                url: text(one, "/clone_url")?,
                default_branch: text(one, "/default_branch"),
            })
        })?;
        let next = full(window, all.len());
        Some((all, next))
    }

    fn branches(&self, place: &Place, window: Window, _: Option<&str>) -> Ask {
        let (size, page) = (window.size, window.at + 1);
        let rest = format!("/branches?per_page={size}&page={page}");
        Ask::get("list branches", at(place, &rest))
    }

    fn read_branches(&self, window: Window, said: &Value) -> Option<Part<Branch>> {
        let all = each(said, |one| {
            let (name, commit) = (text(one, "/name")?, hash(one, "/commit/sha")?);
            Some(Branch { name, commit })
        })?;
        let next = full(window, all.len());
        Some((all, next))
    }

    fn head(&self, place: &Place, branch: &str) -> Ask {
        let rest = format!("/branches/{}", piece(branch));
        Ask::get("get branch", at(place, &rest))
    }

    fn read_head(&self, branch: &str, said: &Value) -> Option<Option<String>> {
        // A renamed branch is answered by its new name.
        let same = text(said, "/name")? == branch;
        let head = hash(said, "/commit/sha")?;
        Some(same.then_some(head))
    }

    fn commit(&self, place: &Place, hash: &str) -> Ask {
        let rest = format!("/commits/{}?per_page=1", piece(hash));
        Ask::get("get commit", at(place, &rest))
    }

    fn read_commit(&self, said: &Value) -> Option<Details> {
        let author = text(said, "/commit/author/name")?;
        let when = moment(said, "/commit/committer/date")?;
        let message = text(said, "/commit/message")?;
        Some(details(author, &message, when))
    }

    fn file(&self, place: &Place, hash: &str, file: &str) -> Ask {
        let rest = format!("/contents/{}?ref={}", path(file), piece(hash));
        Ask::get("get file", at(place, &rest))
    }

    fn read_file(&self, said: Bytes) -> Option<Bytes> {
        let said: Value = serde_json::from_slice(&said).ok()?;
        if text(&said, "/type")? != "file" || text(&said, "/encoding")? != "base64" {
            return None;
        }
        let lines = text(&said, "/content")?;
        let packed: String = lines.split_ascii_whitespace().collect();
        STANDARD.decode(packed).ok()
    }

    fn changes(&self, place: &Place, from: &str, to: &str, _: u64) -> Ask {
        compare(place, from, to)
    }

    fn read_changes(&self, _: u64, said: &Value) -> Option<Changes> {
        let files = said.get("files")?;
        let both = each(files, |file| {
            Some([text(file, "/filename"), text(file, "/previous_filename")])
        })?;
        // What is compared is the newer commit with where the two parted, which is the older one only in line.
        let in_line = matches!(text(said, "/status")?.as_str(), "ahead" | "identical");
        Some(Changes {
            all: in_line && both.len() < PATHS,
            paths: both.into_iter().flatten().flatten().collect(),
            next: None,
        })
    }

    fn ancestor(&self, place: &Place, older: Version<'_>, newer: Version<'_>) -> Ask {
        let (Version::Commit(older) | Version::Branch(older)) = older;
        let (Version::Commit(newer) | Version::Branch(newer)) = newer;
        compare(place, newer, older)
    }

    fn read_ancestor(&self, said: &Value) -> Option<bool> {
        match text(said, "/status")?.as_str() {
            "behind" | "identical" => Some(true),
            "ahead" | "diverged" => Some(false),
            _ => None,
        }
    }

    fn archive(&self, place: &Place, hash: &str) -> Ask {
        let rest = format!("/tarball/{}", piece(hash));
        Ask::get("get archive", at(place, &rest)).accepting("*/*")
    }
}
