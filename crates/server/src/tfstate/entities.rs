//! What a state holds, thing by thing. Pure.
//!
//! Takes a state and the plan that led to it, gives resources, modules and outputs. Values of resources are those of the
//! plan, which left its host without secrets; a state says what code marks, but not what providers mark. Never: an
//! attribute of a resource as it stands in the state, or the value of a sensitive output.

use std::collections::{BTreeMap, BTreeSet};

use gantry_protocol::Digest;
use serde::Deserialize;
use serde_json::Value;

use super::document::NotState;

/// One thing in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Its address, which is its only one; `output.` and the name of an output.
    pub address: String,
    /// Its name within its module.
    pub name: String,
    /// Address of its module; none in the root.
    pub parent: Option<String>,
    /// A resource's type, `module` or `output`.
    pub kind: String,
    /// What it is.
    pub detail: EntityDetail,
}

/// What a thing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityDetail {
    /// A resource.
    Resource {
        /// `managed` or `data`.
        mode: String,
        /// Source of its provider.
        provider: String,
        /// Whether the next apply replaces it.
        tainted: bool,
        /// What of its attributes is known and not sensitive, as JSON; `{}` without a plan.
        values: String,
    },
    /// A module.
    Module,
    /// An output of the root module.
    Output {
        /// JSON; none of a sensitive one.
        value: Option<String>,
        /// SHA-256 of the value; none of a sensitive one, because short values could be guessed from it.
        hash: Option<Digest>,
    },
}

/// Values of resources by address, from a redacted plan.
#[derive(Clone, Debug, Default)]
pub struct Planned(BTreeMap<String, String>);

impl Planned {
    /// Those of `planned_values`, and of what was only read.
    pub fn of(plan: &Value) -> Self {
        let mut values = BTreeMap::new();
        for part in [&plan["prior_state"]["values"], &plan["planned_values"]] {
            gather(&part["root_module"], &mut values);
        }
        Self(values)
    }
}

fn gather(module: &Value, found: &mut BTreeMap<String, String>) {
    for resource in module["resources"].as_array().into_iter().flatten() {
        if let (Some(address), Some(values)) =
            (resource["address"].as_str(), resource.get("values"))
        {
            found.insert(address.to_owned(), values.to_string());
        }
    }
    for child in module["child_modules"].as_array().into_iter().flatten() {
        gather(child, found);
    }
}

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    outputs: BTreeMap<String, Output>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    module: Option<String>,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    index_key: Value,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    deposed: Option<String>,
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    value: Value,
    #[serde(default)]
    sensitive: bool,
}

/// Everything in a state: modules, then resources, then outputs, each in the order of the state.
pub(super) fn entities(state: &[u8], planned: &Planned) -> Result<Vec<Entity>, NotState> {
    let state: State = serde_json::from_slice(state).map_err(|error| NotState::at(&error))?;
    let mut found = modules(&state.resources);
    for resource in state.resources {
        let (mode, kind, provider) = (resource.mode, resource.kind, source(&resource.provider));
        for instance in resource.instances {
            let place = (resource.module.as_deref(), mode.as_str(), kind.as_str());
            let address = address(place, &resource.name, &instance);
            let values = planned.0.get(&address).cloned();
            found.push(Entity {
                address,
                name: resource.name.clone(),
                parent: resource.module.clone(),
                kind: kind.clone(),
                detail: EntityDetail::Resource {
                    mode: mode.clone(),
                    provider: provider.clone(),
                    tainted: instance.status.as_deref() == Some("tainted"),
                    values: values.unwrap_or_else(|| "{}".to_owned()),
                },
            });
        }
    }
    found.extend(state.outputs.into_iter().map(output));
    Ok(found)
}

fn output((name, output): (String, Output)) -> Entity {
    let value = (!output.sensitive).then(|| output.value.to_string());
    Entity {
        address: format!("output.{name}"),
        name,
        parent: None,
        kind: "output".to_owned(),
        detail: EntityDetail::Output {
            hash: value.as_ref().map(|text| Digest::of(text.as_bytes())),
            value,
        },
    }
}

fn address(
    (module, mode, kind): (Option<&str>, &str, &str),
    name: &str,
    instance: &Instance,
) -> String {
    let mut address = module.map_or_else(String::new, |module| format!("{module}."));
    if mode == "data" {
        address.push_str("data.");
    }
    address.push_str(&format!("{kind}.{name}"));
    match &instance.index_key {
        Value::Null => {}
        key => address.push_str(&format!("[{key}]")),
    }
    if let Some(deposed) = &instance.deposed {
        address.push_str(&format!(" (deposed {deposed})"));
    }
    address
}

