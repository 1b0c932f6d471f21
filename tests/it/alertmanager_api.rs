//! The API v2 of Alertmanager with its real clients: amtool, Prometheus, and an Alertmanager as a twin.

use std::process::Output;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::Answer;
use crate::e2e::{Programs, alertmanager, prometheus_to, set_rules};
use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::process::eventually;

fn config(source: &str) -> String {
    format!(
        "{LISTEN}[incident]\nrecover_after = \"1s\"\n\
         [[source]]\nname = \"am\"\nkind = \"alertmanager\"\n{source}"
    )
}

fn amtool(programs: &Programs, home: &Home, daemon: &Daemon, arguments: &[&str]) -> Output {
    home.command(programs.amtool.path())
        .arg(format!("--alertmanager.url={}", daemon.url("")))
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .trim()
        .to_owned()
}

impl Daemon {
    async fn send_alerts(&self, alerts: &Value) -> Answer {
        self.post("/api/v2/alerts", alerts).await
    }

    async fn alert_named(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let mut found = self.list("/api/v1/alerts").await;
            found.retain(|alert| alert["labels"]["alertname"] == name);
            assert!(found.len() < 2, "one alert, not {found:?}");
            found.into_iter().find(|alert| is(alert))
        })
        .await
    }
}

#[tokio::test]
async fn amtool_adds_alerts_and_silences_them() {
    let Some(programs) = Programs::find() else {
        return;
    };
    let home = Home::new(&config(""));
    let daemon = home.start().await;
    let run = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        said(&amtool(&programs, &home, &daemon, &words))
    };
    run("alert add alertname=DiskFull instance=db1 severity=critical");
    run("alert add alertname=DiskFull instance=db2");
    let fires = |alert: &Value| alert["status"] == "firing";
    eventually("both fire", async || {
        let alerts = daemon.list("/api/v1/alerts").await;
        (alerts.len() == 2 && alerts.iter().all(fires)).then_some(())
    })
    .await;
    let listed = run("alert query -o json");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    let id = run(
        "silence add alertname=DiskFull instance=~db[1] --comment=swap --author=ana --duration=1h",
    );
    let by = json!([format!("silence:{id}")]);
    eventually("the first is silenced", async || {
        let alerts = daemon.list("/api/v1/alerts").await;
        let silenced = alerts.iter().filter(|alert| alert["suppressed_by"] == by);
        (silenced.count() == 1).then_some(())
    })
    .await;
    let active = run("alert query");
    assert!(
        active.contains("DiskFull") && active.lines().count() == 2,
        "{active}"
    );
    assert_eq!(run("alert query --silenced").lines().count(), 2);
    let silences = run("silence query");
    assert!(
        silences.contains(&id) && silences.contains("swap"),
        "{silences}"
    );
    assert_eq!(run("silence query -q instance=~db[1]"), id);

    let longer = run(&format!(
        "silence update --duration=3h --comment=longer {id}"
    ));
    assert!(
        longer.contains(&id) && longer.contains("longer"),
        "kept its id: {longer}"
    );
    run(&format!("silence expire {id}"));
    let expired = run("silence query --expired -q");
    assert_eq!(expired, id);
    eventually("nothing is silenced", async || {
        let alerts = daemon.list("/api/v1/alerts").await;
        alerts
            .iter()
            .all(|alert| alert["suppressed_by"] == json!([]))
            .then_some(())
    })
    .await;
    let wrong = amtool(
        &programs,
        &home,
        &daemon,
        &["silence", "add", "x=y", "a=~(", "--comment=x"],
    );
    assert!(!wrong.status.success(), "{wrong:?}");
    assert!(run("config show").contains("watchbell"));
    daemon.stop().await;
}

