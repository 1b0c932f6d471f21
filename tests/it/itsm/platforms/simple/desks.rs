//! The desks among the platforms that differ in words only: Zammad, Freshservice, PagerDuty, `NinjaOne`.

use serde_json::json;

use super::{Simple, Ticket};
use crate::itsm::server::{Ask, Tell};

impl Simple {
    pub(super) fn zammad(&mut self, ask: &Ask) -> Tell {
        let shape = |ticket: &Ticket| json!({"id": ticket.id, "number": format!("3{}", ticket.id), "title": ticket.title, "state": ticket.status, "priority": "3 high", "owner": "-", "incident_key": ticket.key, "updated_at": ticket.version.to_string()});
        let body = ask.json();
        if ask.path.ends_with("/search") {
            let wanted = body["condition"]["ticket.incident_key"]["value"][0].as_str();
            let found = wanted.map_or_else(|| self.tickets.clone(), |key| self.by_key(key));
            return Tell::json(200, &json!(found.iter().map(shape).collect::<Vec<_>>()));
        }
        if ask.path.contains("by_ticket") {
            let ticket = self.at(&ask.path).unwrap();
            let notes =
                ticket.notes.iter().enumerate().map(
                    |(at, text)| json!({"id": at, "body": text, "type": "note", "from": "bot"}),
                );
            return Tell::json(200, &json!(notes.collect::<Vec<_>>()));
        }
        if ask.method == "POST" {
            assert_eq!(body["article"]["type"], "note", "anything else is mailed");
            let made = self.make(
                body["title"].as_str().unwrap(),
                body["incident_key"].as_str().unwrap(),
                "new",
            );
            return Tell::json(201, &shape(&made));
        }
        let Some(ticket) = self.at(&ask.path) else {
            return Tell::json(404, &json!({"error": "Couldn't find Ticket"}));
        };
        if ask.method == "PUT" {
            if let Some(text) = body["article"]["body"].as_str() {
                ticket.notes.push(text.to_owned());
            }
            if let Some(state) = body["state"].as_str() {
                if state.starts_with("pending") && body["pending_time"].is_null() {
                    return Tell::json(
                        422,
                        &json!({"error": "Missing required value for field 'pending_time'!"}),
                    );
                }
                state.clone_into(&mut ticket.status);
            }
            ticket.version += 1;
        }
        Tell::json(200, &shape(ticket))
    }

    pub(super) fn freshservice(&mut self, ask: &Ask) -> Tell {
        let shape = |ticket: &Ticket| json!({"id": ticket.id, "subject": ticket.title, "status": ticket.status.parse::<i64>().unwrap(), "priority": 3, "tags": ["watchbell", ticket.key], "responder_id": null, "updated_at": ticket.version.to_string()});
        let body = ask.json();
        if ask.path.ends_with("/filter") {
            let query = ask.param("query");
            assert!(
                query.starts_with('"') && query.ends_with('"') && query.contains("tag:'"),
                "{query}"
            );
            let found: Vec<_> = self.by_key(query).iter().map(shape).collect();
            return Tell::json(200, &json!({"tickets": found, "total": found.len()}));
        }
        if ask.path.ends_with("/conversations") || ask.path.ends_with("/notes") {
            let told = self.comments(ask, "conversations", "body", &body["body"], 201);
            return if ask.method == "GET" {
                told
            } else {
                Tell::json(201, &json!({"conversation": {"id": 1}}))
            };
        }
        if ask.path == "/api/v2/tickets" && ask.method == "GET" {
            assert!(
                !ask.param("updated_since").is_empty(),
                "else only tickets of the last 30 days"
            );
            let found: Vec<_> = self.tickets.iter().map(shape).collect();
            return Tell::json(200, &json!({"tickets": found}));
        }
        if ask.method == "POST" {
            assert!(
                body["priority"].is_i64() && body["status"].is_i64(),
                "{body}"
            );
            let made = self.make(
                body["subject"].as_str().unwrap(),
                body["tags"][1].as_str().unwrap(),
                "2",
            );
            return Tell::json(201, &json!({"ticket": shape(&made)}));
        }
        let Some(ticket) = self.at(&ask.path) else {
            return Tell::empty(404);
        };
        if ask.method == "PUT" {
            assert!(body.get("tags").is_none(), "tags would be replaced");
            if let Some(status) = body["status"].as_i64() {
                ticket.status = status.to_string();
            }
            ticket.version += 1;
        }
        Tell::json(200, &json!({"ticket": shape(ticket)}))
    }