/// `provider["registry.terraform.io/hashicorp/aws"]` → what stands between the quotes.
fn source(provider: &str) -> String {
    let quoted = provider.split('"').nth(1);
    quoted.unwrap_or(provider).to_owned()
}

/// Every module that has resources, and those that these are in.
fn modules(resources: &[Resource]) -> Vec<Entity> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for module in resources
        .iter()
        .filter_map(|resource| resource.module.as_deref())
    {
        let mut parent: Option<String> = None;
        for (end, name) in calls(module) {
            let address = module[..end].to_owned();
            if seen.insert(address.clone()) {
                found.push(Entity {
                    address: address.clone(),
                    name: name.to_owned(),
                    parent: parent.clone(),
                    kind: "module".to_owned(),
                    detail: EntityDetail::Module,
                });
            }
            parent = Some(address);
        }
    }
    found
}

/// The calls in a module's address: where each ends, and its name with its index.
fn calls(module: &str) -> Vec<(usize, &str)> {
    let (mut ends, mut quoted, mut escaped) = (Vec::new(), false, false);
    for (at, letter) in module.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '.' if !quoted => ends.push(at),
            _ => {}
        }
    }
    ends.push(module.len());
    // `module` and the name of the call take turns.
    let pairs = ends.chunks_exact(2);
    pairs
        .map(|pair| (pair[1], &module[pair[0] + 1..pair[1]]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state() -> Value {
        json!({ "version": 4, "serial": 1, "lineage": "l", "resources": [
            { "module": "module.a[\"x.y\"].module.b", "mode": "managed", "type": "aws_db", "name": "main",
              "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]", "instances": [
                { "index_key": "k", "status": "tainted", "attributes": { "id": "SECRET1" }, "sensitive_attributes": [] },
                { "index_key": 0, "deposed": "d00d", "attributes": { "id": "SECRET2" } } ] },
            { "mode": "data", "type": "aws_ami", "name": "it", "instances": [{ "attributes": null }] },
        ], "outputs": { "open": { "value": [1], "type": "x" }, "closed": { "value": "SECRET3", "type": "string", "sensitive": true } } })
    }

    #[test]
    fn things_have_addresses_parents_and_values_of_the_plan_only() {
        let address = "module.a[\"x.y\"].module.b.aws_db.main[\"k\"]";
        let plan = json!({ "planned_values": { "root_module": { "child_modules": [{ "child_modules": [{ "resources": [
            { "address": address, "values": { "size": 7 }, "sensitive_values": {} } ] }] }] } } });
        let state = state().to_string();
        let all = entities(state.as_bytes(), &Planned::of(&plan)).unwrap();
        let text = format!("{all:?}");
        assert!(!text.contains("SECRET"), "{text}");
        let shown = |e: &Entity| (e.address.clone(), e.kind.clone(), e.parent.clone());
        let row = |address: &str, kind: &str, parent: Option<&str>| {
            (
                address.to_owned(),
                kind.to_owned(),
                parent.map(str::to_owned),
            )
        };
        let (a, b) = ("module.a[\"x.y\"]", "module.a[\"x.y\"].module.b");
        assert_eq!(
            all.iter().map(shown).collect::<Vec<_>>(),
            [
                row(a, "module", None),
                row(b, "module", Some(a)),
                row(address, "aws_db", Some(b)),
                row(
                    &format!("{b}.aws_db.main[0] (deposed d00d)"),
                    "aws_db",
                    Some(b)
                ),
                row("data.aws_ami.it", "aws_ami", None),
                row("output.closed", "output", None),
                row("output.open", "output", None),
            ]
        );
        let expected = EntityDetail::Resource {
            mode: "managed".to_owned(),
            provider: "registry.terraform.io/hashicorp/aws".to_owned(),
            tainted: true,
            values: r#"{"size":7}"#.to_owned(),
        };
        assert_eq!(all[2].detail, expected);
        let EntityDetail::Resource { values, .. } = &all[4].detail else {
            panic!("{:?}", all[4]);
        };
        assert_eq!(values, "{}", "nothing is known of what no plan told");
        let closed = EntityDetail::Output {
            value: None,
            hash: None,
        };
        assert_eq!(all[5].detail, closed);
        assert!(entities(b"{\"resources\":1}", &Planned::default()).is_err());
    }
}
