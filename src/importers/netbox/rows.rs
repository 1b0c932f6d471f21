//! NetBox' rows by model and number, read alike from a dump and from the REST API.
//!
//! In a dump a reference is a number, in the API an object; a choice is a word or `{"value", "label"}`. The functions
//! here take both. Must not decide what a row means for the graph.

use std::collections::BTreeMap;

use serde_json::Value;
use smol_str::SmolStr;

use crate::importers::value::{Object, at, field, items, text};

/// One model, where the API has it, and whether versions of NetBox exist that do not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name in dumps and in references.
    pub name: &'static str,
    /// Its path below `/api/`, without slashes around; empty when the API has it elsewhere.
    pub path: &'static str,
    /// What to ask for besides the page.
    pub query: &'static [(&'static str, &'static str)],
}

const fn model(name: &'static str, path: &'static str) -> Model {
    Model {
        name,
        path,
        query: &[],
    }
}

/// Every model that is read, those first without which the rest says little.
pub const MODELS: &[Model] = &[
    Model {
        name: "dcim.device",
        path: "dcim/devices",
        // Rendering the context of each device takes the server longer than everything else.
        query: &[("exclude", "config_context")],
    },
    Model {
        name: "virtualization.virtualmachine",
        path: "virtualization/virtual-machines",
        query: &[("exclude", "config_context")],
    },
    model("dcim.site", "dcim/sites"),
    model("dcim.rack", "dcim/racks"),
    model("virtualization.cluster", "virtualization/clusters"),
    model("virtualization.vminterface", "virtualization/interfaces"),
    model("ipam.ipaddress", "ipam/ip-addresses"),
    model("ipam.service", "ipam/services"),
    model("dcim.cable", "dcim/cables"),
    Model {
        name: "dcim.interface",
        path: "dcim/interfaces",
        // The others are many, and their addresses name their device themselves.
        query: &[("cabled", "true")],
    },
    model("dcim.frontport", "dcim/front-ports"),
    model("dcim.rearport", "dcim/rear-ports"),
    model("dcim.powerport", "dcim/power-ports"),
    model("dcim.poweroutlet", "dcim/power-outlets"),
    model("dcim.powerfeed", "dcim/power-feeds"),
    model("dcim.powerpanel", "dcim/power-panels"),
    model("dcim.virtualchassis", "dcim/virtual-chassis"),
    model("dcim.devicebay", "dcim/device-bays"),
    model("dcim.macaddress", "dcim/mac-addresses"),
    model("circuits.circuit", "circuits/circuits"),
    model(
        "circuits.circuittermination",
        "circuits/circuit-terminations",
    ),
    model("circuits.provider", "circuits/providers"),
    model("circuits.providernetwork", "circuits/provider-networks"),
    // In the API these are part of what refers to them.
    model("dcim.cabletermination", ""),
    model("dcim.devicerole", ""),
    model("dcim.devicetype", ""),
    model("dcim.manufacturer", ""),
    model("dcim.platform", ""),
    model("dcim.location", ""),
    model("dcim.region", ""),
    model("tenancy.tenant", ""),
    model("virtualization.clustertype", ""),
    model("circuits.circuittype", ""),
    model("extras.tag", ""),
    model("extras.taggeditem", ""),
];

/// Whether rows of this model are read.
pub fn is_read(model: &str) -> bool {
    MODELS.iter().any(|known| known.name == model)
}

/// The model of an object by its address in the API, like `https://host/api/dcim/devices/7/`.
pub fn model_of_url(url: &str) -> Option<&'static str> {
    let (_, path) = url.rsplit_once("/api/")?;
    let known = MODELS.iter().filter(|known| !known.path.is_empty());
    known
        .clone()
        .find(|known| {
            path.strip_prefix(known.path)
                .is_some_and(|rest| rest.starts_with('/'))
        })
        .map(|known| known.name)
}

/// The model by the name of a file such as `devices.json`.
pub fn model_of_file(name: &str) -> Option<&'static str> {
    let name = name.rsplit('/').next()?;
    let stem = name.split('.').next()?;
    let known = MODELS.iter().filter(|known| !known.path.is_empty());
    known
        .clone()
        .find(|known| {
            known.path.replace('/', "-") == stem || known.path.ends_with(&format!("/{stem}"))
        })
        .map(|known| known.name)
}

