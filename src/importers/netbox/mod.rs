//! NetBox: its dump (`manage.py dumpdata`), saved pages of its REST API, or the API itself.
//!
//! All three become the same [`rows::Rows`], from which [`picture`] makes items and relations. Source: NetBox' REST API
//! guide and its data model. Must not invent devices: what has no row is no item.

pub mod fetch;
pub mod links;
pub mod picture;
pub mod roles;
pub mod rows;
mod wiring;

use serde_json::Value;

use crate::core::cmdb::record::Picture;
use crate::importers::documents::{head, json, malformed};
use crate::importers::draft::Draft;
use crate::importers::netbox::rows::Rows;
use crate::importers::value::Object;
use crate::importers::{Format, ImportError, NamedBytes};

/// The format.
pub struct NetBox;

impl Format for NetBox {
    fn name(&self) -> &'static str {
        "netbox"
    }

    fn recognises(&self, files: &[NamedBytes]) -> bool {
        files.iter().all(|file| {
            let head = head(file);
            let is_dump = head.contains("\"model\"") && head.contains("\"fields\"");
            is_dump || (head.contains("\"results\"") && head.contains("/api/"))
        })
    }

    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError> {
        let mut draft = Draft::default();
        let mut rows = Rows::default();
        for file in files {
            match json(file)? {
                Value::Array(list) => dump(&mut draft, &mut rows, file, list),
                Value::Object(page) => self::page(&mut draft, &mut rows, file, page)?,
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    let expected = "expected the list of a dump, or a page of the REST API";
                    return Err(malformed(file, expected));
                }
            }
        }
        if rows.is_empty() {
            let file = files
                .first()
                .map_or("the import", |file| file.name.as_str());
            return Err(ImportError::Malformed {
                file: file.to_owned(),
                problem: "there is no object of NetBox in it; dump the apps dcim, ipam, virtualization and circuits".to_owned(),
            });
        }
        picture::draw(&rows, &mut draft);
        Ok(draft.finish())
    }
}

/// `[{"model": "dcim.site", "pk": 1, "fields": {...}}]`
fn dump(draft: &mut Draft, rows: &mut Rows, file: &NamedBytes, list: Vec<Value>) {
    for (index, row) in list.into_iter().enumerate() {
        let place = || format!("{}[{index}]", file.name);
        let Value::Object(mut row) = row else {
            draft.problem(&place(), "expected an object with model, pk and fields");
            continue;
        };
        let model = match row.remove("model") {
            Some(Value::String(model)) => model,
            _ => String::new(),
        };
        if !rows::is_read(&model) {
            // Templates, permissions and the like say nothing about the estate.
            continue;
        }
        let pk = row.get("pk").and_then(Value::as_u64);
        match (pk, row.remove("fields")) {
            (Some(pk), Some(Value::Object(fields))) => {
                rows.add(&model, pk, fields);
            }
            _ => draft.problem(&place(), "the row lacks pk or fields; it is left out"),
        }
    }
}

/// `{"count": 2, "next": null, "previous": null, "results": [...]}`, or one object of an own making that holds such
/// lists by the path of their API.
fn page(
    draft: &mut Draft,
    rows: &mut Rows,
    file: &NamedBytes,
    mut page: Object,
) -> Result<(), ImportError> {
    if page.get("next").is_some_and(|next| !next.is_null()) {
        let problem = "this is not the last page; save all of them, or import by url";
        draft.problem(&file.name, problem);
    }
    let Some(Value::Array(list)) = page.remove("results") else {
        return Err(malformed(
            file,
            "there are no results in it; expected a page of the REST API",
        ));
    };
    for (index, row) in list.into_iter().enumerate() {
        let place = || format!("{}: results[{index}]", file.name);
        let Value::Object(row) = row else {
            draft.problem(&place(), "expected an object");
            continue;
        };
        let model = row
            .get("url")
            .and_then(Value::as_str)
            .and_then(rows::model_of_url)
            .or_else(|| rows::model_of_file(&file.name));
        match (model, row.get("id").and_then(Value::as_u64)) {
            (Some(model), Some(id)) => {
                rows.add(model, id, row);
            }
            (None, _) => draft.problem(
                &place(),
                "it has no url that tells what it is; it is left out",
            ),
            (_, None) => draft.problem(&place(), "it has no id; it is left out"),
        }
    }
    Ok(())
}
