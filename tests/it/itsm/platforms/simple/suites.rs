//! The large suites among the platforms that differ in words only: GLPI, Maximo, `ServiceDesk Plus`, Infraon.

use serde_json::{Value, json};

use super::{Simple, Ticket, key_in};
use crate::itsm::server::{Ask, Tell};

fn number(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn sdp_good(body: &Value) -> Tell {
    let mut body = body.clone();
    body["response_status"] = json!({"status_code": 2000, "status": "success"});
    Tell::json(200, &body)
}

fn sdp_bad(field: &str) -> Tell {
    Tell::json(
        400,
        &json!({"response_status": {"status_code": 4000, "status": "failed", "messages": [{"status_code": 4012, "type": "failed", "field": field, "message": "Unable to process"}]}}),
    )
}

impl Simple {
    pub(super) fn glpi(&mut self, ask: &Ask) -> Tell {
        assert!(
            ask.method != "GET" || ask.body.is_empty(),
            "a GET must have no body"
        );
        let shape = |ticket: &Ticket| json!({"id": ticket.id, "name": ticket.title, "status": ticket.status.parse::<i64>().unwrap(), "priority": 4, "is_deleted": 0, "date_mod": ticket.version.to_string()});
        let input = ask.json()["input"].clone();
        let of = number(&input["items_id"]);
        match (ask.method.as_str(), ask.path.as_str()) {
            ("GET", "/apirest.php/search/Ticket") => {
                let found = if ask.param("criteria[0][field]") == "19" {
                    assert_eq!(ask.param("criteria[0][searchtype]"), "morethan");
                    self.tickets.clone()
                } else {
                    assert_eq!(ask.param("criteria[0][searchtype]"), "contains");
                    self.by_key(ask.param("criteria[0][value]"))
                };
                let row = |ticket: &Ticket| json!({"1": ticket.title, "2": ticket.id, "12": ticket.status.parse::<i64>().unwrap(), "19": ticket.version.to_string()});
                let rows: Vec<_> = found.iter().map(row).collect();
                let mut body = json!({"totalcount": rows.len(), "count": rows.len()});
                if !rows.is_empty() {
                    body["data"] = json!(rows);
                }
                Tell::json(200, &body)
            }
            ("POST", "/apirest.php/Ticket") => {
                let title = input["name"].as_str().unwrap().to_owned();
                let made = self.make(&title, &key_in(&title), "1");
                Tell::json(201, &json!({"id": made.id, "message": ""}))
            }
            ("POST", "/apirest.php/ITILFollowup") => {
                let ticket = self.at(&of).unwrap();
                let text = input["content"].as_str().unwrap().to_owned();
                ticket.notes.push(text);
                ticket.version += 1;
                Tell::json(201, &json!({"id": 7, "message": ""}))
            }
            ("POST", "/apirest.php/ITILSolution") => {
                assert!(input["content"].as_str().unwrap().contains("It is over"));
                self.set(&of, "5");
                Tell::json(201, &json!({"id": 8, "message": ""}))
            }
            (method, path) => {
                let Some(ticket) = self.at(path) else {
                    return Tell::json(404, &json!(["ERROR_ITEM_NOT_FOUND", "Item not found"]));
                };
                if path.ends_with("/ITILFollowup") {
                    let notes = ticket.notes.iter().enumerate();
                    let notes =
                        notes.map(|(at, text)| json!({"id": at, "content": text, "users_id": 6}));
                    return Tell::json(200, &json!(notes.rev().collect::<Vec<_>>()));
                }
                if method == "GET" {
                    return Tell::json(200, &shape(ticket));
                }
                if !input["status"].is_null() {
                    ticket.status = number(&input["status"]);
                }
                ticket.version += 1;
                let id = ticket.id.to_string();
                Tell::json(200, &json!([{id: true, "message": ""}]))
            }
        }
    }

    pub(super) fn maximo(&mut self, ask: &Ask) -> Tell {
        assert_eq!(ask.param("lean"), "1", "else names need prefixes");
        let shape = |ticket: &Ticket| {
            json!({"ticketid": ticket.id.to_string(), "status": ticket.status, "internalpriority": 2, "changedate": ticket.version.to_string(), "externalrecid": ticket.key,
            "href": format!("https://inner.example/maximo/api/os/mxapiincident/_SU{}", ticket.id), "_rowstamp": ticket.version.to_string()})
        };
        let body = ask.json();
        let refused = |code: &str, text: &str| {
            Tell::json(
                400,
                &json!({"Error": {"message": format!("{code} - {text}"), "statusCode": "400", "reasonCode": code}}),
            )
        };
        if ask.path.ends_with("/mxapiincident") && ask.method == "GET" {
            let wanted = ask.param("oslc.where");
            let found = if wanted.starts_with("externalrecid=\"") {
                self.by_key(wanted)
            } else {
                assert!(wanted.starts_with("changedate>\""), "{wanted}");
                self.tickets.clone()
            };
            let member: Vec<_> = found.iter().map(shape).collect();
            return Tell::json(200, &json!({"member": member, "responseInfo": {}}));
        }
        if ask.path.ends_with("/mxapiincident") {
            let key = body["externalrecid"].as_str().unwrap().to_owned();
            let title = body["description"].as_str().unwrap();
            assert!(title.chars().count() <= 100, "{title}");
            let made = self.make(title, &key, "NEW");
            let place = format!("https://inner.example/os/mxapiincident/_SU{}", made.id);
            return Tell::empty(201).with("Location", place);
        }
        let Some(ticket) = self.at(&ask.path) else {
            return Tell::json(
                404,
                &json!({"Error": {"message": "BMXAA7901E - not there"}}),
            );
        };
        if ask.method == "GET" {
            let mut whole = shape(ticket);
            let notes = ticket.notes.iter().enumerate();
            let notes = notes.map(|(at, text)| json!({"worklogid": at + 1, "description_longdescription": text, "createby": "BOT"}));
            if ask.param("oslc.select").contains("worklog") {
                whole["worklog"] = json!(notes.collect::<Vec<_>>());
            }
            return Tell::json(200, &whole);
        }
        assert_eq!(ask.header("x-method-override"), "PATCH");
        if ticket.status == "CLOSED" {
            return refused("BMXAA1234E", "the record is history");
        }
        if let Some(status) = body["status"].as_str() {
            if ask.param("action") != "wsmethod:changeStatus" || status == "NEW" {
                return refused("BMXAA4590E", "this status cannot be set so");
            }
            status.clone_into(&mut ticket.status);
        }
        if let Some(log) = body["worklog"].as_array() {
            if ask.header("patchtype") != "MERGE" {
                ticket.notes.clear();
            }
            let texts = log
                .iter()
                .map(|entry| entry["description_longdescription"].as_str());
            ticket.notes.extend(texts.flatten().map(str::to_owned));
        }
        ticket.version += 1;
        Tell::empty(204)
    }

    pub(super) fn servicedesk(&mut self, ask: &Ask) -> Tell {
        let shape = |ticket: &Ticket| {
            json!({"id": ticket.id.to_string(), "display_id": ticket.id.to_string(), "subject": ticket.title, "status": {"name": ticket.status}, "priority": {"name": "High"},
            "udf_fields": {"udf_sline_301": ticket.key}, "last_updated_time": {"value": ticket.version.to_string(), "display_value": "x"}})
        };
        let sent = if ask.method == "GET" {
            ask.param("input_data").to_owned()
        } else {
            ask.field("input_data")
        };
        let body: Value = serde_json::from_str(&sent).unwrap_or_default();
        if ask.method != "GET" && body.is_null() {
            return sdp_bad("input_data");
        }
        if ask.path == "/api/v3/requests" && ask.method == "GET" {
            let wanted = &body["list_info"]["search_criteria"][0];
            let found = if wanted["field"] == "udf_fields.udf_sline_301" {
                self.by_key(wanted["value"].as_str().unwrap())
            } else {
                assert!(wanted["value"].is_string(), "times are text: {wanted}");
                self.tickets.clone()
            };
            let rows: Vec<_> = found.iter().map(shape).collect();
            return sdp_good(&json!({"requests": rows, "list_info": {"has_more_rows": false}}));
        }
        if ask.path == "/api/v3/requests" {
            let request = &body["request"];
            let key = request["udf_fields"]["udf_sline_301"].as_str().unwrap();
            let made = self.make(request["subject"].as_str().unwrap(), key, "Open");
            return sdp_good(&json!({"request": shape(&made)}));
        }
        let Some(ticket) = self.at(&ask.path) else {
            return Tell::json(404, &json!({"response_status": {"status": "failed"}}));
        };
        if ask.path.ends_with("/resolutions") {
            ticket.title.push_str(" (resolution)");
            return sdp_good(&json!({"resolution": {"content": body["resolution"]["content"]}}));
        }
        if ask.path.ends_with("/notes") && ask.method == "GET" {
            let notes = ticket.notes.iter().enumerate();
            let notes = notes.map(|(at, text)| json!({"id": at.to_string(), "description": text}));
            return sdp_good(&json!({"notes": notes.collect::<Vec<_>>()}));
        }
        if ask.path.ends_with("/notes") {
            let text = body["note"]["description"].as_str().unwrap().to_owned();
            ticket.notes.push(text);
            ticket.version += 1;
            return sdp_good(&json!({"note": {"id": "1"}}));
        }
        if ask.method == "PUT" {
            let status = body["request"]["status"]["name"].as_str();
            if status == Some("Resolved") && !ticket.title.ends_with("(resolution)") {
                return sdp_bad("resolution");
            }
            if let Some(status) = status {
                status.clone_into(&mut ticket.status);
            }
            ticket.version += 1;
        }
        sdp_good(&json!({"request": shape(ticket)}))
    }

    pub(super) fn infraon(&mut self, ask: &Ask) -> Tell {
        let whole = |ticket: &Ticket| {
            json!({"basic_info": {"summary": ticket.title, "status": {"name": ticket.status}, "priority": {"id": 2}, "last_update_time": ticket.version},
            "current_assignment_info": {"group_name": "NOC"}})
        };
        let body = ask.json();
        let wrong = |why: &str| Tell::json(200, &json!({"status": "error", "msg": why}));
        match (ask.method.as_str(), ask.path.as_str()) {
            ("GET", "/ux/sd/inci/incident/") => {
                let row = |ticket: &Ticket| json!({"incident_id": ticket.id, "display_id": format!("INC-{}", ticket.id), "summary": ticket.title, "status": {"name": ticket.status}, "last_update_time": ticket.version});
                let rows: Vec<_> = self.tickets.iter().rev().map(row).collect();
                Tell::json(200, &json!({"results": rows, "total_pages": 1}))
            }
            ("POST", "/ux/sd/inci/incident/save-rich-text/") => {
                let Some(ticket) = self.at(&number(&body["ref_id"])) else {
                    return wrong("no such record");
                };
                let text = &body["rich_text_content"]["description"];
                ticket.notes.push(text.as_str().unwrap().to_owned());
                ticket.version += 1;
                Tell::json(200, &json!({"status": "success"}))
            }
            ("POST", "/ux/sd/inci/incident/") => {
                let title = body["summary"].as_str().unwrap().to_owned();
                let made = self.make(&title, &key_in(&title), "Open");
                let id = made.id;
                Tell::json(
                    201,
                    &json!({"incident_id": id, "display_id": format!("INC-{id}"), "summary": title, "status": {"name": "Open"}}),
                )
            }
            (method, path) => {
                let Some(ticket) = self.at(path) else {
                    return Tell::json(404, &json!({"detail": "Not found."}));
                };
                if method == "PUT" {
                    let info = &body["basic_info"];
                    if info["summary"].is_null() || body["current_assignment_info"].is_null() {
                        return wrong("the whole record is wanted");
                    }
                    number(&info["status"]["name"]).clone_into(&mut ticket.status);
                    ticket.version += 1;
                    return Tell::json(200, &json!({"status": "success"}));
                }
                Tell::json(
                    200,
                    &json!({"incident": whole(ticket), "options": {"status": [{"id": 1, "name": "Open"}]}}),
                )
            }
        }
    }
}
