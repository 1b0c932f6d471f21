//! Opsgenie's alert API as its clients use it.

use serde_json::{Value, json};

use super::rig::{Daemon, Reply};

const SOURCES: &str = "[[source]]\nname = \"og\"\nkind = \"opsgenie\"\napi_keys = [\"genie-key\"]\n\
    [[source]]\nname = \"og2\"\nkind = \"opsgenie\"\napi_keys = [\"other-key\"]\n";
const KEY: &str = "authorization: GenieKey genie-key\r\n";
const ALERTS: &str = "/opsgenie/v2/alerts";

/// A write that must be accepted; the id of its request.
fn write(daemon: &Daemon, method: &str, path: &str, body: &str) -> String {
    let reply = daemon.ask(method, path, KEY, body);
    let answer = reply.json();
    assert_eq!(
        (reply.status, &answer["result"]),
        (202, &json!("Request will be processed")),
        "{reply:?}"
    );
    assert!(answer["took"].is_number());
    answer["requestId"].as_str().unwrap().to_owned()
}

fn read(daemon: &Daemon, path: &str) -> Reply {
    daemon.ask("GET", &format!("{ALERTS}/{path}"), KEY, "")
}

fn state(daemon: &Daemon, request: &str) -> Value {
    let reply = read(daemon, &format!("requests/{request}"));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["requestId"], request);
    reply.json()["data"].clone()
}

fn create(alias: &str) -> String {
    json!({"message": format!("{alias} is broken"), "alias": alias, "priority": "P1", "tags": ["a", "b"]}).to_string()
}

