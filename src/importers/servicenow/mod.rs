//! ServiceNow: rows of `cmdb_ci` tables and of `cmdb_rel_ci`, from saved answers of its Table API or from the API itself.
//!
//! Values are texts; a reference is a text, `{"link", "value"}`, `{"display_value", "value"}`, or empty. Source: the Table
//! API reference. Must not turn a relation round that it does not know: parent depends on child, as most types say.

pub mod fetch;
pub mod types;

use serde_json::Value;
use smol_str::SmolStr;

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::{CiRecord, Picture};
use crate::importers::classes;
use crate::importers::documents::{heads_hold, json, malformed};
use crate::importers::draft::{Draft, identify, identify_address, identify_name};
use crate::importers::value::{Object, criticality, keep_text, text};
use crate::importers::{Format, ImportError, NamedBytes};

/// Fields with a place of their own, and those that say nothing to people.
const KNOWN: [&str; 8] = [
    "sys_id",
    "name",
    "fqdn",
    "ip_address",
    "mac_address",
    "serial_number",
    "asset_tag",
    "sys_class_name",
];

/// The format.
pub struct ServiceNow;

impl Format for ServiceNow {
    fn name(&self) -> &'static str {
        "servicenow"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        heads_hold(files, &["sys_id"])
            && (heads_hold(files, &["\"result\""])
                || heads_hold(files, &["\"records\""])
                || heads_hold(files, &["sys_class_name"]))
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut rows = Rows::default();
        for file in files {
            let list = match json(file)? {
                Value::Array(list) => list,
                Value::Object(mut answer) => {
                    let list = ["result", "records"]
                        .iter()
                        .find_map(|key| answer.remove(*key));
                    match list {
                        Some(Value::Array(list)) => list,
                        Some(one @ Value::Object(_)) => vec![one],
                        _ => {
                            let error = answer
                                .get("error")
                                .map(ToString::to_string)
                                .unwrap_or_default();
                            return Err(malformed(
                                file,
                                format!("there is no list `result` in it {error}"),
                            ));
                        }
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    return Err(malformed(file, "expected {\"result\": [...]}"));
                }
            };
            for (index, row) in list.into_iter().enumerate() {
                rows.add(&format!("{}: result[{index}]", file.name), row);
            }
        }
        Ok(rows.draw())
    }
}

/// Rows of several tables; a CI may be in more than one of them.
#[derive(Debug, Default)]
pub struct Rows {
    draft: Draft,
    cis: std::collections::BTreeMap<SmolStr, Object>,
    relations: std::collections::BTreeMap<SmolStr, Object>,
}

impl Rows {
    /// Takes a row; says whether it is one that was not there before.
    pub fn add(&mut self, place: &str, row: Value) -> bool {
        let Value::Object(row) = row else {
            self.draft.problem(place, "expected an object");
            return false;
        };
        let Some(id) = plain(&row, "sys_id") else {
            self.draft
                .problem(place, "the row has no sys_id; ask for that field too");
            return false;
        };
        let is_relation = row.contains_key("parent") && row.contains_key("child");
        let table = if is_relation {
            &mut self.relations
        } else {
            &mut self.cis
        };
        match table.get_mut(&id) {
            Some(known) => {
                // A row of a more special table knows more fields of the same item.
                for (key, value) in row {
                    if !is_empty(&value) {
                        known.insert(key, value);
                    }
                }
                false
            }
            None => table.insert(id, row).is_none(),
        }
    }

    /// Notes something about the reading itself.
    pub fn problem(&mut self, place: &str, text: &str) {
        self.draft.problem(place, text);
    }

    /// The picture.
    pub fn draw(mut self) -> Picture {
        for (id, row) in &self.cis {
            self.draft.ci(id, record(id, row));
        }
        for (id, row) in &self.relations {
            let (Some(parent), Some(child)) = (plain(row, "parent"), plain(row, "child")) else {
                let text = "the relation lacks its parent or child; delete it there, or let the user read both";
                self.draft.problem(id, text);
                continue;
            };
            let name = shown(row, "type")
                .or_else(|| plain(row, "type"))
                .unwrap_or_default();
            for relation in types::relations(&parent, &child, &name) {
                self.draft.relation(id, relation);
            }
        }
        self.draft.finish()
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields
            .values()
            .all(|one| one.as_str().is_none_or(str::is_empty)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    }
}

fn record(id: &str, row: &Object) -> CiRecord {
    let class = plain(row, "sys_class_name").unwrap_or_default();
    let mut record = CiRecord {
        id: id.into(),
        name: shown(row, "name").unwrap_or_default(),
        class: classes::of_table(&class).into(),
        site: shown(row, "location"),
        rack: shown(row, "rack"),
        environment: shown(row, "environment").or_else(|| shown(row, "used_for")),
        owner: [
            "support_group",
            "assignment_group",
            "managed_by_group",
            "owned_by",
            "managed_by",
        ]
        .iter()
        .find_map(|key| shown(row, key)),
        criticality: ["busines_criticality", "business_criticality"]
            .iter()
            .find_map(|key| criticality(&shown(row, key).or_else(|| plain(row, key))?)),
        is_retired: is_retired(row),
        ..CiRecord::default()
    };
    for key in ["fqdn", "ip_address"] {
        for part in shown(row, key).unwrap_or_default().split([',', ';', ' ']) {
            identify_address(&mut record, part);
        }
    }
    let host = shown(row, "host_name").unwrap_or_default();
    if !host.eq_ignore_ascii_case(&record.name) {
        identify_name(&mut record, &host);
    }
    for (key, kind) in [
        ("mac_address", IdentifierKind::Mac),
        ("serial_number", IdentifierKind::Serial),
        ("asset_tag", IdentifierKind::Serial),
        ("object_id", IdentifierKind::Alias),
    ] {
        identify(&mut record, kind, &shown(row, key).unwrap_or_default());
    }
    keep_text(&mut record, "sys_class_name", &class);
    for key in row.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        keep_text(&mut record, key, &shown(row, key).unwrap_or_default());
    }
    record
}

/// Retired, stolen or absent, in numbers or in words.
fn is_retired(row: &Object) -> bool {
    let says = |key: &str, words: &[&str]| {
        let said = [plain(row, key), shown(row, key)];
        said.into_iter()
            .flatten()
            .any(|text| words.iter().any(|word| text.eq_ignore_ascii_case(word)))
    };
    says(
        "install_status",
        &["7", "8", "100", "retired", "stolen", "absent"],
    ) || says("operational_status", &["6", "retired"])
}

/// The stored value: of a reference its `sys_id`.
pub(super) fn plain(row: &Object, key: &str) -> Option<SmolStr> {
    let value = row.get(key)?;
    let Some(fields) = value.as_object() else {
        return text(value);
    };
    let link = || text(fields.get("link")?);
    fields
        .get("value")
        .and_then(text)
        .or_else(|| link()?.rsplit('/').next().map(SmolStr::from))
        .or_else(|| fields.get("display_value").and_then(text))
}

/// The value as people see it; of a reference the name of what it refers to, if the row has that.
fn shown(row: &Object, key: &str) -> Option<SmolStr> {
    let value = row.get(key)?;
    match value.as_object() {
        Some(fields) => match fields.get("display_value") {
            Some(shown) => text(shown),
            None => plain(row, key),
        },
        None => text(value),
    }
}
