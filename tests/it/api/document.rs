//! The document, the page made of it, and what is said about paths that it does not have.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use serde_json::Value;
use watchbell::core::severity::Severity;

use super::{World, request};
use crate::support::tree::files;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[tokio::test]
async fn document_and_router_have_the_same_routes() {
    let world = World::open().await;
    let document = world.get("/api/v1/openapi.json").await.ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    let mut ids = BTreeSet::new();
    for (path, item) in paths {
        // Other layers serve these; `doors_are_where_the_document_says` knocks there.
        if item["post"]["tags"][0] == "doors" {
            continue;
        }
        let real = path.replace("{number}", "1").replace("{id}", "1");
        let documented: BTreeSet<&str> = item
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        for method in METHODS {
            let verb: Method = method.to_ascii_uppercase().parse().unwrap();
            let answer = world.send(request(verb, &real, "", &[])).await;
            if documented.contains(method) {
                assert_ne!(
                    answer.status,
                    StatusCode::METHOD_NOT_ALLOWED,
                    "{method} {path}"
                );
                assert!(
                    !answer.text.contains("nothing is found under this path"),
                    "{method} {path}"
                );
                let operation = &item[method];
                check_parameters(path, operation);
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id.to_owned()), "{id} is there twice");
                assert!(
                    operation["summary"]
                        .as_str()
                        .is_some_and(|text| !text.is_empty()),
                    "{method} {path}"
                );
            } else {
                answer.problem(405, "method-not-allowed");
                let allow: BTreeSet<String> = answer
                    .header("allow")
                    .split(',')
                    .map(str::to_ascii_lowercase)
                    .collect();
                let mut expected: BTreeSet<String> =
                    documented.iter().map(|&text| text.to_owned()).collect();
                if expected.contains("get") {
                    expected.insert("head".to_owned());
                }
                assert_eq!(allow, expected, "{path}");
            }
        }
        if documented.contains("get") {
            let get = world.get(&real).await;
            let head = world.send(request(Method::HEAD, &real, "", &[])).await;
            assert_eq!(
                (head.status, head.text.as_str()),
                (get.status, ""),
                "HEAD {path}"
            );
        }
    }
}

/// Every parameter once, and those of the path all there.
fn check_parameters(path: &str, operation: &Value) {
    let mut seen = BTreeSet::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let place = parameter["in"].as_str().unwrap();
        assert!(
            seen.insert(format!("{place} {name}")),
            "{name} is there twice: {path}"
        );
        assert!(
            parameter["description"].is_string(),
            "{name} says nothing: {path}"
        );
    }
    if path.contains("/incidents/") && !operation["requestBody"].is_null() {
        let with_fields = [
            "hold", "notes", "merge", "split", "unlink", "pin", "root", "changes",
        ];
        let needs_fields = with_fields.iter().any(|word| path.ends_with(word));
        assert_eq!(operation["requestBody"]["required"], needs_fields, "{path}");
    }
    for name in ["number", "id"] {
        let is_in_path = path.contains(&format!("{{{name}}}"));
        assert_eq!(
            seen.contains(&format!("path {name}")),
            is_in_path,
            "{name}: {path}"
        );
    }
}

/// Routes are named in one file only, so none can be served past the document.
#[test]
fn routes_are_named_in_one_place() {
    for file in files("src/api", ".rs") {
        let calls = file.text.matches(".route(").count() + file.text.matches(".nest(").count();
        // Alertmanager's own API is described by Alertmanager, not by our document.
        let is_other = file.path == "src/api/alertmanager/mod.rs";
        assert!(is_other == (calls > 0), "{}: {calls}", file.path);
    }
}

#[tokio::test]
async fn answers_have_exactly_the_documented_fields() {
    let world = World::open().await;
    world.fire("PortDown", Severity::Critical).await;
    let silence = r#"{"matchers":["a=b"],"duration_s":60,"comment":"x"}"#;
    assert_eq!(world.post("/api/v1/silences", silence).await.status, 201);
    let document = world.get("/api/v1/openapi.json").await.ok();
    for (path, template) in [
        ("/api/v1/incidents/1", "/api/v1/incidents/{number}"),
        ("/api/v1/incidents", "/api/v1/incidents"),
        (
            "/api/v1/incidents/1/timeline",
            "/api/v1/incidents/{number}/timeline",
        ),
        (
            "/api/v1/incidents/1/alerts",
            "/api/v1/incidents/{number}/alerts",
        ),
        (
            "/api/v1/incidents/1/explain",
            "/api/v1/incidents/{number}/explain",
        ),
        ("/api/v1/alerts", "/api/v1/alerts"),
        ("/api/v1/alerts/1", "/api/v1/alerts/{id}"),
        ("/api/v1/alerts/1/explain", "/api/v1/alerts/{id}/explain"),
        ("/api/v1/sources", "/api/v1/sources"),
        ("/api/v1/silences", "/api/v1/silences"),
    ] {
        let answer = world.get(path).await.ok();
        let schema =
            &document["paths"][template]["get"]["responses"]["200"]["content"]["application/json"];
        compare(&document, &schema["schema"], &answer, path);
    }
}

