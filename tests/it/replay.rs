//! Dead letters: shown with their very bytes, replayed after a fix, and made of what nobody can read any more.

use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Home, LISTEN, message};
use crate::support::process::eventually;

fn grid(key: &str) -> String {
    format!(
        "{LISTEN}[[source]]\nname = \"grid\"\nkind = \"json\"\n[source.map]\nkey = \"{key}\"\nsummary = \"payload.text\"\n"
    )
}

async fn send(daemon: &Daemon, body: impl Into<reqwest::Body>) -> u16 {
    let request = daemon.client.post(daemon.url("/ingest/grid")).body(body);
    daemon.send(request).await.status.as_u16()
}

fn said(output: &Output) -> String {
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_replayed_once_its_source_understands_it() {
    let home = Home::new(&grid("payload.id"));
    let mut daemon = home.start().await;
    assert_eq!(
        send(&daemon, json!({"nr": 1, "text": "one"}).to_string()).await,
        400
    );
    assert_eq!(
        send(&daemon, json!({"nr": 2, "text": "two"}).to_string()).await,
        400
    );
    assert_eq!(send(&daemon, "\u{fffd} no json {").await, 400);
    let raw = b"{\"nr\": 3, \xff\xfe".to_vec();
    assert_eq!(send(&daemon, raw.clone()).await, 400);
    let shown = daemon.get("/api/v1/dead-letters/D-4").await.ok();
    assert_eq!(
        STANDARD
            .decode(shown["body_base64"].as_str().unwrap())
            .unwrap(),
        raw
    );
    assert_eq!(shown["cut"], false);

    let path = "/api/v1/dead-letters/D-1/replay";
    let refused = daemon.post(path, &json!({})).await;
    assert_eq!(refused.status.as_u16(), 422, "{}", refused.text);
    assert_eq!(
        refused.json()["type"],
        "urn:watchbell:problem:not-understood"
    );
    assert_eq!(
        daemon.list("/api/v1/dead-letters").await.len(),
        4,
        "it stays"
    );

    home.configure(&grid("payload.nr"));
    daemon.reload().await;
    let done = daemon.post(path, &json!({})).await.ok();
    assert_eq!(
        (&done["id"], &done["status"]),
        (&json!("D-1"), &json!("replayed"))
    );
    assert_eq!(done["observations"], 1);
    assert_eq!(
        daemon.post(path, &json!({})).await.status.as_u16(),
        404,
        "once only"
    );
    let alert = eventually("the alert", async || {
        daemon.list("/api/v1/alerts").await.first().cloned()
    })
    .await;
    assert_eq!(alert["key"], "grid:v1:1");
    assert_eq!(alert["count"], 1);

    replay_by_command(&home, &daemon);
    eventually("both alerts", async || {
        (daemon.list("/api/v1/alerts").await.len() == 2).then_some(())
    })
    .await;
    let metrics = daemon.get("/metrics").await.text;
    let series = "watchbell_dead_letters_total{source=\"grid\",outcome=\"replayed\"} 2";
    assert!(metrics.contains(series), "{metrics}");
}

/// Replays by the command line: one letter can be understood by now, two never.
fn replay_by_command(home: &Home, daemon: &Daemon) {
    let url = format!("http://{}", daemon.address);
    let run = |arguments: &[&str]| home.run(&[arguments, &["--url", &url]].concat());
    let all = run(&["dead-letters", "replay", "--all", "--source", "grid"]);
    assert_eq!(all.status.code(), Some(1), "{}", said(&all));
    assert!(
        said(&all).contains("D-2 was replayed as message"),
        "{}",
        said(&all)
    );
    assert!(said(&all).contains("1 replayed, 2 stay"), "{}", said(&all));
    let one = run(&["dead-letters", "replay", "D-3"]);
    assert_eq!(one.status.code(), Some(1), "{}", said(&one));
    assert!(
        said(&one).contains("still not understood"),
        "{}",
        said(&one)
    );
    assert_eq!(run(&["dead-letters", "replay"]).status.code(), Some(2));
    assert_eq!(
        run(&["dead-letters", "replay", "D-99"]).status.code(),
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_a_source_that_is_gone_waits_for_it() {
    let home = Home::new(&grid("payload.id"));
    let mut daemon = home.start().await;
    assert_eq!(send(&daemon, "{}").await, 400);
    let other = format!("{LISTEN}[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n");
    home.configure(&other);
    daemon.reload().await;
    let refused = daemon
        .post("/api/v1/dead-letters/1/replay", &json!({}))
        .await;
    assert_eq!(refused.status.as_u16(), 409, "{}", refused.text);
    assert_eq!(
        refused.json()["type"],
        "urn:watchbell:problem:not-replayable"
    );
    let large = vec![b'x'; 300 * 1024];
    assert_eq!(daemon.ingest(large).await.status.as_u16(), 400);
    let cut = daemon
        .post("/api/v1/dead-letters/2/replay", &json!({}))
        .await;
    assert_eq!(cut.status.as_u16(), 409, "{}", cut.text);
    assert!(cut.text.contains("bytes were kept"), "{}", cut.text);
    let missing = daemon
        .post("/api/v1/dead-letters/77/replay", &json!({}))
        .await;
    assert_eq!(missing.status.as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecided_message_of_a_removed_source_becomes_a_letter() {
    let am = format!("{LISTEN}[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n");
    let home = Home::new(&am);
    let daemon = home.start().await;
    daemon.alert("First", "firing").await;
    eventually("the decision", async || {
        daemon.list("/api/v1/alerts").await.first().cloned()
    })
    .await;
    daemon.stop().await;
    // As if the daemon had been killed between the acknowledgement and the decision.
    append(&home, "am", &message("Second", "firing")).await;
    home.configure(&grid("payload.id"));
    let daemon = home.start().await;
    let letters = daemon.list("/api/v1/dead-letters").await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(
        (&letters[0]["source"], &letters[0]["reason"]),
        (&json!("am"), &json!("source_gone"))
    );
    let metrics = daemon.get("/metrics").await.text;
    let series = "watchbell_dead_letters_total{source=\"am\",outcome=\"source_gone\"} 1";
    assert!(metrics.contains(series), "{metrics}");
    daemon.stop().await;
    home.configure(&am);
    let daemon = home.start().await;
    assert_eq!(daemon.list("/api/v1/dead-letters").await.len(), 1, "once");
    let done = daemon
        .post("/api/v1/dead-letters/1/replay", &json!({}))
        .await
        .ok();
    assert_eq!(done["observations"], 1);
    let alerts = eventually("the alert", async || {
        let alerts = daemon.list("/api/v1/alerts").await;
        (alerts.len() == 2).then_some(alerts)
    })
    .await;
    let names: Vec<&Value> = alerts
        .iter()
        .map(|alert| &alert["labels"]["alertname"])
        .collect();
    assert!(names.contains(&&json!("Second")), "{names:?}");
}

/// Appends a message to the log of a daemon that does not run.
async fn append(home: &Home, source: &str, body: &str) {
    use watchbell::runtime::clock::Clock;
    use watchbell::store::Db;
    use watchbell::store::inbox::{InputKind, NewInput, StoredBody};
    use watchbell::store::writer::{Writer, WriterSetup};

    let file = home.path("data/watchbell.db");
    let db = Db::open(&format!("sqlite:{}", file.display()), 1)
        .await
        .unwrap();
    let clock = Clock::system();
    let setup = WriterSetup {
        db: db.clone(),
        partition: 0,
        holder: "test".to_owned(),
        now: Box::new(move || clock.now()),
        on_commit: Box::new(|_| {}),
    };
    let (writer, handle, _appended) = Writer::claim(setup).await.unwrap().unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let input = NewInput {
        kind: InputKind::Message,
        source: Some(source.to_owned()),
        content_type: None,
        envelope: None,
        body: StoredBody::new(body.to_owned().into()),
    };
    let (ended, ()) = tokio::join!(writer.run(stop.clone()), async {
        handle.append(input, None, None).await.unwrap();
        stop.cancel();
    });
    ended.unwrap();
    db.close().await;
}