#[tokio::test]
async fn prometheus_sends_straight_to_us_and_an_alertmanager_tells_of_the_same_alert() {
    let Some(programs) = Programs::find() else {
        return;
    };
    let home = Home::new(&config(""));
    let daemon = home.start().await;
    let twin = alertmanager(&programs.alertmanager, &home, "twin", &daemon).await;
    set_rules(&home, &["HostDown"]);
    let own = daemon.address.to_string();
    let targets = [own.as_str(), twin.address.as_str()];
    let prometheus = prometheus_to(&programs.prometheus, &home, &targets).await;
    let by_both = |alert: &Value| alert["count"].as_u64() > Some(3);
    let alert = daemon
        .alert_named("HostDown", "told by both", by_both)
        .await;
    assert_eq!(alert["status"], "firing");
    assert!(alert["generator_url"].as_str().unwrap().contains("graph"));
    assert_eq!(
        daemon.list("/api/v1/incidents").await.len(),
        1,
        "one incident by both ways"
    );

    set_rules(&home, &[]);
    prometheus.process.signal(Signal::HUP);
    // On a slow machine the lease of four seconds may run out first; the resolve then says what really was.
    let has_ended = |alert: &Value| alert["ended_by"] == "resolved";
    daemon.alert_named("HostDown", "ends", has_ended).await;
    assert_eq!(daemon.list("/api/v1/incidents").await.len(), 1);
    daemon.stop().await;
}

fn labelled(name: &str, more: &Value) -> Value {
    let mut alert = json!({"labels": {"alertname": name, "severity": "critical"}});
    alert
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    alert
}

#[tokio::test]
async fn what_is_good_in_a_list_is_kept() {
    let home = Home::new(&config("expire_after = \"1h\"\n"));
    let daemon = home.start().await;
    let far = "2099-01-01T00:00:00Z";
    let all_good = json!([
        labelled(
            "A",
            &json!({"startsAt": "2026-01-01T00:00:00Z", "endsAt": far, "annotations": {"summary": "a is down"}})
        ),
        labelled(
            "B",
            &json!({"startsAt": "2026-01-01T00:00:00.123+01:00", "endsAt": "0001-01-01T00:00:00Z"})
        ),
        labelled(
            "C",
            &json!({"startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T01:00:00Z"})
        ),
    ]);
    let answer = daemon.send_alerts(&all_good).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    let answer = daemon.send_alerts(&json!([])).await;
    assert_eq!(answer.status.as_u16(), 200, "nothing is fine, too");
    let mixed = json!([
        labelled("D", &json!({"endsAt": far})),
        {"labels": {}},
        {"labels": {"alertname": ""}},
        {"annotations": {}},
        labelled("E", &json!({"startsAt": far, "endsAt": "2026-01-01T00:00:00Z"})),
        {"labels": {"": "x"}},
        {"labels": {"a": []}},
        7,
    ]);
    let answer = daemon.send_alerts(&mixed).await;
    assert_eq!(answer.status.as_u16(), 400);
    let said: String = serde_json::from_str(&answer.text).unwrap();
    for word in [
        "[1]: at least one label pair required",
        "[2]:",
        "[3]:",
        "[4]: start time must be before end time",
        "[5]:",
        "[6].labels.a",
        "[7]",
    ] {
        assert!(said.contains(word), "{word} in {said}");
    }
    for (body, status) in [
        ("{", 400),
        ("{}", 400),
        ("", 400),
        ("[{]", 400),
        ("[{\"labels\":{}}]", 400),
    ] {
        let request = daemon.client.post(daemon.url("/api/v2/alerts")).body(body);
        let answer = daemon.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/json");
    }
    what_was_kept(&daemon).await;
    daemon.stop().await;
}

