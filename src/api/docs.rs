//! The page about the API: every operation with its parameters, bodies, answers and a command line to copy.
//!
//! It is made from the document alone. Must not need a script or anything from another host.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

/// The style of the page; its hash is in the content security policy.
pub(super) const STYLE: &str = include_str!("docs.css");

const SCHEMAS: &str = "/components/schemas";
const BODY: &str = "/requestBody/content/application~1json/schema";

/// Renders a document.
pub(super) fn page(document: &Value) -> Markup {
    let info = at(document, "/info");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (text(info, "title")) " API" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a .skip href="#operations" { "Skip to the operations" }
                header {
                    h1 { (text(info, "title")) " API " small { (text(info, "version")) } }
                    p { (prose(text(info, "description"))) }
                    p { "This page as a document: " a href="/api/v1/openapi.json" { "openapi.json" } }
                }
                nav aria-label="Operations" { (contents(document)) }
                main #operations {
                    @for (_, group) in by_tag(document) {
                        @for (path, method, operation) in group {
                            (section(document, path, method, operation))
                        }
                    }
                    h2 #schemas { "Schemas" }
                    @for (name, schema) in entries(at(document, SCHEMAS)) {
                        section .schema id=(format!("schema-{name}")) {
                            h3 { (name) }
                            (schema_body(schema))
                        }
                    }
                }
            }
        }
    }
}

/// Path, method and operation.
type Found<'a> = (&'a str, &'a str, &'a Value);

/// The operations by tag, in the order of the first of each.
fn by_tag(document: &Value) -> Vec<(&str, Vec<Found<'_>>)> {
    let mut groups: Vec<(&str, Vec<_>)> = Vec::new();
    for found in operations(document) {
        let name = tag(found.2);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(found),
            None => groups.push((name, vec![found])),
        }
    }
    groups
}

fn contents(document: &Value) -> Markup {
    html! {
        @for (name, group) in by_tag(document) {
            h2 { (name) }
            ul {
                @for (path, method, _) in group {
                    li { a href=(format!("#{}", anchor(path, method))) { (verb(method)) " " (path) } }
                }
            }
        }
        h2 { a href="#schemas" { "Schemas" } }
    }
}

fn section(document: &Value, path: &str, method: &str, operation: &Value) -> Markup {
    let role = at(operation, "/security/0/bearer/0").as_str();
    let body = at(operation, BODY);
    html! {
        section .operation id=(anchor(path, method)) {
            h3 { (verb(method)) " " code { (path) } }
            p { (prose(text(operation, "summary"))) " " (prose(text(operation, "description"))) }
            p .role {
                @match role {
                    Some(role) => { "Needs a token with the role " strong { (role) } " or more." }
                    None => { "Needs no token." }
                }
            }
            (parameters(operation))
            @if !body.is_null() {
                h4 { "Body" }
                (schema_body(resolve(document, body)))
            }
            h4 { "Answers" }
            dl {
                @for (status, answer) in entries(at(operation, "/responses")) {
                    dt { code { (status) } }
                    dd { (prose(text(answer, "description"))) (answer_schemas(answer)) }
                }
            }
            h4 { "Try it" }
            pre tabindex="0" { code { (example(document, path, method, operation)) } }
        }
    }
}

fn parameters(operation: &Value) -> Markup {
    let Some(parameters) = at(operation, "/parameters")
        .as_array()
        .filter(|list| !list.is_empty())
    else {
        return html! {};
    };
    html! {
        h4 { "Parameters" }
        table {
            thead { tr { th scope="col" { "Name" } th scope="col" { "In" } th scope="col" { "What" } } }
            tbody {
                @for parameter in parameters {
                    tr {
                        th scope="row" {
                            code { (text(parameter, "name")) }
                            @if at(parameter, "/required") == true { " (required)" }
                        }
                        td { (text(parameter, "in")) }
                        td { (prose(text(parameter, "description"))) }
                    }
                }
            }
        }
    }
}

fn answer_schemas(answer: &Value) -> Markup {
    html! {
        @for (kind, content) in entries(at(answer, "/content")) {
            " " span .type { (kind) } " " (type_of(at(content, "/schema")))
        }
    }
}

