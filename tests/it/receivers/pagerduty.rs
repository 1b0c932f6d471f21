//! PagerDuty's Events API as its clients use it.

use serde_json::{Value, json};

use super::rig::{Daemon, Reply};

const SOURCES: &str = "[[source]]\nname = \"pd\"\nkind = \"pagerduty\"\nrouting_keys = [\"k1\", \"k2\"]\n\
    [[source]]\nname = \"other\"\nkind = \"pagerduty\"\nrouting_keys = \"k3\"\n\
    [[source]]\nname = \"og\"\nkind = \"opsgenie\"\napi_keys = [\"k4\"]\n";
const ENQUEUE: &str = "/pagerduty/v2/enqueue";

fn event(key: &str, action: &str, dedup_key: &str) -> Value {
    json!({"routing_key": key, "event_action": action, "dedup_key": dedup_key,
        "payload": {"summary": format!("{dedup_key} is broken"), "source": "db1", "severity": "critical"}})
}

fn post(daemon: &Daemon, path: &str, body: &Value) -> Reply {
    daemon.ask("POST", path, "", &body.to_string())
}

fn first(daemon: &Daemon, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let list = daemon.until(path, |list| list["items"].get(0).is_some_and(&fits));
    list["items"][0].clone()
}

#[test]
fn an_alert_lives_from_trigger_over_acknowledge_to_resolve_and_survives_a_crash() {
    let mut daemon = Daemon::start(SOURCES);
    let reply = post(&daemon, ENQUEUE, &event("k1", "trigger", "db1/disk"));
    let expected = r#"{"dedup_key":"db1/disk","message":"Event processed","status":"success"}"#;
    assert_eq!((reply.status, reply.body.as_str()), (202, expected));
    daemon.crash_and_restart();
    let acknowledge =
        json!({"routing_key": "k2", "event_action": "acknowledge", "dedup_key": "db1/disk"});
    assert_eq!(post(&daemon, ENQUEUE, &acknowledge).status, 202);
    let incident = first(&daemon, "/api/v1/incidents", |_| true);
    assert_eq!(
        incident["state"], "acknowledged",
        "at once after the answer: {incident}"
    );
    let timeline = daemon.get("/api/v1/incidents/INC-1/timeline");
    assert!(timeline.to_string().contains("pagerduty:pd"), "{timeline}");
    let resolve = json!({"routing_key": "k1", "event_action": "resolve", "dedup_key": "db1/disk"});
    assert_eq!(post(&daemon, "/v2/enqueue", &resolve).status, 202);
    let alert = first(&daemon, "/api/v1/alerts", |alert| {
        alert["status"] == "resolved"
    });
    assert_eq!(alert["key"], "pd:v1:db1/disk");
    assert_eq!(
        alert["summary"], "db1/disk is broken",
        "a resolve has no text of its own"
    );
    assert_eq!(alert["severity"], "critical");
    first(&daemon, "/api/v1/incidents", |incident| {
        incident["state"] == "resolved"
    });
}

#[test]
fn a_trigger_without_a_key_gets_one_that_resolves_it_also_after_a_crash() {
    let mut daemon = Daemon::start(SOURCES);
    let mut trigger = event("k1", "trigger", "");
    trigger.as_object_mut().unwrap().remove("dedup_key");
    let key = post(&daemon, ENQUEUE, &trigger).json()["dedup_key"].clone();
    assert_eq!(key.as_str().map(str::len), Some(32));
    daemon.crash_and_restart();
    let resolve = json!({"routing_key": "k1", "event_action": "resolve", "dedup_key": key});
    assert_eq!(post(&daemon, ENQUEUE, &resolve).status, 202);
    let alert = first(&daemon, "/api/v1/alerts", |alert| {
        alert["status"] == "resolved"
    });
    assert_eq!(alert["count"], 2);
}

