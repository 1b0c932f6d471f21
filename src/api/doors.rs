//! What the document says of the doors that other layers serve: where senders post, pings and hooks.
//!
//! Must not serve a route; what they take is described in `docs/`, sender by sender.

use serde_json::Value;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{ContentBuilder, OpenApi, PathItem, Required, ResponseBuilder};

use super::openapi::problem;

/// The tag of these operations.
pub(super) const TAG: &str = "doors";

/// One way in.
struct Door {
    path: &'static str,
    /// Whether a GET is taken too.
    is_got: bool,
    /// Whether refusals are problems; else they have the form of the product that is spoken here.
    is_ours: bool,
    id: &'static str,
    summary: &'static str,
    /// What the part of the path in braces is.
    parameter: Option<(&'static str, &'static str)>,
    status: &'static str,
    answer: &'static str,
}

const DOORS: [Door; 7] = [
    Door {
        path: "/ingest/{source}",
        is_got: true,
        is_ours: true,
        id: "ingest",
        summary: "A message of a source, in the form of its kind",
        parameter: Some(("source", "The name of a [[source]]")),
        status: "202",
        answer: "The message is on disk",
    },
    Door {
        path: "/heartbeat/{name}",
        is_got: true,
        is_ours: true,
        id: "ping",
        summary: "A sign of life of a [[heartbeat]]",
        parameter: Some(("name", "The name of the heartbeat")),
        status: "200",
        answer: "The sign of life is on disk",
    },
    Door {
        path: "/hooks/{connector}",
        is_got: false,
        is_ours: true,
        id: "hook",
        summary: "A ticket platform says that a ticket has changed; it is a hint, the ticket itself is read",
        parameter: Some(("connector", "The name of a [[connector]]")),
        status: "202",
        answer: "The ticket will be read",
    },
    Door {
        path: "/pagerduty/v2/enqueue",
        is_got: false,
        is_ours: false,
        id: "pagerduty_event",
        summary: "An event in the form of PagerDuty's Events API v2",
        parameter: None,
        status: "202",
        answer: "The event is on disk",
    },
    Door {
        path: "/pagerduty/v2/change/enqueue",
        is_got: false,
        is_ours: false,
        id: "pagerduty_change",
        summary: "A change event in the form of PagerDuty's Events API v2",
        parameter: None,
        status: "202",
        answer: "The event is on disk",
    },
    Door {
        path: "/pagerduty/generic/2010-04-15/create_event.json",
        is_got: false,
        is_ours: false,
        id: "pagerduty_event_v1",
        summary: "An event in the form of PagerDuty's Events API v1",
        parameter: None,
        status: "200",
        answer: "The event is on disk",
    },
    Door {
        path: "/opsgenie/v2/alerts",
        is_got: true,
        is_ours: false,
        id: "opsgenie_alert",
        summary: "An alert in the form of Opsgenie's alert API; the rest of that API lies beneath this path",
        parameter: None,
        status: "202",
        answer: "The request is on disk, and will be processed",
    },
];

const REFUSALS: [(&str, &str); 4] = [
    ("400", "It cannot be understood; `detail` says where"),
    (
        "401",
        "The sender has not shown what the configuration asks of it",
    ),
    ("413", "The body is too large"),
    (
        "503",
        "Nothing was stored; send it again after `Retry-After` seconds",
    ),
];

/// Adds the doors to the document.
pub(super) fn describe(document: &mut OpenApi) {
    let mut paths = PathsBuilder::new();
    for door in &DOORS {
        let mut item = PathItem::new(HttpMethod::Post, operation(door, false));
        if door.is_got {
            item.get = Some(operation(door, true).build());
        }
        paths = paths.path(door.path, item);
    }
    document.paths.merge(paths.build());
}

fn operation(door: &Door, is_get: bool) -> OperationBuilder {
    let verb = if is_get { "_by_get" } else { "" };
    let answer = ResponseBuilder::new().description(door.answer).build();
    let mut operation = OperationBuilder::new()
        .tag(TAG)
        .operation_id(Some(format!("{}{verb}", door.id)))
        .summary(Some(door.summary))
        .response(door.status, answer);
    for (status, why) in REFUSALS.into_iter().filter(|_| door.is_ours) {
        operation = operation.response(status, problem(why));
    }
    if let Some((name, text)) = door.parameter {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(text))
            .schema(Some(String::schema()));
        operation = operation.parameter(parameter);
    }
    if is_get {
        return operation;
    }
    let content = ContentBuilder::new().schema(Some(Value::schema())).build();
    operation.request_body(Some(
        RequestBodyBuilder::new()
            .description(Some("In the form of its sender"))
            .content("application/json", content)
            .build(),
    ))
}
