//! Silences over our API and over Alertmanager's: both show the same ones.

use axum::http::Method;
use serde_json::{Value, json};
use watchbell::api_token::Role;
use watchbell::core::severity::Severity;

use super::{Answer, World, has, request};

impl World {
    async fn silenced(&self, alert: &str) -> Value {
        let path = format!("/api/v1/alerts/{alert}");
        self.get(&path).await.ok()["suppressed_by"].clone()
    }

    async fn until_silenced(&self, alert: &str, expected: Value) {
        self.until(async |world| world.silenced(alert).await == expected)
            .await;
    }

    async fn make(&self, body: Value) -> Answer {
        self.post("/api/v1/silences", &body.to_string()).await
    }
}

fn body(matchers: &Value) -> Value {
    json!({"matchers": matchers, "duration_s": 3600, "comment": "known"})
}

#[tokio::test]
async fn a_silence_hides_what_fires_and_what_begins_to_fire_until_it_ends() {
    let world = World::open().await;
    world.fire("F", Severity::Critical).await;
    let made = world.make(body(&json!(["alertname=~\"F|G\""]))).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let silence = made.json();
    let id = silence["id"].as_str().unwrap();
    assert_eq!(made.header("location"), format!("/api/v1/silences/{id}"));
    let matcher = json!({"name": "alertname", "value": "F|G", "is_regex": true, "is_equal": true});
    has(
        &silence,
        &json!({"state": "active", "matchers": [matcher], "created_by": "local", "comment": "known"}),
    );
    let by = json!([format!("silence:{id}")]);
    world.until_silenced("A-1", by.clone()).await;
    world.fire("G", Severity::Critical).await;
    assert_eq!(world.silenced("A-2").await, by, "on arrival");
    let incident = world.get("/api/v1/incidents/1").await.ok();
    assert_eq!(incident["suppressed_by"], by, "of all its alerts");
    let said = world.get("/api/v1/alerts/1/explain").await.ok()["summary"].clone();
    assert!(
        said.as_str()
            .unwrap()
            .contains(&format!("suppressed by silence {id}")),
        "{said}"
    );
    let seen = world.get(&format!("/api/v1/silences/{id}")).await.ok();
    assert_eq!(seen["alerts"], 2);
    world.pass(3_600);
    world.until_silenced("A-1", json!([])).await;
    let over = world.get(&format!("/api/v1/silences/{id}")).await.ok();
    has(&over, &json!({"state": "expired", "alerts": 0}));
    let timeline = world.get("/api/v1/alerts/A-1/timeline").await.text;
    for word in [
        "\"silenced\"",
        "\"unsilenced\"",
        "suppressed by silence",
        "no longer suppressed",
    ] {
        assert!(timeline.contains(word), "{word} in {timeline}");
    }
}