    pub(super) fn pagerduty(&mut self, ask: &Ask) -> Tell {
        assert_eq!(ask.header("from"), "a@example.com");
        let shape = |ticket: &Ticket| json!({"id": ticket.id.to_string(), "incident_number": ticket.id, "incident_key": ticket.key, "status": ticket.status, "html_url": "https://x", "assignments": [], "updated_at": ticket.version.to_string()});
        let body = ask.json();
        match (ask.method.as_str(), ask.path.as_str()) {
            ("GET", "/log_entries") => {
                let entries: Vec<_> = self
                    .tickets
                    .iter()
                    .map(|ticket| json!({"incident": shape(ticket)}))
                    .collect();
                Tell::json(200, &json!({"log_entries": entries, "more": false}))
            }
            ("GET", "/incidents") => {
                assert_eq!(ask.param("date_range"), "all", "else one month");
                let found: Vec<_> = self
                    .by_key(ask.param("incident_key"))
                    .iter()
                    .map(shape)
                    .collect();
                Tell::json(200, &json!({"incidents": found}))
            }
            ("POST", "/incidents") => {
                let key = body["incident"]["incident_key"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                if self
                    .tickets
                    .iter()
                    .any(|ticket| ticket.key == key && ticket.status != "resolved")
                {
                    return Tell::json(
                        400,
                        &json!({"error": {"message": "Open incident with matching dedup key already exists", "code": 2001}}),
                    );
                }
                let made = self.make(
                    body["incident"]["title"].as_str().unwrap(),
                    &key,
                    "triggered",
                );
                Tell::json(201, &json!({"incident": shape(&made)}))
            }
            (method, path) if path.ends_with("/notes") => {
                let told = self.comments(ask, "notes", "content", &body["note"]["content"], 200);
                if method == "GET" {
                    told
                } else {
                    Tell::json(200, &json!({"note": {"id": "n1"}}))
                }
            }
            (method, path) => {
                let Some(ticket) = self.at(path) else {
                    return Tell::json(
                        404,
                        &json!({"error": {"message": "Not Found", "code": 2100}}),
                    );
                };
                if method == "PUT"
                    && let Some(status) = body["incident"]["status"].as_str()
                {
                    status.clone_into(&mut ticket.status);
                    ticket.version += 1;
                }
                Tell::json(200, &json!({"incident": shape(ticket)}))
            }
        }
    }

    pub(super) fn ninjaone(&mut self, ask: &Ask) -> Tell {
        let shape = |ticket: &Ticket| json!({"id": ticket.id, "version": ticket.version, "clientId": 1, "ticketFormId": 1, "requesterUid": "r", "subject": ticket.title, "status": {"statusId": ticket.status.parse::<i64>().unwrap()}, "priority": "HIGH", "severity": "MAJOR", "tags": ["watchbell", ticket.key], "lastUpdated": ticket.version});
        let body = ask.json();
        if ask.path.ends_with("/run") {
            let search = body["searchCriteria"].as_str().unwrap();
            let found: Vec<_> = if search == "wbl-" {
                self.tickets.clone()
            } else {
                self.by_key(search)
            }
            .iter()
            .map(shape)
            .collect();
            return Tell::json(200, &json!({"data": found, "metadata": {}}));
        }
        if ask.path.ends_with("/comment") {
            assert!(ask.header("content-type").starts_with("multipart comment"));
            let told = self.comments(ask, "x", "body", &body["body"], 200);
            return Tell::json(told.status, &json!({}));
        }
        if ask.path.ends_with("/log-entry") {
            let ticket = self.at(&ask.path).unwrap();
            let notes = ticket
                .notes
                .iter()
                .enumerate()
                .map(|(at, text)| json!({"id": at, "body": text}));
            return Tell::json(200, &json!(notes.rev().collect::<Vec<_>>()));
        }
        if ask.method == "POST" {
            let made = self.make(
                body["subject"].as_str().unwrap(),
                body["tags"][1].as_str().unwrap(),
                "1000",
            );
            return Tell::json(200, &shape(&made));
        }
        let Some(ticket) = self.at(&ask.path) else {
            return Tell::json(404, &json!({"resultCode": "NOT_FOUND"}));
        };
        if ask.method == "PUT" {
            for needed in [
                "version",
                "clientId",
                "ticketFormId",
                "requesterUid",
                "subject",
                "status",
            ] {
                assert!(!body[needed].is_null(), "{needed} is needed: {body}");
            }
            if body["version"] != ticket.version {
                return Tell::json(409, &json!({"resultCode": "STALE"}));
            }
            ticket.version += 1;
            let status = &body["status"];
            ticket.status = status
                .as_str()
                .map_or_else(|| status.to_string(), str::to_owned);
            return Tell::empty(204);
        }
        Tell::json(200, &shape(ticket))
    }
}
