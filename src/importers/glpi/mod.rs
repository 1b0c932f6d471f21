//! GLPI: lists of items of its REST API, saved or fetched, and its table of impact relations.
//!
//! Saved lists are told apart by the name of their file, like `Computer.json`. Source: `apirest.md` of GLPI. Must not
//! take templates and items in the bin.

pub mod fetch;

use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::{CiRecord, Picture};
use crate::core::cmdb::relation::RelationKind;
use crate::importers::classes::kebab;
use crate::importers::documents::{heads_hold, json, malformed};
use crate::importers::draft::{Draft, identify, identify_name, relation};
use crate::importers::netbox::roles;
use crate::importers::value::{Object, field, is_true, keep_text};
use crate::importers::{Format, ImportError, NamedBytes};

/// Fields with a place of their own, or that say nothing to people.
const KNOWN: [&str; 8] = [
    "id",
    "name",
    "serial",
    "otherserial",
    "uuid",
    "is_deleted",
    "is_template",
    "links",
];

/// The format.
pub struct Glpi;

impl Format for Glpi {
    fn name(&self) -> &'static str {
        "glpi"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        heads_hold(files, &["entities_id"]) || heads_hold(files, &["itemtype_source"])
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut draft = Draft::default();
        for file in files {
            let stem = file.name.rsplit('/').next().unwrap_or_default();
            let itemtype = stem.split('.').next().unwrap_or_default();
            match json(file)? {
                Value::Array(list) => read_list(&mut draft, itemtype, &list)
                    .map_err(|problem| malformed(file, problem))?,
                Value::Object(lists) => {
                    // Several lists in one file, by item type.
                    for (itemtype, list) in &lists {
                        let list = list.as_array().map_or(&[][..], Vec::as_slice);
                        read_list(&mut draft, itemtype, list)
                            .map_err(|problem| malformed(file, problem))?;
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    return Err(malformed(file, "expected a list of items"));
                }
            }
        }
        Ok(draft.finish())
    }
}

/// Takes the rows of one item type.
///
/// # Errors
/// The list is one of GLPI's errors.
pub fn read_list(draft: &mut Draft, itemtype: &str, list: &[Value]) -> Result<(), String> {
    if let Some(Value::String(code)) = list.first() {
        let text = list.get(1).and_then(Value::as_str).unwrap_or_default();
        return Err(format!("GLPI answered {code}: {text}"));
    }
    for (index, row) in list.iter().enumerate() {
        let place = format!("{itemtype}[{index}]");
        match row.as_object() {
            Some(row) if row.contains_key("itemtype_source") => read_relation(draft, &place, row),
            Some(row) => read_item(draft, &place, itemtype, row),
            None => draft.problem(&place, "expected an object"),
        }
    }
    Ok(())
}

fn id(itemtype: &str, id: &str) -> SmolStr {
    format_smolstr!("{itemtype}:{id}")
}

fn read_item(draft: &mut Draft, place: &str, itemtype: &str, row: &Object) {
    let itemtype = field(row, "itemtype").unwrap_or_else(|| itemtype.into());
    if is_true(row, "is_deleted") || is_true(row, "is_template") {
        return;
    }
    let Some(number) = field(row, "id") else {
        draft.problem(place, "the item has no id; it is left out");
        return;
    };
    let id = id(&itemtype, &number);
    if draft.has(&id) {
        // Pages overlap when items are added while they are read.
        return;
    }
    let kind = named(row, &format!("{}types_id", itemtype.to_lowercase()));
    let class = match itemtype.as_str() {
        "NetworkEquipment" | "Computer" => kind
            .as_deref()
            .map_or_else(|| kebab(&itemtype), roles::class),
        "Appliance" => "application".to_owned(),
        "DatabaseInstance" => "database".to_owned(),
        other => kebab(other),
    };
    let state = named(row, "states_id");
    let mut record = CiRecord {
        id,
        name: field(row, "name").unwrap_or_default(),
        class: class.into(),
        site: named(row, "locations_id"),
        owner: named(row, "groups_id_tech").or_else(|| named(row, "users_id_tech")),
        is_retired: state.as_deref().is_some_and(says_retired),
        environment: named(row, "applianceenvironments_id"),
        ..CiRecord::default()
    };
    for key in ["serial", "otherserial", "uuid"] {
        identify(
            &mut record,
            IdentifierKind::Serial,
            &field(row, key).unwrap_or_default(),
        );
    }
    if let Some(domain) = named(row, "domains_id").filter(|domain| domain.contains('.')) {
        let full = format!("{}.{domain}", record.name);
        identify_name(&mut record, &full);
    }
    for key in row.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        keep_text(&mut record, key, &named(row, key).unwrap_or_default());
    }
    draft.ci(place, record);
}

fn says_retired(state: &str) -> bool {
    let state = state.to_lowercase();
    [
        "retired",
        "scrapped",
        "disposed",
        "decommissioned",
        "réformé",
        "rebut",
    ]
    .iter()
    .any(|word| state.contains(word))
}

/// A text, or a dropdown that was expanded; empty ones are `0`, spaces or `&nbsp;`.
fn named(row: &Object, key: &str) -> Option<SmolStr> {
    let text = field(row, key)?;
    let is_reference = key.ends_with("_id") || key.contains("_id_");
    (text != "&nbsp;" && !(is_reference && text == "0")).then_some(text)
}

fn read_relation(draft: &mut Draft, place: &str, row: &Object) {
    let end = |kind: &str, number: &str| Some(id(&field(row, kind)?, &field(row, number)?));
    let source = end("itemtype_source", "items_id_source");
    let impacted = end("itemtype_impacted", "items_id_impacted");
    match (source, impacted) {
        (Some(source), Some(impacted)) => {
            draft.relation(place, relation(&impacted, &source, RelationKind::DependsOn));
        }
        _ => draft.problem(place, "the relation lacks one of its ends"),
    }
}