#[tokio::test]
async fn a_silence_is_changed_ended_and_listed_by_state() {
    let world = World::open().await;
    let id = |answer: &Answer| answer.json()["id"].as_str().unwrap().to_owned();
    let first = id(&world
        .make(body(&json!([{"name": "a", "value": "b"}])))
        .await);
    let path = format!("/api/v1/silences/{first}");
    let longer = world
        .send(request(Method::PUT, &path, r#"{"duration_s":7200}"#, &[]))
        .await;
    assert_eq!(
        (id(&longer), longer.ok()["comment"].clone()),
        (first.clone(), json!("known"))
    );
    let other = world.post(&path, r#"{"matchers":["a=c"]}"#).await;
    assert_ne!(id(&other), first, "other matchers are another silence");
    let later = json!({"matchers": ["a=b"], "starts_at": "2026-11-21T00:00:00Z", "ends_at": "2026-11-21T01:00:00Z", "comment": "x", "created_by": "ana"});
    let pending = id(&world.make(later).await);
    for (query, expected) in [
        ("", vec![&pending, &id(&other), &first]),
        ("?state=pending", vec![&pending]),
        ("?state=active,expired", vec![&id(&other), &first]),
    ] {
        let list = world.get(&format!("/api/v1/silences{query}")).await.ok();
        let ids: Vec<_> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let path = format!("/api/v1/silences/{pending}");
    for _ in 0..2 {
        let ended = world.send(request(Method::DELETE, &path, "", &[])).await;
        assert_eq!(ended.ok()["state"], "expired", "twice does no harm");
    }
    for path in [
        "/api/v1/silences/7",
        "/api/v1/silences/4f0d1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b",
    ] {
        world.get(path).await.problem(404, "not-found");
        world
            .send(request(Method::DELETE, path, "", &[]))
            .await
            .problem(404, "not-found");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_told_by_its_field() {
    let world = World::open().await;
    let huge = format!("a=~\"({})\"", "a|".repeat(3_000));
    for (wrong, word) in [
        (json!({"duration_s": 60, "comment": "x"}), "matchers"),
        (
            json!({"matchers": [], "duration_s": 60, "comment": "x"}),
            "at least one matcher",
        ),
        (json!({"matchers": ["a=b"], "comment": "x"}), "ends_at"),
        (json!({"matchers": ["a=b"], "duration_s": 60}), "comment"),
        (
            json!({"matchers": ["a=b"], "duration_s": 60, "comment": " "}),
            "comment",
        ),
        (
            json!({"matchers": ["a=b"], "duration_s": -60, "comment": "x"}),
            "start time must be before end time",
        ),
        (
            json!({"matchers": ["a=b"], "ends_at": "2020-01-01T00:00:00Z", "comment": "x"}),
            "end time",
        ),
        (
            json!({"matchers": ["a=~("], "duration_s": 60, "comment": "x"}),
            "regular expression",
        ),
        (
            json!({"matchers": ["((a{500}){500}"], "duration_s": 60, "comment": "x"}),
            "bad matcher",
        ),
        (
            json!({"matchers": ["a=~((a{500}){500}){500}"], "duration_s": 60, "comment": "x"}),
            "too large",
        ),
        (
            json!({"matchers": [huge], "duration_s": 60, "comment": "x"}),
            "longer than",
        ),
        (
            json!({"matchers": ["a!=b"], "duration_s": 60, "comment": "x"}),
            "must not match the empty string",
        ),
        (
            json!({"matchers": ["nonsense"], "duration_s": 60, "comment": "x"}),
            "bad matcher format",
        ),
        (
            json!({"matchers": ["a=b"], "duration_s": 60, "comment": "x\u{0}"}),
            "NUL",
        ),
        (
            json!({"matchers": ["a=b"], "duration_s": 60, "comment": "x", "colour": 1}),
            "colour",
        ),
    ] {
        let problem = world.make(wrong.clone()).await.problem(400, "bad-request");
        assert!(
            problem["detail"].as_str().unwrap().contains(word),
            "{wrong}: {problem}"
        );
    }
    world
        .get("/api/v1/silences?state=loud")
        .await
        .problem(400, "bad-request");
}

#[tokio::test]
async fn a_preview_counts_without_making_anything() {
    let world = World::open().await;
    for name in ["F1", "F2", "G"] {
        world.fire(name, Severity::Critical).await;
    }
    let preview = world
        .post(
            "/api/v1/silences/preview",
            r#"{"matchers":["alertname=~F.*"]}"#,
        )
        .await
        .ok();
    assert_eq!(
        (
            &preview["total"],
            preview["items"].as_array().unwrap().len()
        ),
        (&json!(2), 2)
    );
    let mut whole = body(&json!(["alertname=~F.*"]));
    let path = "/api/v1/silences?dry_run=true";
    let tried = world.post(path, &whole.to_string()).await.ok();
    assert_eq!(tried["total"], 2);
    assert_eq!(tried["severities"], json!({"critical": 2}));
    whole["comment"] = json!("");
    let refused = world.post(path, &whole.to_string()).await;
    refused.problem(400, "bad-request");
    assert_eq!(world.get("/api/v1/silences").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn the_same_order_with_the_same_key_makes_one_silence() {
    let world = World::open().await;
    let text = body(&json!(["a=b"])).to_string();
    let order = || {
        request(
            Method::POST,
            "/api/v1/silences",
            &text,
            &[("idempotency-key", "k")],
        )
    };
    let (first, again) = (
        world.send(order()).await.json(),
        world.send(order()).await.json(),
    );
    assert_eq!(first["id"], again["id"]);
    assert_eq!(
        world.get("/api/v1/silences").await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn alertmanagers_clients_see_alerts_and_silences_in_their_shape() {
    let world = World::open().await;
    world.fire("F", Severity::Critical).await;
    world.fire("G", Severity::Critical).await;
    let posted = json!({"matchers": [{"name": "alertname", "value": "F", "isRegex": false}],
        "startsAt": "2026-11-20T11:00:00.000Z", "endsAt": "2026-11-20T13:00:00Z", "createdBy": "ana", "comment": ""});
    let made = world
        .post("/api/v2/silences", &posted.to_string())
        .await
        .ok();
    let id = made["silenceID"].as_str().unwrap().to_owned();
    world
        .until_silenced("A-1", json!([format!("silence:{id}")]))
        .await;
    let alerts = world.get("/api/v2/alerts").await.ok();
    let alerts = alerts.as_array().unwrap();
    assert_eq!(alerts.len(), 2);
    let silenced = alerts
        .iter()
        .find(|alert| alert["labels"]["alertname"] == "F")
        .unwrap();
    let status =
        json!({"state": "suppressed", "silencedBy": [id], "inhibitedBy": [], "mutedBy": []});
    has(
        silenced,
        &json!({"status": status, "receivers": [{"name": "watchbell"}],
        "startsAt": "2026-11-20T12:00:00.000Z", "updatedAt": "2026-11-20T12:00:00.000Z",
        "endsAt": "2026-11-20T21:00:00.000Z", "annotations": {"runbook": "turn it off and on"},
        "generatorURL": "http://prometheus.example/graph"}),
    );
    assert_eq!(silenced["fingerprint"].as_str().unwrap().len(), 16);
    for (query, count) in [
        ("silenced=false", 1),
        ("active=false", 1),
        (
            "active=true&silenced=false&inhibited=false&unprocessed=false",
            1,
        ),
        ("filter=alertname%3D%22F%22", 1),
        ("filter=alertname%3D~%22F%7CG%22&filter=alertname%21%3DF", 1),
        ("receiver=watch.*", 2),
        ("receiver=watch", 0),
        ("unknown=1", 2),
    ] {
        let found = world.get(&format!("/api/v2/alerts?{query}")).await.ok();
        assert_eq!(found.as_array().unwrap().len(), count, "{query}: {found}");
    }
    let groups = world.get("/api/v2/alerts/groups?muted=false").await.ok();
    has(
        &groups[0],
        &json!({"labels": {"incident": "INC-2"}, "receiver": {"name": "watchbell"}, "routeLabels": {}}),
    );
    let list = world
        .get("/api/v2/silences?filter=alertname%3D%22F%22")
        .await
        .ok();
    has(
        &list[0],
        &json!({"id": id, "status": {"state": "active"}, "createdBy": "ana", "comment": "", "annotations": {},
        "matchers": [{"name": "alertname", "value": "F", "isRegex": false, "isEqual": true}],
        "startsAt": "2026-11-20T12:00:00.000Z", "endsAt": "2026-11-20T13:00:00.000Z", "updatedAt": "2026-11-20T12:00:00.000Z"}),
    );
    assert_eq!(
        world.get("/api/v2/silences?filter=a%3Db").await.ok(),
        json!([])
    );
    expires(&world, &id).await;
}

async fn expires(world: &World, id: &str) {
    let path = format!("/api/v2/silence/{id}");
    assert_eq!(world.get(&path).await.ok()["id"], json!(id));
    for _ in 0..2 {
        let ended = world.send(request(Method::DELETE, &path, "", &[])).await;
        assert_eq!((ended.status.as_u16(), ended.text.as_str()), (200, ""));
    }
    world.until_silenced("A-1", json!([])).await;
    assert_eq!(world.get(&path).await.ok()["status"]["state"], "expired");
}

#[tokio::test]
async fn errors_have_alertmanagers_shapes() {
    let world = World::open().await;
    let silence = |starts: &str, ends: &str, more: Value| {
        let mut body = json!({"matchers": [{"name": "a", "value": "b", "isRegex": false}], "startsAt": starts, "endsAt": ends, "createdBy": "ana", "comment": "x"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let (from, to) = ("2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z");
    for (body, status, word) in [
        ("{".to_owned(), 400, "\"code\":400"),
        ("{}".to_owned(), 422, "matchers in body is required"),
        (
            silence(to, from, json!({})),
            400,
            "\"start time must be before end time\"",
        ),
        (
            silence("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z", json!({})),
            400,
            "\"end time can't be in the past\"",
        ),
        (
            silence(
                from,
                to,
                json!({"id": "4f0d1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b"}),
            ),
            404,
            "not found\"",
        ),
        (
            silence(from, to, json!({"matchers": []})),
            400,
            "\"at least one matcher required\"",
        ),
        (
            silence(
                from,
                to,
                json!({"matchers": [{"name": "a", "value": "(", "isRegex": true}]}),
            ),
            400,
            "regular expression",
        ),
        (
            silence(
                from,
                to,
                json!({"matchers": [{"name": "a", "value": ".*", "isRegex": true}]}),
            ),
            400,
            "empty string",
        ),
    ] {
        let answer = world.post("/api/v2/silences", &body).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text);
        assert!(answer.text.contains(word), "{body}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn paths_have_alertmanagers_codes() {
    let world = World::open().await;
    for (method, path, status) in [
        (Method::GET, "/api/v2/silence/x", 422),
        (
            Method::GET,
            "/api/v2/silence/4f0d1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b",
            404,
        ),
        (Method::GET, "/api/v2/alerts?filter=%7Ba%3Db%7D", 400),
        (Method::GET, "/api/v2/alerts?receiver=(", 400),
        (Method::GET, "/api/v2/nothing", 404),
        (Method::GET, "/api/v2", 404),
        (Method::DELETE, "/api/v2/alerts", 405),
        (Method::GET, "/alertmanager/api/v2/status", 404),
    ] {
        let answer = world.send(request(method, path, "", &[])).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn the_source_secret_opens_the_api_and_so_does_a_token_with_the_role() {
    let world = World::guarded().await;
    let viewer = format!("Bearer {}", world.token("v", Role::Viewer, None).await);
    let responder = format!("Bearer {}", world.token("r", Role::Responder, None).await);
    let source = "Bearer of-the-source".to_owned();
    for (who, read, write) in [
        (None, 401, 401),
        (Some(&viewer), 200, 403),
        (Some(&responder), 200, 400),
        (Some(&source), 200, 400),
    ] {
        let headers: Vec<(&str, &str)> = who
            .map(|who| ("authorization", who.as_str()))
            .into_iter()
            .collect();
        for (method, path, expected) in [
            (Method::GET, "/api/v2/alerts", read),
            (Method::GET, "/api/v2/status", read),
            (Method::GET, "/api/v2/receivers", read),
            (Method::GET, "/api/v2/silences", read),
            (Method::POST, "/api/v2/silences", write),
        ] {
            let answer = world.send(request(method, path, "[]", &headers)).await;
            assert_eq!(
                answer.status.as_u16(),
                expected,
                "{who:?} {path} {}",
                answer.text
            );
        }
        let posted = world
            .send(request(Method::POST, "/api/v2/alerts", "[]", &headers))
            .await;
        assert_eq!(
            posted.status.as_u16(),
            if write == 400 { 200 } else { write }
        );
    }
    let alerts = world.get("/-/healthy").await;
    assert_eq!((alerts.status.as_u16(), alerts.text.as_str()), (200, "OK"));
}