async fn what_was_kept(daemon: &Daemon) {
    let alert = daemon.alert_named("A", "fires", |_| true).await;
    assert_eq!(
        alert["expires_at"], "2099-01-01T00:00:00.000Z",
        "the end is a lease"
    );
    assert_eq!(alert["summary"], "a is down");
    let ended = daemon
        .alert_named("C", "is over", |alert| alert["status"] == "resolved")
        .await;
    assert_eq!(ended["incident"], Value::Null);
    daemon.alert_named("D", "fires", |_| true).await;
    let listed = daemon.get("/api/v2/alerts").await.ok();
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["labels"]["alertname"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");

    // What comes by webhook under the same labels is the same alert.
    let key = alert["key"].as_str().unwrap();
    let fingerprint = key.strip_prefix("am:v1:").unwrap();
    let webhook = json!({"version": "4", "alerts": [{"status": "resolved", "fingerprint": fingerprint,
        "labels": {"alertname": "A", "severity": "critical"}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T02:00:00Z"}]});
    assert_eq!(
        daemon.ingest(webhook.to_string()).await.status.as_u16(),
        202
    );
    daemon
        .alert_named("A", "ends", |alert| alert["status"] == "resolved")
        .await;
}

#[tokio::test]
async fn a_silence_survives_a_kill() {
    let home = Home::new(&config(""));
    let mut daemon = home.start().await;
    let alerts = json!([labelled("B", &json!({}))]);
    assert_eq!(daemon.send_alerts(&alerts).await.status.as_u16(), 200);
    let silence = json!({"matchers": ["alertname=B"], "duration_s": 3600, "comment": "x"});
    let id = daemon.post("/api/v1/silences", &silence).await.json()["id"].clone();
    let by = json!([format!("silence:{}", id.as_str().unwrap())]);
    daemon
        .alert_named("B", "silenced", |alert| alert["suppressed_by"] == by)
        .await;
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let daemon = home.start().await;
    let alert = daemon.alert_named("B", "still there", |_| true).await;
    assert_eq!(alert["suppressed_by"], by, "after a kill");
    let path = format!("/api/v1/silences/{}", id.as_str().unwrap());
    assert_eq!(daemon.get(&path).await.ok()["alerts"], 1);
    let metrics = daemon.get("/metrics").await.text;
    assert!(metrics.contains("alertmanager_build_info{"), "{metrics}");
    daemon.stop().await;
}

#[tokio::test]
async fn the_api_belongs_to_one_source_and_asks_for_its_secret() {
    let home = Home::new(&config("token = \"a long enough token\"\n"));
    let daemon = home.start().await;
    let alerts = json!([labelled("A", &json!({}))]);
    assert_eq!(daemon.send_alerts(&alerts).await.status.as_u16(), 401);
    let daemon = daemon.with_token("a long enough token");
    assert_eq!(daemon.send_alerts(&alerts).await.status.as_u16(), 200);
    daemon.stop().await;

    let none = format!("{LISTEN}[[source]]\nname = \"z\"\nkind = \"json\"\npreset = \"zabbix\"\n");
    let home = Home::new(&none);
    let daemon = home.start().await;
    assert_eq!(daemon.send_alerts(&alerts).await.status.as_u16(), 404);
    assert_eq!(daemon.get("/api/v2/status").await.status.as_u16(), 404);
    daemon.stop().await;
}

#[tokio::test]
async fn our_own_command_line_makes_and_ends_silences() {
    let home = Home::new(&config(""));
    let daemon = home.start().await;
    let alerts = json!([labelled("DiskFull", &json!({}))]);
    assert_eq!(daemon.send_alerts(&alerts).await.status.as_u16(), 200);
    daemon.alert_named("DiskFull", "fires", |_| true).await;
    let url = daemon.url("");
    let run = |arguments: &[&str]| {
        let mut all = vec!["silence", "--url", &url];
        all.extend(arguments);
        home.run(&all)
    };
    let preview = run(&["preview", "DiskFull"]);
    assert!(said(&preview).contains("A-1"), "{preview:?}");
    let id = said(&run(&[
        "add",
        "DiskFull",
        "severity=~\"crit.*\"",
        "--for",
        "2h",
        "--comment",
        "swap",
    ]));
    let by = json!([format!("silence:{id}")]);
    daemon
        .alert_named("DiskFull", "silenced", |alert| alert["suppressed_by"] == by)
        .await;
    let list = said(&run(&["list"]));
    assert!(list.contains(&id) && list.contains("swap"), "{list}");
    assert!(said(&run(&["show", &id])).contains("alertname=\"DiskFull\""));
    assert_eq!(said(&run(&["update", &id, "--for", "3h"])), id);
    said(&run(&["expire", &id]));
    let list: Value =
        serde_json::from_str(&said(&run(&["list", "--expired", "--output", "json"]))).unwrap();
    assert_eq!(list["items"][0]["state"], "expired");
    for (wrong, code) in [
        (&["add", "a=b", "--comment", "x"][..], 2),
        (&["add", "a=b", "--for", "1h"], 2),
        (&["add", "a=~(", "--for", "1h", "--comment", "x"], 2),
        (&["add", "a!=b", "--for", "1h", "--comment", "x"], 2),
        (&["show", "4f0d1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b"], 1),
        (&["update", &id], 2),
    ] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(code), "{wrong:?} {output:?}");
    }
    daemon.stop().await;
}
