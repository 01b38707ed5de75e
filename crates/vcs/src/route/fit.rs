//! Whether a request fits a row.
//!
//! Takes a row and a target in its normal form, gives what the row's project places hold. Never: a fit of a part of a
//! path.

use super::part::{self, Part};
use super::{Method, NoRoute, Query, Row};
use crate::target::{Normal, Pair};

/// Groups above a repository, at most.
const GROUPS: usize = 20;
/// Folders above a file, at most.
const FOLDERS: usize = 32;

/// A row, and what of the request names the project.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) row: &'static Row,
    pub(crate) names: Vec<String>,
}

impl Route {
    /// The captured parts of the project's name, joined; empty for none.
    #[must_use]
    pub fn project(&self) -> String {
        self.names.join("/")
    }
}

/// Tries one row.
pub(super) fn fit(row: &'static Row, method: &str, asked: &Normal) -> Result<Route, NoRoute> {
    if asked.trailing_slash() && !row.slash {
        return Err(NoRoute::Path);
    }
    let mut names = Vec::new();
    if !path_fits(row.template, asked.segments(), &mut names) {
        return Err(NoRoute::Path);
    }
    if method != row.method.as_str() {
        return Err(NoRoute::Method(Method::as_str(row.method)));
    }
    if !query_fits(row.query, asked.query()) {
        return Err(NoRoute::Query);
    }
    let names = names.into_iter().map(str::to_owned).collect();
    Ok(Route { row, names })
}

fn query_fits(rule: Query, pairs: &[Pair]) -> bool {
    let is = |pair: &Pair, key: &str, value: &str| {
        pair.key == key && pair.value.as_deref() == Some(value)
    };
    match rule {
        Query::Any => true,
        Query::None => pairs.is_empty(),
        Query::Only(key, value) => matches!(pairs, [pair] if is(pair, key, value)),
        Query::With(key, value) => {
            let mut named = pairs.iter().filter(|pair| pair.key == key);
            named.next().is_some_and(|pair| is(pair, key, value)) && named.next().is_none()
        }
    }
}

/// Whether the whole path is of the template; what names the project is left in `names`.
fn path_fits<'a>(template: &[Part], segments: &'a [String], names: &mut Vec<&'a str>) -> bool {
    let Some((part, rest)) = template.split_first() else {
        return segments.is_empty();
    };
    let before = names.len();
    // Longest first where a part takes more than one segment; a way that fails leaves no names behind.
    for taken in ways(*part, segments) {
        names.truncate(before);
        if let Some(captured) = taken.captured {
            names.extend(captured.iter().map(|name| cut(*part, name)));
        }
        if path_fits(rest, &segments[taken.count..], names) {
            return true;
        }
    }
    names.truncate(before);
    false
}

/// So many segments go to a part, and these of them are of the project's name.
struct Taken<'a> {
    count: usize,
    captured: Option<&'a [String]>,
}

impl<'a> Taken<'a> {
    fn plain(count: usize) -> Self {
        Self {
            count,
            captured: None,
        }
    }

    fn named(captured: &'a [String], count: usize) -> Self {
        Self {
            count,
            captured: Some(captured),
        }
    }
}

/// What a part may take from the front of `segments`.
fn ways(part: Part, segments: &[String]) -> Vec<Taken<'_>> {
    match part {
        Part::Maybe(words) => {
            let there = segments.len() >= words.len()
                && words.iter().zip(segments).all(|(word, s)| word == s);
            let with = there.then(|| Taken::plain(words.len()));
            with.into_iter().chain([Taken::plain(0)]).collect()
        }
        Part::Groups => {
            let most = run(segments, GROUPS, part::is_name);
            let from = |count: usize| Taken::named(&segments[..count], count);
            (1..=most).rev().map(from).collect()
        }
        Part::Folders => {
            let most = run(segments, FOLDERS, part::is_folder);
            (0..=most).rev().map(Taken::plain).collect()
        }
        Part::RefTail => {
            let whole = segments.join("/");
            let sound = !segments.is_empty() && part::is_ref(&whole);
            sound
                .then(|| Taken::plain(segments.len()))
                .into_iter()
                .collect()
        }
        Part::Organization => organization(segments),
        single => one(single, segments).into_iter().collect(),
    }
}

/// How many segments from the front are of a kind.
fn run(segments: &[String], most: usize, kind: fn(&str) -> bool) -> usize {
    segments
        .iter()
        .take(most)
        .take_while(|segment| kind(segment))
        .count()
}

fn organization(segments: &[String]) -> Vec<Taken<'_>> {
    let mut ways = Vec::new();
    if let [tfs, title, ..] = segments
        && tfs == "tfs"
        && part::is_title(title)
    {
        ways.push(Taken::named(&segments[1..2], 2));
    }
    if let [title, ..] = segments
        && part::is_title(title)
    {
        ways.push(Taken::named(&segments[..1], 1));
    }
    ways.push(Taken::plain(0));
    ways
}

fn one(part: Part, segments: &[String]) -> Option<Taken<'_>> {
    let segment = segments.first()?;
    let fits = match part {
        Part::Word(word) => segment == word,
        Part::Text => part::is_text(segment),
        Part::Number => part::is_number(segment),
        Part::Commit => part::is_commit(segment),
        Part::Hash => part::is_hash(segment),
        Part::Ref => part::is_ref(segment),
        Part::Range => part::is_range(segment),
        Part::Name => part::is_name(segment),
        Part::Repository => {
            let name = cut(part, segment);
            !name.is_empty() && part::is_name(name)
        }
        Part::Path => part::is_path(segment),
        Part::Title => part::is_title(segment),
        Part::ConfigFile => part::is_config_file(segment),
        Part::Maybe(_) | Part::Groups | Part::Folders | Part::RefTail | Part::Organization => false,
    };
    let captured = part.names_project().then_some(&segments[..1]);
    fits.then_some(Taken { count: 1, captured })
}

/// A repository's name without the ending that clone URLs have.
fn cut(part: Part, segment: &str) -> &str {
    if part == Part::Repository {
        segment.strip_suffix(".git").unwrap_or(segment)
    } else {
        segment
    }
}
