//! ServiceNow's Table API: computed priority, data policy, journals in a table of their own, filters that are ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::itsm::server::{Ask, Platform, Tell};

/// One instance.
#[derive(Debug, Default)]
pub(crate) struct ServiceNow {
    pub(crate) records: BTreeMap<String, Map<String, Value>>,
    /// Ticket, text, author, in order.
    pub(crate) journal: Vec<(String, String, String)>,
    pub(crate) clock: u32,
    pub(crate) made: usize,
    /// Filters are ignored, as those that it does not understand are.
    pub(crate) ignores_filters: bool,
    /// Basic authentication that it takes.
    pub(crate) authorization: Option<String>,
}

const USER: &str = "watchbell";

impl ServiceNow {
    /// A day that no look back has passed by, whenever this runs.
    fn now(&mut self) -> String {
        self.clock += 1;
        let seconds = self.clock;
        format!(
            "2036-12-01 {:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )
    }

    /// The only record.
    pub(crate) fn only(&self) -> Map<String, Value> {
        assert_eq!(self.records.len(), 1, "{:#?}", self.records);
        self.records.values().next().unwrap().clone()
    }

    /// Does what a person does in a form.
    pub(crate) fn edit(&mut self, id: &str, who: &str, fields: &Value) {
        let now = self.now();
        let record = self.records.get_mut(id).unwrap();
        for (name, value) in fields.as_object().unwrap() {
            record.insert(name.clone(), value.clone());
        }
        record.insert("sys_updated_on".into(), json!(now));
        record.insert("sys_updated_by".into(), json!(who));
    }

    /// Writes a note as a person.
    pub(crate) fn note(&mut self, id: &str, who: &str, text: &str) {
        self.journal
            .push((id.to_owned(), text.to_owned(), who.to_owned()));
        self.edit(id, who, &json!({}));
    }

    pub(crate) fn notes(&self, id: &str) -> Vec<String> {
        let notes = self.journal.iter().filter(|(of, ..)| of == id);
        notes.map(|(_, text, _)| text.clone()).collect()
    }

    #[expect(
        clippy::panic_in_result_fn,
        reason = "a fake that is used wrongly ends the test"
    )]
    fn write(&mut self, id: &str, fields: &Map<String, Value>) -> Result<(), Tell> {
        let mut record = self.records.get(id).cloned().unwrap_or_default();
        let refused = |detail: &str| {
            let error = json!({"error": {"message": "Operation Failed", "detail": detail}, "status": "failure"});
            Err(Tell::json(403, &error))
        };
        if record.get("state") == Some(&json!("7")) {
            return refused("the record is closed");
        }
        for (name, value) in fields {
            assert!(value.is_string(), "{name} is {value}: values are strings");
            if name == "work_notes" || name == "comments" {
                let text = value.as_str().unwrap().to_owned();
                self.journal.push((id.to_owned(), text, USER.to_owned()));
            } else {
                record.insert(name.clone(), value.clone());
            }
        }
        let is_resolved = ["6", "7"].contains(&record["state"].as_str().unwrap_or("1"));
        let has = |name: &str| record.get(name).is_some_and(|value| value != "");
        if is_resolved && !(has("close_code") && has("close_notes")) {
            return refused(
                "Data Policy Exception: The following fields are mandatory: Resolution code, Close notes",
            );
        }
        let grade = |name: &str| {
            record
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or("3")
                .parse::<u32>()
                .unwrap()
        };
        let priority = grade("impact") + grade("urgency") - 1;
        record.insert("priority".into(), json!(priority.to_string()));
        record.insert("sys_updated_on".into(), json!(self.now()));
        record.insert("sys_updated_by".into(), json!(USER));
        self.records.insert(id.to_owned(), record);
        Ok(())
    }

    fn list(&self, ask: &Ask) -> Tell {
        let query = ask.param("sysparm_query");
        let text = |record: &Map<String, Value>, name: &str| {
            record
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned()
        };
        let fits = |record: &Map<String, Value>| {
            query.split('^').all(|part| {
                if self.ignores_filters || part.starts_with("ORDERBY") {
                    true
                } else if let Some((name, value)) = part.split_once(">=") {
                    text(record, name).as_str() >= value
                } else if let Some((name, value)) = part.split_once("STARTSWITH") {
                    text(record, name).starts_with(value)
                } else if let Some((name, value)) = part.split_once('=') {
                    text(record, name) == value
                } else {
                    true
                }
            })
        };
        let mut rows: Vec<_> = self
            .records
            .values()
            .filter(|record| fits(record))
            .collect();
        rows.sort_by_key(|record| text(record, "sys_updated_on"));
        let number = |name: &str, default: usize| ask.param(name).parse().unwrap_or(default);
        let rows: Vec<_> = rows
            .into_iter()
            .skip(number("sysparm_offset", 0))
            .take(number("sysparm_limit", 10_000))
            .collect();
        Tell::json(200, &json!({"result": rows}))
    }

    fn journals(&self, ask: &Ask) -> Tell {
        let query = ask.param("sysparm_query");
        let of = query
            .split('^')
            .find_map(|part| part.strip_prefix("element_id="));
        let rows: Vec<_> = self
            .journal
            .iter()
            .enumerate()
            .filter(|(_, (id, ..))| of.is_none_or(|of| of == id))
            .map(|(at, (id, text, who))| {
                json!({"sys_id": format!("j{at}"), "element_id": id, "element": "work_notes", "value": text,
                       "sys_created_by": who, "sys_created_on": "2036-12-01 00:00:00"})
            })
            .rev()
            .collect();
        Tell::json(200, &json!({"result": rows}))
    }
}

impl Platform for ServiceNow {
    fn answer(&mut self, ask: &Ask) -> Tell {
        if let Some(wanted) = &self.authorization
            && ask.header("authorization") != wanted
        {
            let error = json!({"error": {"message": "User Not Authenticated", "detail": "Required to provide Auth information"}, "status": "failure"});
            return Tell::json(401, &error);
        }
        let missing =
            json!({"error": {"message": "No Record found", "detail": null}, "status": "failure"});
        let id = ask.path.strip_prefix("/api/now/table/incident/");
        match (ask.method.as_str(), ask.path.as_str(), id) {
            ("GET", "/api/now/table/sys_journal_field", _) => self.journals(ask),
            ("GET", "/api/now/table/incident", _) => self.list(ask),
            ("POST", "/api/now/table/incident", _) => {
                self.made += 1;
                let number = self.made;
                let id = format!("{number:032x}");
                let mut record = Map::new();
                record.insert("sys_id".into(), json!(id));
                record.insert("number".into(), json!(format!("INC{number:07}")));
                record.insert("state".into(), json!("1"));
                self.records.insert(id.clone(), record);
                let fields = ask.json().as_object().cloned().unwrap_or_default();
                if let Err(refused) = self.write(&id, &fields) {
                    return refused;
                }
                Tell::json(201, &json!({"result": self.records[&id]}))
            }
            ("GET", _, Some(id)) => match self.records.get(id) {
                Some(record) => Tell::json(200, &json!({"result": record})),
                None => Tell::json(404, &missing),
            },
            ("PATCH", _, Some(id)) => {
                if !self.records.contains_key(id) {
                    return Tell::json(404, &missing);
                }
                let fields = ask.json().as_object().cloned().unwrap_or_default();
                match self.write(id, &fields) {
                    Ok(()) => Tell::json(200, &json!({"result": self.records[id]})),
                    Err(refused) => refused,
                }
            }
            _ => Tell::json(404, &missing),
        }
    }
}
