//! iTop: answers of its REST service, saved or fetched: `core/get` for items, `core/get_related` for relations.
//!
//! Its `impacts` relation points from the provider to those who suffer. Source: the source code and documentation of
//! iTop's REST service. Must not take HTTP 200 for success: iTop says so in `code`.

pub mod fetch;

use serde_json::Value;

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::{CiRecord, Picture};
use crate::core::cmdb::relation::RelationKind;
use crate::importers::classes;
use crate::importers::documents::{head, heads_hold, json, malformed};
use crate::importers::draft::{Draft, identify, identify_address, identify_name, relation};
use crate::importers::value::{Object, at, criticality, field, keep_rest, object, text};
use crate::importers::{Format, ImportError, NamedBytes};

/// Fields with a place of their own.
const KNOWN: [&str; 9] = [
    "id",
    "friendlyname",
    "name",
    "managementip",
    "serialnumber",
    "asset_number",
    "location_name",
    "rack_name",
    "finalclass",
];

/// The format.
pub struct Itop;

impl Format for Itop {
    fn name(&self) -> &'static str {
        "itop"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        let is_native = files.iter().any(|file| head(file).contains("\"cis\""));
        !is_native
            && heads_hold(files, &["\"code\""])
            && (heads_hold(files, &["\"objects\""]) || heads_hold(files, &["\"relations\""]))
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut draft = Draft::default();
        for file in files {
            let answer = json(file)?;
            let answer = answer
                .as_object()
                .ok_or_else(|| malformed(file, "expected an answer of iTop's REST service"))?;
            check(answer).map_err(|problem| malformed(file, problem))?;
            read_objects(&mut draft, answer);
            read_relations(&mut draft, answer);
        }
        Ok(draft.finish())
    }
}

/// Whether the answer is one of success.
///
/// # Errors
/// What iTop says is wrong, and what to do.
pub fn check(answer: &Object) -> Result<(), String> {
    let message = field(answer, "message").unwrap_or_default();
    match answer.get("code").and_then(Value::as_i64) {
        Some(0) => Ok(()),
        Some(1) => Err(format!(
            "iTop refuses the login ({message}); check user and password, and that the user has the profile REST Services User"
        )),
        Some(code) => Err(format!("iTop answered code {code}: {message}")),
        None => {
            Err("there is no `code` in it; expected an answer of iTop's REST service".to_owned())
        }
    }
}

/// Takes the items of an answer; says how many there were.
pub fn read_objects(draft: &mut Draft, answer: &Object) -> usize {
    // Null when there are none, and a list when PHP thinks that an empty map is one.
    let Some(objects) = object(answer, "objects") else {
        return 0;
    };
    for (key, found) in objects {
        let Some(found) = found.as_object() else {
            draft.problem(key, "expected an object");
            continue;
        };
        let empty = Object::new();
        let fields = object(found, "fields").unwrap_or(&empty);
        let class = field(fields, "finalclass")
            .or_else(|| field(found, "class"))
            .unwrap_or_default();
        if !draft.has(key) {
            draft.ci(key, record(key, &class, fields));
        }
    }
    objects.len()
}

fn record(key: &str, class: &str, fields: &Object) -> CiRecord {
    let kind = ["networkdevicetype_name", "type_name"]
        .iter()
        .find_map(|key| field(fields, key));
    let class_word = match (class, kind) {
        ("NetworkDevice", Some(kind)) => crate::importers::netbox::roles::class(&kind),
        _ => classes::of_itop(class),
    };
    let mut record = CiRecord {
        id: key.into(),
        name: field(fields, "name")
            .or_else(|| field(fields, "friendlyname"))
            .unwrap_or_default(),
        class: class_word.into(),
        site: field(fields, "location_name"),
        rack: field(fields, "rack_name"),
        criticality: field(fields, "business_criticity").and_then(|text| criticality(&text)),
        is_retired: field(fields, "status").is_some_and(|status| status == "obsolete"),
        ..CiRecord::default()
    };
    record.environment = field(fields, "environment")
        .or_else(|| field(fields, "status").filter(|status| status == "production"));
    record.owner = value_list(fields).or_else(|| at(fields, &["team_name"]));
    identify_address(
        &mut record,
        &field(fields, "managementip").unwrap_or_default(),
    );
    identify_address(
        &mut record,
        &field(fields, "managementip_name").unwrap_or_default(),
    );
    identify_name(&mut record, &field(fields, "fqdn").unwrap_or_default());
    for key in ["serialnumber", "asset_number"] {
        identify(
            &mut record,
            IdentifierKind::Serial,
            &field(fields, key).unwrap_or_default(),
        );
    }
    keep_rest(&mut record, fields, &KNOWN);
    record
        .attributes
        .retain(|key| !key.ends_with("_list") && !key.ends_with("_finalclass_recall"));
    record.attributes.insert("itop_class".into(), class.into());
    record
}

/// The first team among the contacts.
fn value_list(fields: &Object) -> Option<smol_str::SmolStr> {
    crate::importers::value::objects(fields, "contacts_list")
        .filter(|one| {
            field(one, "contact_id_finalclass_recall").is_some_and(|class| class == "Team")
        })
        .find_map(|one| {
            field(one, "contact_name").or_else(|| field(one, "contact_id_friendlyname"))
        })
}

/// Takes the relations of an answer of `core/get_related`: each key impacts those listed.
pub fn read_relations(draft: &mut Draft, answer: &Object) {
    // An empty list stands for an empty map.
    for (provider, impacted) in object(answer, "relations").into_iter().flatten() {
        for one in impacted.as_array().into_iter().flatten() {
            let dependent = one
                .as_object()
                .map_or_else(|| text(one), |one| field(one, "key"));
            match dependent {
                Some(dependent) => {
                    draft.relation(
                        provider,
                        relation(&dependent, provider, RelationKind::DependsOn),
                    );
                }
                None => draft.problem(provider, "one of the items that it impacts has no key"),
            }
        }
    }
}