#[test]
fn version_one_and_change_events_are_answered_as_the_service_does() {
    let daemon = Daemon::start(SOURCES);
    for path in [
        "/pagerduty/generic/2010-04-15/create_event.json",
        "/generic/2010-04-15/create_event.json",
    ] {
        let body = json!({"service_key": "k1", "event_type": "trigger", "incident_key": "srv/HTTP",
            "description": "down", "details": {"host": "srv"}});
        let reply = post(&daemon, path, &body);
        let expected =
            json!({"status": "success", "message": "Event processed", "incident_key": "srv/HTTP"});
        assert_eq!((reply.status, reply.json()), (200, expected));
    }
    let alert = first(&daemon, "/api/v1/alerts", |alert| alert["count"] == 2);
    assert_eq!(alert["labels"]["host"], "srv");
    let change = json!({"routing_key": "k1", "payload": {"summary": "deployed", "source": "ci"}});
    let reply = post(&daemon, "/pagerduty/v2/change/enqueue", &change);
    let expected = json!({"status": "success", "message": "Change event processed"});
    assert_eq!((reply.status, reply.json()), (202, expected));
    assert_eq!(
        daemon.get("/api/v1/alerts")["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn an_acknowledgement_of_nothing_is_accepted_and_changes_nothing() {
    let daemon = Daemon::start(SOURCES);
    let reply = post(&daemon, ENQUEUE, &event("k1", "acknowledge", "never seen"));
    assert_eq!(reply.status, 202);
    assert_eq!(daemon.get("/api/v1/alerts")["items"], json!([]));
    // The key of an alert is its source's own.
    post(&daemon, ENQUEUE, &event("k1", "trigger", "same"));
    assert_eq!(
        post(&daemon, ENQUEUE, &event("k3", "acknowledge", "same")).status,
        202
    );
    let incident = first(&daemon, "/api/v1/incidents", |_| true);
    assert_eq!(incident["state"], "new");
}

#[test]
fn refusals_have_the_form_of_the_service_and_keep_what_a_known_sender_sent() {
    let daemon = Daemon::start(SOURCES);
    for (body, error) in [
        (
            event("unknown", "trigger", "a").to_string(),
            "Invalid routing key",
        ),
        (
            event("k4", "trigger", "a").to_string(),
            "Invalid routing key",
        ),
        (
            json!({"event_action": "trigger"}).to_string(),
            "Invalid routing key",
        ),
        (
            event("k1", "page", "a").to_string(),
            "'event_action' is invalid",
        ),
        (
            event("k1", "resolve", "").to_string(),
            "'dedup_key' is missing or blank",
        ),
        ("{\"routing_key\":".to_owned(), "not valid JSON"),
    ] {
        let reply = daemon.ask("POST", ENQUEUE, "", &body);
        let answer = reply.json();
        assert_eq!(
            (reply.status, &answer["status"]),
            (400, &json!("invalid event")),
            "{reply:?}"
        );
        assert!(answer["message"].is_string(), "{answer}");
        let told = answer["errors"][0].as_str().unwrap();
        assert!(told.contains(error), "{told}");
    }
    let letters = daemon.get("/api/v1/dead-letters");
    assert_eq!(letters["items"].as_array().unwrap().len(), 2, "{letters}");
    let letter = daemon.get("/api/v1/dead-letters/1");
    assert!(
        !letter.to_string().contains("k1"),
        "no routing key is kept: {letter}"
    );
    let large = format!(
        "{{\"routing_key\":\"k1\",\"x\":\"{}\"}}",
        "x".repeat(2 << 20)
    );
    assert_eq!(daemon.ask("POST", ENQUEUE, "", &large).status, 413);
    let reply = daemon.ask(
        "POST",
        "/ingest/pd",
        "",
        &event("k1", "trigger", "a").to_string(),
    );
    assert_eq!(reply.status, 404, "not around the keys");
    assert!(reply.body.contains("/pagerduty/v2/enqueue"), "{reply:?}");
    assert_eq!(daemon.get("/api/v1/alerts")["items"], json!([]));
}
