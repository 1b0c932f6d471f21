//! Znuny, which finds ids only, and Opsgenie, which promises only, among the platforms that differ in words.

use serde_json::{Value, json};

use super::{Simple, Ticket};
use crate::itsm::server::{Ask, Tell};

/// A refusal, with 200 as ever.
fn znuny_error(code: &str) -> Tell {
    Tell::json(
        200,
        &json!({"Error": {"ErrorCode": code, "ErrorMessage": code}}),
    )
}

impl Simple {
    pub(super) fn znuny(&mut self, ask: &Ask) -> Tell {
        let body = ask.json();
        let user = body["UserLogin"].as_str().map(str::to_owned);
        let user = user.unwrap_or_else(|| ask.param("UserLogin").to_owned());
        if user != "user" {
            return znuny_error("Ticket.AuthFail");
        }
        let place = ask.path.rsplit("GenericTicketConnectorREST").next();
        let place = place.unwrap_or_default();
        if place == "/TicketSearch" {
            let wanted = &body["DynamicField_WatchbellKey"];
            let found = match wanted["Equals"].as_str() {
                Some(key) => self.by_key(key),
                None => self.tickets.clone(),
            };
            let ids: Vec<_> = found.iter().map(|ticket| ticket.id.to_string()).collect();
            return if ids.is_empty() {
                Tell::json(200, &json!({}))
            } else {
                Tell::json(200, &json!({"TicketID": ids}))
            };
        }
        if place == "/Ticket" {
            return self.znuny_made(&body);
        }
        let Some(ticket) = self.at(place) else {
            return znuny_error("TicketGet.AccessDenied");
        };
        if ask.method == "GET" {
            let mut whole = json!({"TicketID": ticket.id.to_string(), "TicketNumber": format!("2026{}", ticket.id), "Title": ticket.title,
                "State": ticket.status, "Priority": "4 high", "Owner": "root@localhost", "Lock": "unlock", "Changed": ticket.version.to_string()});
            if ask.param("DynamicFields") == "1" {
                whole["DynamicField"] = json!([{"Name": "WatchbellKey", "Value": ticket.key}]);
            }
            if ask.param("AllArticles") == "1" {
                let notes = ticket.notes.iter().enumerate();
                let notes =
                    notes.map(|(at, text)| json!({"ArticleID": at, "Body": text, "From": "bot"}));
                whole["Article"] = json!(notes.collect::<Vec<_>>());
            }
            return Tell::json(200, &json!({"Ticket": [whole]}));
        }
        if let Some(state) = body["Ticket"]["State"].as_str() {
            if state.starts_with("pending") && body["Ticket"]["PendingTime"].is_null() {
                return znuny_error("TicketUpdate.MissingParameter");
            }
            state.clone_into(&mut ticket.status);
        }
        if let Some(text) = body["Article"]["Body"].as_str() {
            ticket.notes.push(text.to_owned());
        }
        ticket.version += 1;
        Tell::json(
            200,
            &json!({"TicketID": ticket.id.to_string(), "TicketNumber": "1"}),
        )
    }

    fn znuny_made(&mut self, body: &Value) -> Tell {
        let (ticket, article) = (&body["Ticket"], &body["Article"]);
        let needed = [
            &ticket["Queue"],
            &ticket["State"],
            &ticket["Priority"],
            &ticket["CustomerUser"],
            &article["Subject"],
            &article["Body"],
            &article["ContentType"],
        ];
        if needed.iter().any(|field| field.is_null()) {
            return znuny_error("TicketCreate.MissingParameter");
        }
        let field = &body["DynamicField"][0];
        assert_eq!(field["Name"], "WatchbellKey");
        let key = field["Value"].as_str().unwrap();
        let made = self.make(ticket["Title"].as_str().unwrap(), key, "new");
        let id = made.id.to_string();
        Tell::json(
            200,
            &json!({"TicketID": id, "TicketNumber": format!("2026{id}"), "ArticleID": "1"}),
        )
    }

    pub(super) fn opsgenie(&mut self, ask: &Ask) -> Tell {
        let shape = |ticket: &Ticket| {
            json!({"id": format!("uuid-{}", ticket.id), "tinyId": ticket.id.to_string(), "alias": ticket.key, "message": ticket.title,
            "status": if ticket.status == "closed" { "closed" } else { "open" }, "acknowledged": ticket.status == "acked", "snoozed": false, "priority": "P2", "owner": "", "updatedAt": ticket.version.to_string()})
        };
        let promise = || {
            Tell::json(
                202,
                &json!({"result": "Request will be processed", "took": 0.1, "requestId": "r"}),
            )
        };
        let body = ask.json();
        if ask.path == "/v2/alerts" && ask.method == "POST" {
            let message = body["message"].as_str().unwrap();
            assert!(message.chars().count() <= 130, "{message}");
            let alias = body["alias"].as_str().unwrap().to_owned();
            let mut open = self.tickets.iter_mut();
            match open.find(|ticket| ticket.key == alias && ticket.status != "closed") {
                Some(ticket) => ticket.version += 1,
                None => drop(self.make(message, &alias, "open")),
            }
            return promise();
        }
        if ask.path == "/v2/alerts" {
            let query = ask.param("query");
            let found = if query.starts_with("alias: ") {
                self.by_key(query)
            } else {
                self.tickets.clone()
            };
            let rows: Vec<_> = found.iter().map(shape).collect();
            return Tell::json(200, &json!({"data": rows, "paging": {}}));
        }
        assert_eq!(ask.param("identifierType"), "alias", "else ids are wanted");
        let mut parts = ask.path.trim_start_matches("/v2/alerts/").split('/');
        let alias = parts.next().unwrap_or_default();
        let what = parts.next().unwrap_or_default();
        let mut tickets = self.tickets.iter_mut().rev();
        let Some(ticket) = tickets.find(|ticket| ticket.key == alias) else {
            return Tell::json(404, &json!({"message": "Alert with alias does not exist"}));
        };
        if ask.method == "GET" && what == "notes" {
            let notes = ticket.notes.iter().enumerate();
            let notes = notes
                .map(|(at, text)| json!({"offset": at.to_string(), "note": text, "owner": "bot"}));
            return Tell::json(200, &json!({"data": notes.rev().collect::<Vec<_>>()}));
        }
        if ask.method == "GET" {
            return Tell::json(200, &json!({"data": shape(ticket)}));
        }
        if let Some(text) = body["note"].as_str() {
            ticket.notes.push(text.to_owned());
        }
        match what {
            "acknowledge" => "acked".clone_into(&mut ticket.status),
            "close" => "closed".clone_into(&mut ticket.status),
            _ => {}
        }
        ticket.version += 1;
        promise()
    }
}
