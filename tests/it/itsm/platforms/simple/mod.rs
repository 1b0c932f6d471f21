//! Platforms that differ in words only: one store of tickets, and for each platform how it speaks of them.
//!
//! Each has the unpleasant habit that its documentation warns of: Redmine drops what a workflow forbids, Request Tracker
//! refuses with 200, Jira knows only transitions, monday says everything with 200, iTop wants a form.

use serde_json::{Value, json};

use crate::itsm::server::{Ask, Platform, Tell};

mod desks;
mod queues;
mod suites;

/// One ticket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticket {
    pub(crate) id: usize,
    pub(crate) title: String,
    pub(crate) key: String,
    pub(crate) status: String,
    pub(crate) notes: Vec<String>,
    pub(crate) version: i64,
}

/// Which platform it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Jira,
    Redmine,
    RequestTracker,
    Monday,
    Itop,
    Zammad,
    Freshservice,
    PagerDuty,
    NinjaOne,
    Glpi,
    Maximo,
    ServiceDesk,
    Infraon,
    Znuny,
    Opsgenie,
}

/// A platform.
#[derive(Debug)]
pub(crate) struct Simple {
    pub(crate) kind: Kind,
    pub(crate) tickets: Vec<Ticket>,
}

/// A key inside any text.
fn key_in(text: &str) -> String {
    let at = text.find("wbl-");
    at.map_or_else(String::new, |at| {
        text.get(at..)
            .unwrap_or_default()
            .chars()
            .take(28)
            .collect()
    })
}

/// Tickets as iTop tells of them.
fn itop_told(tickets: &[Ticket]) -> Tell {
    let shape = |ticket: &Ticket| {
        let log: Vec<_> = ticket.notes.iter().enumerate().map(|(at, text)| json!({"date": at.to_string(), "user_id": "1", "user_login": "bot", "message": text})).collect();
        json!({"code": 0, "message": "", "class": "Incident", "key": ticket.id.to_string(), "fields": {
            "id": ticket.id.to_string(), "ref": format!("I-{}", ticket.id), "title": ticket.title, "status": ticket.status,
            "priority": "2", "last_update": ticket.version.to_string(), "private_log": {"entries": log}}})
    };
    let objects: serde_json::Map<_, _> = tickets
        .iter()
        .map(|ticket| (format!("Incident::{}", ticket.id), shape(ticket)))
        .collect();
    let objects = if objects.is_empty() {
        Value::Null
    } else {
        Value::Object(objects)
    };
    Tell::json(200, &json!({"code": 0, "message": "", "objects": objects}))
}

fn itop_failed(why: &str) -> Tell {
    Tell::json(
        200,
        &json!({"code": 100, "message": format!("Error: {why}"), "objects": null}),
    )
}