fn schema_body(schema: &Value) -> Markup {
    let required = at(schema, "/required").as_array();
    html! {
        @if let Some(about) = at(schema, "/description").as_str() { p { (prose(about)) } }
        @if let Some(words) = at(schema, "/enum").as_array() {
            p { @for word in words { code { (word.as_str().unwrap_or_default()) } " " } }
        }
        @if at(schema, "/properties").is_object() {
            table {
                thead { tr { th scope="col" { "Field" } th scope="col" { "Type" } th scope="col" { "What" } } }
                tbody {
                    @for (name, property) in entries(at(schema, "/properties")) {
                        tr {
                            th scope="row" {
                                code { (name) }
                                @if required.is_some_and(|list| list.iter().any(|one| one == name)) { "" }
                                @else { " (optional)" }
                            }
                            td { (type_of(property)) }
                            td { (prose(description(property))) }
                        }
                    }
                }
            }
        }
        @for part in at(schema, "/allOf").as_array().into_iter().flatten() {
            @if at(part, "/$ref").is_string() { p { "All of " (type_of(part)) ", and:" } }
            @else { (schema_body(part)) }
        }
    }
}

/// A schema's type in a few words, with a link when it has a name.
fn type_of(schema: &Value) -> Markup {
    if let Some(name) = at(schema, "/$ref")
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        return html! { a href=(format!("#schema-{name}")) { (name) } };
    }
    if let Some(choices) = at(schema, "/oneOf").as_array() {
        return html! {
            @for (index, choice) in choices.iter().enumerate() {
                @if index > 0 { " or " }
                (type_of(choice))
            }
        };
    }
    let names: Vec<&str> = match at(schema, "/type") {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        Value::String(name) => vec![name],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    html! {
        (names.join(" or "))
        @if names.contains(&"array") { " of " (type_of(at(schema, "/items"))) }
        @if let Some(format) = at(schema, "/format").as_str() { " (" (format) ")" }
    }
}

/// A command line that does this.
fn example(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let path = path.replace("{number}", "INC-42").replace(
        "{id}",
        match tag(operation) {
            "alerts" => "A-17",
            "tokens" => "tok-9f86d081884c",
            _ => "D-3",
        },
    );
    let mut line = "curl".to_owned();
    if method != "get" {
        line.push_str(&format!(" -X {}", verb(method)));
    }
    if at(operation, "/security").is_array() {
        line.push_str(" -H \"Authorization: Bearer $WATCHBELL_TOKEN\"");
    }
    let body = at(operation, BODY);
    if !body.is_null() {
        let schema = resolve(document, body);
        let required = at(schema, "/required").as_array().into_iter().flatten();
        let fields: Vec<String> = required
            .filter_map(Value::as_str)
            .map(|name| {
                let words = resolve(document, at(schema, &format!("/properties/{name}")));
                let word = at(words, "/enum/0")
                    .as_str()
                    .or(at(words, "/example").as_str());
                format!("\"{name}\": \"{}\"", word.unwrap_or("..."))
            })
            .collect();
        line.push_str(&format!(" -d '{{{}}}'", fields.join(", ")));
    }
    line.push_str(&format!(" http://127.0.0.1:8080{path}"));
    line
}

/// Every operation in the order of the document.
fn operations(document: &Value) -> impl Iterator<Item = Found<'_>> {
    entries(at(document, "/paths")).flat_map(|(path, item)| {
        entries(item).map(move |(method, operation)| (path, method, operation))
    })
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match at(schema, "/$ref")
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        Some(name) => at(at(document, SCHEMAS), &format!("/{name}")),
        None => schema,
    }
}

/// What is found under a JSON pointer; null when nothing is.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

fn tag(operation: &Value) -> &str {
    at(operation, "/tags/0").as_str().unwrap_or_default()
}

fn anchor(path: &str, method: &str) -> String {
    let words = path.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    format!("{method}{words}")
}

fn verb(method: &str) -> String {
    method.to_ascii_uppercase()
}

/// What a field says of itself; one that may be null says it in its first choice.
fn description(property: &Value) -> &str {
    let own = at(property, "/description").as_str();
    own.or(at(property, "/oneOf/0/description").as_str())
        .unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Text in which words between backquotes are code.
fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
