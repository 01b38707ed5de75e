//! Functions on plain values, with OPA's meaning.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Result, anyhow, bail};
use ipnet::IpNet;
use regex::Regex;
use regorus::Value;

use super::{Row, text};

pub(super) const ALL: [Row; 13] = [
    ("re_match", 2, re_match),
    ("regex.find_all_string_submatch_n", 3, submatches),
    ("any", 1, any),
    ("all", 1, all),
    ("set_diff", 2, set_diff),
    ("cast_array", 1, cast_array),
    ("cast_set", 1, cast_set),
    ("cast_string", 1, |values| cast(values, "string")),
    ("cast_boolean", 1, |values| cast(values, "boolean")),
    ("cast_null", 1, |values| cast(values, "null")),
    ("cast_object", 1, |values| cast(values, "object")),
    ("net.cidr_intersects", 2, cidr_intersects),
    ("net.cidr_overlap", 2, cidr_overlap),
];

fn pattern(value: &Value) -> Result<Regex> {
    let pattern = text(value)?;
    Regex::new(pattern).map_err(|_| anyhow!("the pattern is no regular expression"))
}

fn re_match(values: &[Value]) -> Result<Value> {
    Ok(pattern(&values[0])?.is_match(text(&values[1])?).into())
}

fn submatches(values: &[Value]) -> Result<Value> {
    let (pattern, subject) = (pattern(&values[0])?, text(&values[1])?);
    let most = match values[2].as_i64()? {
        negative if negative < 0 => usize::MAX,
        most => usize::try_from(most)?,
    };
    let found = pattern.captures_iter(subject).take(most);
    let found = found.map(|captures| {
        let groups = captures.iter();
        let groups = groups.map(|group| Value::from(group.map_or("", |group| group.as_str())));
        Value::from(groups.collect::<Vec<_>>())
    });
    Ok(found.collect::<Vec<_>>().into())
}

fn items(value: &Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(array) => Ok(array.to_vec()),
        Value::Set(set) => Ok(set.iter_sorted().cloned().collect()),
        _ => bail!("an array or a set is needed"),
    }
}

fn any(values: &[Value]) -> Result<Value> {
    let yes = Value::from(true);
    Ok(items(&values[0])?.contains(&yes).into())
}

fn all(values: &[Value]) -> Result<Value> {
    let yes = Value::from(true);
    Ok(items(&values[0])?.iter().all(|item| *item == yes).into())
}

fn set_diff(values: &[Value]) -> Result<Value> {
    let (Value::Set(left), Value::Set(right)) = (&values[0], &values[1]) else {
        bail!("two sets are needed");
    };
    let left = left.iter_sorted().filter(|item| !right.contains(item));
    Ok(left.cloned().collect::<BTreeSet<_>>().into())
}

fn cast_array(values: &[Value]) -> Result<Value> {
    Ok(items(&values[0])?.into())
}

fn cast_set(values: &[Value]) -> Result<Value> {
    let items = items(&values[0])?;
    Ok(items.into_iter().collect::<BTreeSet<_>>().into())
}

fn cast(values: &[Value], to: &str) -> Result<Value> {
    let fits = match &values[0] {
        Value::String(_) => to == "string",
        Value::Bool(_) => to == "boolean",
        Value::Null => to == "null",
        Value::Object(_) => to == "object",
        Value::Number(_) | Value::Array(_) | Value::Set(_) | Value::Undefined => false,
    };
    match fits {
        true => Ok(values[0].clone()),
        false => bail!("this is no {to}"),
    }
}

fn range(value: &Value) -> Result<IpNet> {
    let text = text(value)?;
    let net = text.parse::<IpNet>();
    let net = net.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map_err(|_| anyhow!("neither an address nor a range"))
}

fn cidr_intersects(values: &[Value]) -> Result<Value> {
    let (left, right) = (range(&values[0])?, range(&values[1])?);
    Ok((left.contains(&right) || right.contains(&left)).into())
}

/// The older name of `net.cidr_contains`.
fn cidr_overlap(values: &[Value]) -> Result<Value> {
    let (outer, inner) = (range(&values[0])?, range(&values[1])?);
    Ok(outer.contains(&inner).into())
}