/// One end of a cable: model and number of the port.
pub type Port = (SmolStr, u64);

/// The rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    tables: BTreeMap<SmolStr, BTreeMap<u64, Object>>,
}

impl Rows {
    /// Takes a row, in place of an earlier one with the same number; says whether it is a new one.
    pub fn add(&mut self, model: &str, pk: u64, fields: Object) -> bool {
        let table = self.tables.entry(model.into()).or_default();
        table.insert(pk, fields).is_none()
    }

    /// Whether there is no row at all.
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(BTreeMap::is_empty)
    }

    /// How many rows of a model there are.
    pub fn count(&self, model: &str) -> usize {
        self.tables.get(model).map_or(0, BTreeMap::len)
    }

    /// The rows of a model by number.
    pub fn all(&self, model: &str) -> impl Iterator<Item = (u64, &Object)> {
        let table = self.tables.get(model);
        table.into_iter().flatten().map(|(pk, row)| (*pk, row))
    }

    /// One row.
    pub fn get(&self, model: &str, pk: u64) -> Option<&Object> {
        self.tables.get(model)?.get(&pk)
    }

    /// What people call the row that a field refers to.
    pub fn name(&self, row: &Object, key: &str, model: &str) -> Option<SmolStr> {
        self.referred(row, key, model, &["name", "display", "model"])
    }

    /// A field of the row that a field refers to; the first one that it has.
    pub fn referred(
        &self,
        row: &Object,
        key: &str,
        model: &str,
        fields: &[&str],
    ) -> Option<SmolStr> {
        let target = match row.get(key)? {
            Value::Object(target) => target,
            Value::Number(pk) => self.get(model, pk.as_u64()?)?,
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => return None,
        };
        fields.iter().find_map(|name| field(target, name))
    }

    /// Both ends of every cable.
    pub fn cables(&self) -> BTreeMap<u64, (Vec<Port>, Vec<Port>)> {
        let mut cables: BTreeMap<u64, (Vec<Port>, Vec<Port>)> = BTreeMap::new();
        for (_, row) in self.all("dcim.cabletermination") {
            let kind = row.get("termination_type").and_then(type_name);
            let (Some(cable), Some(kind), Some(port)) = (
                reference(row, "cable"),
                kind,
                reference(row, "termination_id"),
            ) else {
                continue;
            };
            let ends = cables.entry(cable).or_default();
            match field(row, "cable_end").as_deref() {
                Some("A") => ends.0.push((kind, port)),
                _ => ends.1.push((kind, port)),
            }
        }
        for (pk, row) in self.all("dcim.cable") {
            for (key, is_a) in [("a_terminations", true), ("b_terminations", false)] {
                for end in items(row, key).iter().filter_map(Value::as_object) {
                    let kind = end.get("object_type").and_then(type_name);
                    if let (Some(kind), Some(port)) = (kind, reference(end, "object_id")) {
                        let ends = cables.entry(pk).or_default();
                        if is_a { &mut ends.0 } else { &mut ends.1 }.push((kind, port));
                    }
                }
            }
        }
        cables
    }
}

/// `dcim.interface`, or `["dcim", "interface"]`.
pub fn type_name(value: &Value) -> Option<SmolStr> {
    match value {
        Value::Array(parts) => {
            let parts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
            Some(parts?.join(".").into())
        }
        Value::String(_) => text(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// The number of the row that a field refers to.
pub fn reference(row: &Object, key: &str) -> Option<u64> {
    match row.get(key)? {
        Value::Number(pk) => pk.as_u64(),
        Value::Object(target) => target.get("id")?.as_u64(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// A choice: `active`, or `{"value": "active", "label": "Active"}`.
pub fn choice(row: &Object, key: &str) -> Option<SmolStr> {
    at(row, &[key, "value"]).or_else(|| field(row, key))
}

/// A custom field, whichever way it is called.
pub fn custom(row: &Object, key: &str) -> Option<SmolStr> {
    ["custom_fields", "custom_field_data"]
        .iter()
        .find_map(|place| {
            let fields = row.get(*place)?.as_object()?;
            let (_, value) = fields
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))?;
            text(value).or_else(|| {
                let choice = value.as_object()?;
                field(choice, "label").or_else(|| field(choice, "value"))
            })
        })
}