#[test]
fn an_alert_lives_from_create_to_close_over_its_alias_and_its_id() {
    let mut daemon = Daemon::start(SOURCES);
    let alias = "web/öffnung 1";
    let path = format!("{ALERTS}/web%2F%C3%B6ffnung%201");
    let request = write(&daemon, "POST", ALERTS, &create(alias));
    let data = state(&daemon, &request);
    assert_eq!(
        (&data["success"], &data["action"], &data["alias"]),
        (&json!(true), &json!("Create"), &json!(alias))
    );
    let id = data["alertId"].as_str().unwrap();
    daemon.crash_and_restart();
    write(
        &daemon,
        "POST",
        &format!("{path}/acknowledge?identifierType=alias"),
        "",
    );
    let note = r#"{"note":"looking","user":"ana"}"#;
    let noted = write(&daemon, "POST", &format!("{ALERTS}/{id}/notes"), note);
    assert_eq!(state(&daemon, &noted)["status"], "Added note to alert");
    let incident = daemon.get("/api/v1/incidents")["items"][0].clone();
    assert_eq!(
        (&incident["state"], &incident["priority"]),
        (&json!("acknowledged"), &json!("P2"))
    );
    let timeline = daemon.get("/api/v1/incidents/INC-1/timeline").to_string();
    assert!(
        timeline.contains("ana: looking") && timeline.contains("opsgenie:og"),
        "{timeline}"
    );
    let shown = read(&daemon, id).json()["data"].clone();
    assert_eq!(
        (&shown["status"], &shown["alias"], &shown["tags"]),
        (&json!("open"), &json!(alias), &json!(["a", "b"]))
    );
    let tiny = shown["tinyId"].as_str().unwrap();
    write(
        &daemon,
        "PUT",
        &format!("{path}/message?identifierType=alias"),
        r#"{"message":"x"}"#,
    );
    write(
        &daemon,
        "POST",
        &format!("{ALERTS}/{tiny}/close?identifierType=tiny"),
        "{}",
    );
    let list = daemon.until("/api/v1/alerts", |list| {
        list["items"][0]["status"] == "resolved"
    });
    assert_eq!(list["items"][0]["summary"], "x");
    assert_eq!(read(&daemon, id).json()["data"]["status"], "closed");
    assert_eq!(
        daemon.get("/api/v1/alerts")["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn parts_of_an_alert_are_changed_and_lists_show_them() {
    let mut daemon = Daemon::start(SOURCES);
    for alias in ["a", "b"] {
        write(&daemon, "POST", ALERTS, &create(alias));
    }
    let a = |part: &str| format!("{ALERTS}/a/{part}?identifierType=alias");
    write(&daemon, "PUT", &a("message"), r#"{"message":"97 % full"}"#);
    let told = write(
        &daemon,
        "PUT",
        &a("description"),
        r#"{"description":"since noon"}"#,
    );
    assert_eq!(state(&daemon, &told)["success"], true);
    write(&daemon, "PUT", &a("priority"), r#"{"priority":"P4"}"#);
    write(&daemon, "POST", &a("tags"), r#"{"tags":["b","c"]}"#);
    write(
        &daemon,
        "POST",
        &a("details"),
        r#"{"details":{"host":"db1"}}"#,
    );
    // As Alertmanager sends it after each create: nothing is different.
    write(&daemon, "PUT", &a("message"), r#"{"message":"97 % full"}"#);
    let list = daemon.until("/api/v1/alerts?q=full", |list| {
        list["items"][0]["labels"]["host"] == "db1"
    });
    let alert = &list["items"][0];
    assert_eq!(
        (&alert["severity"], &alert["annotations"]["description"]),
        (&json!("low"), &json!("since noon"))
    );
    assert_eq!(alert["count"], 6, "{alert}");
    daemon.crash_and_restart();
    let reply = daemon.ask("PUT", &a("priority"), KEY, r#"{"priority":"P9"}"#);
    assert_eq!(reply.status, 422);
    let listed = |query: &str| {
        let reply = daemon.ask("GET", &format!("{ALERTS}?{query}"), KEY, "");
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    let all = listed("query=status%3Aopen&limit=1");
    assert_eq!(all["data"][0]["alias"], "b");
    let next = all["paging"]["next"].as_str().unwrap();
    let second = daemon.ask("GET", next, KEY, "").json();
    let shown = &second["data"][0];
    assert_eq!(
        (&shown["alias"], &shown["message"], &shown["priority"]),
        (&json!("a"), &json!("97 % full"), &json!("P4"))
    );
    assert_eq!(shown["tags"], json!(["a", "b", "c"]));
    assert_eq!(
        listed("query=priority:P4+AND+tag=c")["data"][0]["alias"],
        "a"
    );
    write(&daemon, "POST", &a("close"), "{}");
    // What comes too late does not begin it again.
    write(&daemon, "PUT", &a("message"), r#"{"message":"late"}"#);
    let closed = listed("query=status%3Aclosed");
    assert_eq!(closed["data"][0]["message"], "97 % full");
    let count = daemon.ask("GET", &format!("{ALERTS}/count?query=status:open"), KEY, "");
    assert_eq!(count.json()["data"]["count"], 1);
    let odd = daemon.ask("GET", &format!("{ALERTS}?query=colour:red"), KEY, "");
    assert_eq!(odd.status, 422);
}

#[test]
fn an_alert_without_alias_is_closed_by_the_id_that_its_request_tells() {
    let daemon = Daemon::start(SOURCES);
    // As Zabbix posts it, and by the service's own path.
    let request = write(&daemon, "POST", "/v2/alerts/", r#"{"message":"no alias"}"#);
    let id = state(&daemon, &request)["alertId"]
        .as_str()
        .unwrap()
        .to_owned();
    write(&daemon, "POST", &format!("{ALERTS}/{id}/close"), "{}");
    let list = daemon.until("/api/v1/alerts", |list| {
        list["items"][0]["status"] == "resolved"
    });
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_request_about_nothing_is_accepted_and_fails_in_its_state_only() {
    let daemon = Daemon::start(SOURCES);
    for path in [
        "4711/acknowledge?identifierType=alias",
        "4711/notes",
        "4711/snooze",
    ] {
        let request = write(
            &daemon,
            "POST",
            &format!("{ALERTS}/{path}"),
            r#"{"note":"n"}"#,
        );
        let data = state(&daemon, &request);
        assert_eq!(
            (&data["success"], &data["status"]),
            (&json!(false), &json!("Alert does not exist")),
            "{path}"
        );
    }
    write(&daemon, "POST", &format!("{ALERTS}/4711/close"), "");
    assert_eq!(daemon.get("/api/v1/alerts")["items"], json!([]));
}

/// Headers, method, path below the alerts, body; then the status and a part of the message.
type Refusal = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u16,
    &'static str,
);

const NO: &str = "Could not authenticate";
const OTHER: &str = "authorization: geniekey other-key\r\n";
const REFUSALS: [Refusal; 11] = [
    ("", "POST", "", "{}", 401, NO),
    ("authorization: GenieKey no\r\n", "POST", "", "{}", 401, NO),
    (
        "authorization: Bearer genie-key\r\n",
        "POST",
        "",
        "{}",
        401,
        NO,
    ),
    (
        KEY,
        "POST",
        "",
        r#"{"alias":"a"}"#,
        422,
        "Please check the errors.",
    ),
    (
        KEY,
        "POST",
        "/mine/notes?identifierType=alias",
        "{}",
        422,
        "not processable",
    ),
    (KEY, "POST", "", "{\"message\"", 400, "not valid JSON"),
    (KEY, "POST", "/mine/explode", "{}", 404, "no such action"),
    (KEY, "GET", "/nothing", "", 404, "Alert does not exist"),
    (
        KEY,
        "GET",
        "/requests/nothing",
        "",
        404,
        "Request not found",
    ),
    (OTHER, "GET", "/mine", "", 404, "Alert does not exist"),
    ("", "GET", "/mine", "", 401, NO),
];

fn is_refused(reply: &Reply, status: u16, message: &str) {
    let answer = reply.json();
    assert_eq!(reply.status, status, "{reply:?}");
    let told = answer["message"].as_str().unwrap();
    assert!(told.contains(message), "{answer}");
    assert!(
        answer["took"].is_number() && answer["requestId"].is_string(),
        "{answer}"
    );
}

#[test]
fn refusals_have_the_form_of_the_service() {
    let daemon = Daemon::start(SOURCES);
    let own = write(&daemon, "POST", ALERTS, &create("mine"));
    for (headers, method, path, body, status, message) in REFUSALS {
        let reply = daemon.ask(method, &format!("{ALERTS}{path}"), headers, body);
        is_refused(&reply, status, message);
    }
    let path = format!("{ALERTS}/requests/{own}");
    is_refused(
        &daemon.ask("GET", &path, OTHER, ""),
        404,
        "Request not found",
    );
    let path = "/opsgenie/v2/heartbeats/night/ping";
    // Any name is answered alike, as by the service; the ping is put aside.
    let pong = daemon.ask("GET", path, KEY, "");
    assert_eq!(pong.status, 202, "{pong:?}");
    assert_eq!(pong.json()["result"], "PONG - Heartbeat received");
    is_refused(&daemon.ask("POST", path, "", ""), 401, NO);
    let reply = daemon.ask("POST", ALERTS, KEY, "{}");
    assert_eq!(
        reply.json()["errors"],
        json!({"message": "Message can not be empty."})
    );
    let letters = daemon.get("/api/v1/dead-letters");
    assert_eq!(letters["items"].as_array().unwrap().len(), 5, "{letters}");
    let by_parameter = format!("{ALERTS}?apiKey=genie-key");
    assert_eq!(
        daemon
            .ask("POST", &by_parameter, "", &create("mine"))
            .status,
        202
    );
}

#[test]
fn heartbeats_are_those_of_the_configuration() {
    let daemon = Daemon::start(&format!(
        "{SOURCES}[[heartbeat]]\nname = \"backup\"\nevery = \"1h\"\n"
    ));
    let ask = |method: &str, path: &str, body: &str| {
        let reply = daemon.ask(method, &format!("/opsgenie/v2/heartbeats{path}"), KEY, body);
        (reply.status, reply.json())
    };
    assert_eq!(ask("POST", "/backup/ping", "").0, 202);
    let (status, one) = ask("GET", "/backup", "");
    assert_eq!((status, &one["data"]["interval"]), (200, &json!(60)));
    assert_eq!(one["data"]["expired"], false);
    let (_, all) = ask("GET", "", "");
    assert_eq!(all["data"]["heartbeats"][0]["name"], "backup");
    assert_eq!(ask("GET", "/other", "").0, 404);
    assert_eq!(ask("POST", "", r#"{"name":"backup","interval":1}"#).0, 201);
    assert_eq!(ask("POST", "", r#"{"name":"other","interval":1}"#).0, 422);
    assert_eq!(ask("DELETE", "/backup", "").0, 422);
    let refused = daemon.ask("GET", "/opsgenie/v2/heartbeats", "", "");
    assert_eq!(refused.status, 401);
}