impl Simple {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            tickets: Vec::new(),
        }
    }

    fn make(&mut self, title: &str, key: &str, status: &str) -> Ticket {
        let ticket = Ticket {
            id: 100 + self.tickets.len(),
            title: title.to_owned(),
            key: key.to_owned(),
            status: status.to_owned(),
            notes: Vec::new(),
            version: 1,
        };
        self.tickets.push(ticket.clone());
        ticket
    }

    /// The ticket whose number stands in a path.
    fn at(&mut self, path: &str) -> Option<&mut Ticket> {
        let numbers = path.split(|c: char| !c.is_ascii_digit());
        let id = numbers
            .filter_map(|part| part.parse::<usize>().ok())
            .find(|id| *id >= 100)?;
        self.tickets.iter_mut().find(|ticket| ticket.id == id)
    }

    fn by_key(&self, text: &str) -> Vec<Ticket> {
        let key = key_in(text);
        let found = self.tickets.iter().filter(|ticket| {
            ticket.key == key
                || (key.len() < 28
                    && ticket
                        .key
                        .starts_with(key.trim_end_matches(['%', '\'', ' '])))
        });
        found.cloned().collect()
    }

    fn set(&mut self, path: &str, status: &str) -> bool {
        let Some(ticket) = self.at(path) else {
            return false;
        };
        ticket.version += 1;
        status.clone_into(&mut ticket.status);
        true
    }

    fn jira(&mut self, ask: &Ask) -> Tell {
        let shape = |ticket: &Ticket| {
            json!({"id": ticket.id.to_string(), "key": format!("OPS-{}", ticket.id), "fields": {
                "labels": ["watchbell", ticket.key], "status": {"name": ticket.status}, "priority": {"name": "High"},
                "assignee": null, "resolution": null, "updated": ticket.version.to_string()}})
        };
        let body = ask.json();
        if ask.path.ends_with("/search/jql") {
            assert!(
                body["fields"].is_array(),
                "without fields only ids come back"
            );
            let jql = body["jql"].as_str().unwrap();
            let found = if jql.contains("updated >=") {
                self.tickets.clone()
            } else {
                self.by_key(jql)
            };
            let issues: Vec<_> = found.iter().map(shape).collect();
            return Tell::json(200, &json!({"issues": issues, "isLast": true}));
        }
        if ask.path == "/rest/api/2/issue" {
            let fields = &body["fields"];
            assert!(fields["summary"].as_str().unwrap().len() <= 255);
            let label = fields["labels"][1].as_str().unwrap().to_owned();
            let made = self.make(fields["summary"].as_str().unwrap(), &label, "Open");
            return Tell::json(
                201,
                &json!({"id": made.id.to_string(), "key": "OPS-1", "self": "x"}),
            );
        }
        if ask.path.ends_with("/transitions") {
            return self.jira_moves(ask, &body);
        }
        if ask.path.ends_with("/comment") {
            return self.comments(ask, "comments", "body", &body["body"], 201);
        }
        match (ask.method.as_str(), self.at(&ask.path)) {
            (_, None) => Tell::json(
                404,
                &json!({"errorMessages": ["Issue does not exist"], "errors": {}}),
            ),
            ("GET", Some(ticket)) => Tell::json(200, &shape(ticket)),
            (_, Some(ticket)) => {
                assert!(
                    body["fields"].get("status").is_none(),
                    "a status cannot be set"
                );
                ticket.version += 1;
                Tell::empty(204)
            }
        }
    }

    /// The ways out of a state, and going one of them.
    fn jira_moves(&mut self, ask: &Ask, body: &Value) -> Tell {
        let ways = |status: &str| match status {
            "Open" => vec![
                ("11", "Work in progress"),
                ("12", "Pending"),
                ("13", "Resolved"),
            ],
            "Work in progress" => vec![("22", "Pending"), ("23", "Resolved")],
            "Pending" => vec![("31", "Work in progress"), ("33", "Resolved")],
            _ => vec![("41", "Reopened")],
        };
        let status = self.at(&ask.path).unwrap().status.clone();
        if ask.method == "GET" {
            let ways: Vec<_> = ways(&status)
                .iter()
                .map(|(id, to)| json!({"id": id, "to": {"name": to}}))
                .collect();
            return Tell::json(200, &json!({"transitions": ways}));
        }
        let wanted = body["transition"]["id"].as_str().unwrap();
        let Some((_, to)) = ways(&status).into_iter().find(|(id, _)| *id == wanted) else {
            return Tell::json(
                400,
                &json!({"errorMessages": ["It is not on the appropriate screen"], "errors": {}}),
            );
        };
        self.set(&ask.path, to);
        Tell::empty(204)
    }

    /// Notes as a list with a field for the text; another one is added by anything but GET.
    fn comments(&mut self, ask: &Ask, list: &str, field: &str, text: &Value, made: u16) -> Tell {
        let Some(ticket) = self.at(&ask.path) else {
            return Tell::json(404, &json!({}));
        };
        if ask.method != "GET" {
            ticket.notes.push(text.as_str().unwrap().to_owned());
            ticket.version += 1;
            return Tell::json(made, &json!({"id": "n1"}));
        }
        let notes = ticket.notes.iter().enumerate();
        let notes: Vec<_> = notes
            .map(|(at, text)| json!({"id": format!("n{at}"), field: text}))
            .rev()
            .collect();
        Tell::json(200, &json!({list: notes}))
    }

    fn redmine(&mut self, ask: &Ask) -> Tell {
        let shape = |ticket: &Ticket| {
            json!({"id": ticket.id, "status": {"id": ticket.status.parse::<i64>().unwrap(), "name": "x"},
                "priority": {"id": 4}, "custom_fields": [{"id": 8, "value": ticket.key}],
                "updated_on": ticket.version.to_string(),
                "journals": ticket.notes.iter().enumerate().map(|(at, text)| json!({"id": at, "notes": text, "user": {"name": "bot"}})).collect::<Vec<_>>()})
        };
        let body = ask.json();
        match (ask.method.as_str(), ask.path.as_str()) {
            ("GET", "/issues.json") => {
                assert_eq!(ask.param("status_id"), "*", "default: open only");
                let found = if ask.param("updated_on").is_empty() {
                    self.by_key(ask.param("cf_8"))
                } else {
                    self.tickets.clone()
                };
                let issues: Vec<_> = found.iter().map(shape).collect();
                Tell::json(200, &json!({"issues": issues, "total_count": issues.len()}))
            }
            ("POST", _) => {
                let issue = &body["issue"];
                let key = issue["custom_fields"][0]["value"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                let made = self.make(issue["subject"].as_str().unwrap(), &key, "1");
                Tell::json(201, &json!({"issue": shape(&made)}))
            }
            ("GET", path) => match self.at(path) {
                Some(ticket) => Tell::json(200, &json!({"issue": shape(ticket)})),
                None => Tell::empty(404),
            },
            (_, path) => {
                let Some(ticket) = self.at(path) else {
                    return Tell::empty(404);
                };
                if let Some(text) = body["issue"]["notes"].as_str() {
                    ticket.notes.push(text.to_owned());
                }
                if let Some(status) = body["issue"]["status_id"].as_i64() {
                    ticket.status = status.to_string();
                }
                ticket.version += 1;
                Tell::empty(204)
            }
        }
    }

    fn request_tracker(&mut self, ask: &Ask) -> Tell {
        let shape = |ticket: &Ticket| {
            json!({"id": ticket.id, "Status": ticket.status, "Subject": ticket.title, "Priority": "80",
                "Owner": {"id": "Nobody"}, "EffectiveId": {"id": ticket.id.to_string()},
                "LastUpdated": ticket.version.to_string(),
                "CustomFields": [{"id": "1", "name": "Key", "values": [ticket.key]}]})
        };
        let body = ask.json();
        if ask.path.ends_with("/tickets") {
            let query = ask.param("query");
            let found = if query.contains("LastUpdated") {
                self.tickets.clone()
            } else {
                assert!(query.contains("'CF.{Key}' = 'wbl-"), "{query}");
                self.by_key(query)
            };
            let items: Vec<_> = found.iter().map(shape).collect();
            return Tell::json(
                200,
                &json!({"items": items, "count": items.len(), "total": null}),
            );
        }
        if ask.method == "POST" && ask.path.ends_with("/ticket") {
            let key = body["CustomFields"]["Key"].as_str().unwrap().to_owned();
            let made = self.make(body["Subject"].as_str().unwrap(), &key, "new");
            return Tell::json(
                201,
                &json!({"_url": "x", "type": "ticket", "id": made.id.to_string()}),
            );
        }
        if ask.path.ends_with("/attachments") {
            // The history has no texts; these are the real one's answers.
            let ticket = self.at(&ask.path).unwrap();
            let items = ticket.notes.iter().enumerate().map(|(at, text)| json!({"id": at.to_string(), "ContentType": "text/plain", "Content": text, "Creator": {"id": "bot"}}));
            return Tell::json(200, &json!({"items": items.rev().collect::<Vec<_>>()}));
        }
        let Some(ticket) = self.at(&ask.path) else {
            return Tell::json(404, &json!({"message": "Not Found"}));
        };
        if ask.method == "GET" {
            return Tell::json(200, &shape(ticket));
        }
        ticket.version += 1;
        if ask.path.ends_with("/comment") {
            assert_eq!(body["ContentType"], "text/plain");
            ticket
                .notes
                .push(body["Content"].as_str().unwrap().to_owned());
            return Tell::json(201, &json!(["Comments added"]));
        }
        if let Some(status) = body["Status"].as_str() {
            status.clone_into(&mut ticket.status);
        }
        Tell::json(
            200,
            &json!([format!("Ticket {}: Status changed", ticket.id)]),
        )
    }

    fn monday(&mut self, ask: &Ask) -> Tell {
        let shape = |ticket: &Ticket| {
            json!({"id": ticket.id.to_string(), "name": ticket.title, "url": "https://x", "state": "active",
                "updated_at": format!("2036-12-01T00:00:{:02}Z", ticket.version),
                "column_values": [{"id": "text_key", "text": ticket.key}, {"id": "status", "text": ticket.status}, {"id": "priority", "text": "High"}]})
        };
        let (body, ok) = (ask.json(), |data: Value| {
            Tell::json(200, &json!({"data": data}))
        });
        let query = body["query"].as_str().unwrap().to_owned();
        let vars = &body["variables"];
        let label = |vars: &Value| {
            let text = vars["v"].as_str().expect("JSON inside JSON");
            let values: Value = serde_json::from_str(text).unwrap();
            values["status"]["label"].as_str().map(str::to_owned)
        };
        if query.contains("create_item(") {
            let values: Value = serde_json::from_str(vars["v"].as_str().unwrap()).unwrap();
            let key = values["text_key"].as_str().unwrap().to_owned();
            let made = self.make(vars["n"].as_str().unwrap(), &key, &label(vars).unwrap());
            return ok(json!({"create_item": {"id": made.id.to_string()}}));
        }
        if query.contains("items_page_by_column_values") {
            let items: Vec<_> = self
                .by_key(vars["k"].as_str().unwrap())
                .iter()
                .map(shape)
                .collect();
            return ok(json!({"items_page_by_column_values": {"items": items}}));
        }
        if query.contains("boards(") {
            let items: Vec<_> = self.tickets.iter().map(shape).collect();
            return ok(json!({"boards": [{"items_page": {"cursor": null, "items": items}}]}));
        }
        let id = vars["i"].as_str().unwrap().to_owned();
        let Some(ticket) = self.at(&id) else {
            return ok(json!({"items": []}));
        };
        if query.contains("create_update(") {
            ticket.notes.push(vars["t"].as_str().unwrap().to_owned());
            return ok(json!({"create_update": {"id": "u1"}}));
        }
        if query.contains("updates(") {
            let notes = ticket.notes.iter().enumerate().map(|(at, text)| json!({"id": at.to_string(), "text_body": text, "creator": {"name": "bot"}}));
            return ok(json!({"items": [{"updates": notes.rev().collect::<Vec<_>>()}]}));
        }
        if query.contains("change_multiple_column_values") {
            if let Some(label) = label(vars) {
                let known = ["New", "Working on it", "Stuck", "Resolved"];
                if !known.contains(&label.as_str()) {
                    return Tell::json(
                        200,
                        &json!({"errors": [{"message": "This status label doesn't exist"}], "data": {}}),
                    );
                }
                ticket.status = label;
            }
            ticket.version += 1;
            return ok(json!({"change_multiple_column_values": {"id": id}}));
        }
        ok(json!({"items": [shape(ticket)]}))
    }

    fn itop(&mut self, ask: &Ask) -> Tell {
        assert_eq!(
            ask.field("auth_user"),
            "user",
            "credentials stand in the form"
        );
        let body: Value = serde_json::from_str(&ask.field("json_data")).expect("JSON in a form");
        let key = body["key"].as_str().unwrap_or_default().to_owned();
        match body["operation"].as_str().unwrap() {
            "core/create" => {
                let title = body["fields"]["title"].as_str().unwrap();
                let made = self.make(title, &key_in(title), "new");
                itop_told(&[made])
            }
            "core/get" if key.contains("last_update") => itop_told(&self.tickets),
            "core/get" if key.contains("LIKE") => itop_told(&self.by_key(&key)),
            "core/get" => match self.at(&key).cloned() {
                Some(ticket) => itop_told(&[ticket]),
                None => itop_told(&[]),
            },
            "core/update" => {
                let ticket = self.at(&key).unwrap();
                if let Some(text) = body["fields"]["private_log"]["add_item"]["message"].as_str() {
                    ticket.notes.push(text.to_owned());
                }
                assert!(
                    body["fields"].get("status").is_none(),
                    "a status cannot be written"
                );
                ticket.version += 1;
                let ticket = ticket.clone();
                itop_told(&[ticket])
            }
            _ => self.itop_moved(&key, &body),
        }
    }

    fn itop_moved(&mut self, key: &str, body: &Value) -> Tell {
        let stimulus = body["stimulus"].as_str().unwrap().to_owned();
        let ticket = self.at(key).unwrap();
        let to = match (stimulus.as_str(), ticket.status.as_str()) {
            ("ev_assign", "new" | "pending") => "assigned",
            ("ev_pending", "assigned") => "pending",
            ("ev_autoresolve", "new" | "assigned" | "pending") => {
                if body["fields"]["solution"].is_null() {
                    return itop_failed(
                        "Missing mandatory attribute(s) for applying the stimulus: solution.",
                    );
                }
                "resolved"
            }
            ("ev_reopen", "resolved") => "assigned",
            (_, state) => {
                return itop_failed(&format!(
                    "Invalid stimulus: '{stimulus}' in state '{state}'"
                ));
            }
        };
        to.clone_into(&mut ticket.status);
        ticket.version += 1;
        let ticket = ticket.clone();
        itop_told(&[ticket])
    }
}

impl Platform for Simple {
    fn answer(&mut self, ask: &Ask) -> Tell {
        match self.kind {
            Kind::Jira => self.jira(ask),
            Kind::Redmine => self.redmine(ask),
            Kind::RequestTracker => self.request_tracker(ask),
            Kind::Monday => self.monday(ask),
            Kind::Itop => self.itop(ask),
            Kind::Zammad => self.zammad(ask),
            Kind::Freshservice => self.freshservice(ask),
            Kind::PagerDuty => self.pagerduty(ask),
            Kind::NinjaOne => self.ninjaone(ask),
            Kind::Glpi => self.glpi(ask),
            Kind::Maximo => self.maximo(ask),
            Kind::ServiceDesk => self.servicedesk(ask),
            Kind::Infraon => self.infraon(ask),
            Kind::Znuny => self.znuny(ask),
            Kind::Opsgenie => self.opsgenie(ask),
        }
    }
}