/// Walks answer and schema side by side: same fields, allowed types, allowed words.
fn compare(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let named = &document["components"]["schemas"][name];
        assert!(!named.is_null(), "{at}: there is no schema {name}");
        return compare(document, named, value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let chosen = choices
            .iter()
            .find(|one| (one["type"] == "null") == value.is_null());
        return compare(document, chosen.unwrap(), value, at);
    }
    let types: Vec<&str> = match schema["type"].as_str() {
        Some(one) => vec![one],
        None => {
            let many = schema["type"].as_array().into_iter().flatten();
            many.map(|one| one.as_str().unwrap()).collect()
        }
    };
    let fits = match value {
        Value::Null => types.contains(&"null"),
        Value::Bool(_) => types.contains(&"boolean"),
        Value::Number(number) if number.is_i64() => {
            types.contains(&"integer") || types.contains(&"number")
        }
        Value::Number(_) => types.contains(&"number"),
        Value::String(_) => types.contains(&"string"),
        Value::Array(_) => types.contains(&"array"),
        Value::Object(_) => types.contains(&"object"),
    };
    assert!(fits, "{at}: {value} is not {types:?}");
    if let (Some(words), Value::String(_)) = (schema["enum"].as_array(), value) {
        assert!(words.contains(value), "{at}: {value} is none of {words:?}");
    }
    for item in value.as_array().into_iter().flatten() {
        compare(document, &schema["items"], item, &format!("{at}[]"));
    }
    let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    else {
        return;
    };
    let got: BTreeSet<&String> = fields.keys().collect();
    let documented: BTreeSet<&String> = properties.keys().collect();
    assert_eq!(got, documented, "{at}");
    let required: BTreeSet<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(
        required.len(),
        documented.len(),
        "{at}: every field is always there"
    );
    for (name, value) in fields {
        compare(document, &properties[name], value, &format!("{at}.{name}"));
    }
}

#[tokio::test]
async fn page_shows_every_operation_and_schema_without_a_script() {
    let world = World::open().await;
    let document = world.get("/api/v1/openapi.json").await.ok();
    let page = world.get("/api/docs").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("style-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    for forbidden in ["<script", " style=", "onclick", "src=\"http", "@import"] {
        assert!(!page.text.contains(forbidden), "{forbidden}");
    }
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(
            page.text.contains(&format!("<code>{path}</code>")),
            "{path}"
        );
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(
            page.text.contains(&format!("id=\"schema-{name}\"")),
            "{name}"
        );
    }
    for part in page.text.split("href=\"#").skip(1) {
        let id = part.split('"').next().unwrap();
        assert!(
            page.text.contains(&format!("id=\"{id}\"")),
            "a link leads to {id}, which is not there"
        );
    }
}

#[tokio::test]
async fn pages_for_people_are_whole_and_ask_no_other_host() {
    let world = World::guarded().await;
    let document = world.get("/").await.text;
    let is_there = |asset: &str| {
        watchbell::web::ASSETS
            .iter()
            .any(|(path, ..)| *path == asset)
    };
    for (path, kind, content) in watchbell::web::ASSETS {
        let answer = world.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, kind)
        );
        assert!(
            answer
                .header("content-security-policy")
                .contains("script-src 'self'")
        );
        assert_eq!(answer.text, content);
        let links = content.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !links.contains("http://") && !links.contains("https://"),
            "{path} asks another host"
        );
        for asset in content.split("\"/assets/").skip(1) {
            let asset = format!("/assets/{}", asset.split('"').next().unwrap());
            assert!(is_there(&asset), "{asset}");
        }
        for module in content.split("from './").skip(1) {
            let asset = format!("/assets/{}", module.split('\'').next().unwrap());
            assert!(is_there(&asset), "{path} imports {asset}");
        }
        // Texts of alerts must never become markup.
        assert!(!content.contains("innerHTML") && !content.contains("outerHTML"));
        for id in content.split("$('").skip(1) {
            let id = id.split('\'').next().unwrap();
            assert!(document.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let world = World::open().await;
    world.fire("PortDown", Severity::Critical).await;
    for path in [
        "/nothing",
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v1/incidents/",
        "/api/v1/incidents/1/x",
    ] {
        world.get(path).await.problem(404, "not-found");
    }
    world
        .get("/api/v1/incidents/%FF")
        .await
        .problem(400, "bad-request");
}

#[tokio::test]
async fn every_answer_has_the_safe_headers() {
    let world = World::open().await;
    for path in [
        "/api/v1/alerts",
        "/healthz",
        "/nothing",
        "/api/docs",
        "/api/v1/alerts?limit=0",
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'"),
            "{path}"
        );
    }
    let packed = [("accept-encoding", "gzip")];
    let answer = world
        .send(request(Method::GET, "/api/v1/openapi.json", "", &packed))
        .await;
    assert_eq!(answer.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn a_panic_is_a_problem() {
    let world = World::open().await;
    let mut setup = world.setup.clone();
    setup.metrics = std::sync::Arc::new(|| panic!("on purpose"));
    setup.submit = std::sync::Arc::new(|_| panic!("on purpose"));
    let router = watchbell::api::router(watchbell::api::ApiState::new(setup));
    let answer = super::send(&router, request(Method::GET, "/metrics", "", &[])).await;
    answer.problem(500, "internal");
    let answer = super::send(
        &router,
        request(Method::POST, "/api/v1/incidents/1/start", "", &[]),
    )
    .await;
    answer.problem(500, "internal");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_reason_to_try_again() {
    let world = World::open().await;
    world.db.close().await;
    for path in ["/api/v1/incidents", "/api/v1/alerts/1", "/api/v1/tokens"] {
        let answer = world.get(path).await;
        answer.problem(503, "store-unavailable");
        assert!(!answer.header("retry-after").is_empty());
    }
}
