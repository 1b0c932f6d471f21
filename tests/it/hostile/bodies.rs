//! Bodies that make no sense, or less than they should.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{Target, says};
use crate::support::daemon::message;
use crate::support::http::{read_to_close, say};

const NOT: &str = "not-understood";

#[tokio::test]
async fn what_cannot_be_understood_is_refused_with_its_place_and_kept() {
    let target = Target::start("").await;
    let cases: [(&[u8], &str); 9] = [
        (b"", "the body is empty"),
        (b"{\"alerts\":[", "not valid JSON at line 1, column 11"),
        (b"hello", "not valid JSON at line 1, column 1"),
        (b"[1,2]", "[0]: is a number, not an alert object"),
        (b"{\"alerts\":\"many\"}", "alerts: is a text, not a list"),
        (b"{\"version\":\"4\"}", "alerts: is missing"),
        (b"{\"alerts\":[7]}", "alerts[0]"),
        (
            b"{\"alerts\":[{\"status\":\"on\",\"labels\":{\"a\":\"b\"}}]}",
            "alerts[0].status",
        ),
        (b"{\"a\":\"\xff\xfe\"}", "not UTF-8 text at byte 6"),
    ];
    for (body, words) in cases {
        target.refuses(body, 400, NOT, words).await;
    }
    let letters = target.daemon.list("/api/v1/dead-letters").await;
    assert_eq!(letters.len(), cases.len());
    let last = target.daemon.get("/api/v1/dead-letters/D-9").await.ok();
    assert_eq!(last["body"], "{\"a\":\"\u{fffd}\u{fffd}\"}");
    assert_eq!(last["source"], "am");
}

#[tokio::test]
async fn what_is_only_odd_is_taken() {
    let target = Target::start("").await;
    let odd = [
        r#"{"alerts":[{"status":"firing","labels":{"alertname":"a","n":"x\u0000y"}}]}"#,
        r#"{"alerts":[{"status":"firing","labels":{"alertname":"b","e":"\ud83d"}}]}"#,
        r#"{"alerts":[{"status":"resolved","status":"firing","labels":{"alertname":"c","alertname":"d"}}]}"#,
        r#"{"alerts":[{"status":"firing","labels":{"alertname":"e","n":1e999}}]}"#,
        r#"{"alerts":[{"status":"firing","labels":{"alertname":"f"},"startsAt":"yesterday","endsAt":-1e999}]}"#,
        r#"{"alerts":[{"status":"firing","labels":{"alertname":"g"}}],"version":{"a":[]},"groupKey":7}"#,
    ];
    for body in odd {
        let taken = target.takes(body).await;
        assert_eq!(taken["observations"], 1, "{body}: {taken}");
    }
    let names: Vec<String> = target
        .daemon
        .list("/api/v1/alerts?sort=id")
        .await
        .iter()
        .map(|alert| alert["labels"].to_string())
        .collect();
    assert!(
        names.iter().all(|labels| !labels.contains("\\u0000")),
        "{names:?}"
    );
    assert!(
        names.iter().any(|labels| labels.contains('\u{fffd}')),
        "{names:?}"
    );
    assert!(
        names
            .iter()
            .any(|labels| labels.contains("\"alertname\":\"d\""))
    );
}

#[tokio::test]
async fn a_good_item_among_bad_ones_is_taken_and_the_bad_ones_are_kept() {
    let target = Target::start("").await;
    let good = json!({"status": "firing", "labels": {"alertname": "good"}});
    let body = json!({"alerts": [7, good, {"status": "firing"}]});
    let taken = target.takes(body.to_string()).await;
    assert_eq!(
        (&taken["observations"], &taken["rejected"]),
        (&json!(1), &json!(2))
    );
    assert!(
        taken["problems"][0]
            .as_str()
            .unwrap()
            .starts_with("alerts[0]"),
        "{taken}"
    );
    let letters = target.daemon.list("/api/v1/dead-letters").await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["reason"], "bad_items");
}

#[tokio::test]
async fn any_content_type_is_taken_and_an_unknown_encoding_is_not() {
    let target = Target::start("").await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        let request = target.daemon.client.post(target.daemon.url("/ingest/am"));
        let request = request
            .header("content-type", kind)
            .body(message("Disk", "firing"));
        assert_eq!(
            target.daemon.send(request).await.status.as_u16(),
            202,
            "{kind}"
        );
    }
    for encoding in ["br", "zstd", "nonsense", "gzip, gzip"] {
        let request = target.daemon.client.post(target.daemon.url("/ingest/am"));
        let request = request.header("content-encoding", encoding).body("{}");
        let answer = target.daemon.send(request).await;
        says(&answer, 415, "unsupported-encoding", encoding);
        assert_eq!(answer.header("accept-encoding"), "gzip, identity");
    }
    target.is_fine().await;
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_bodies_count_as_what_they_unfold_to() {
    let target = Target::start("").await;
    let packed = async |body: Vec<u8>| {
        let request = target.daemon.client.post(target.daemon.url("/ingest/am"));
        let request = request.header("content-encoding", "gzip").body(body);
        target.daemon.send(request).await
    };
    let answer = packed(gzip(message("Packed", "firing").as_bytes())).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);

    let bomb = gzip(&vec![b' '; 17 << 20]);
    assert!(bomb.len() < 1 << 20);
    // A gigabyte, would anybody unfold it.
    let answer = packed(bomb.repeat(60)).await;
    says(
        &answer,
        413,
        "body-too-large",
        "16777216 bytes after decompression",
    );
    target.is_fine().await;

    let mut cut = gzip(&vec![b' '; 1 << 20]);
    cut.truncate(cut.len() / 2);
    says(&packed(cut).await, 400, "body-broken", "could not be read");
    says(
        &packed(b"not gzip".to_vec()).await,
        400,
        "body-broken",
        "could not be read",
    );
    target.is_fine().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_so_that_the_sender_can_read_it() {
    let target = Target::start("").await;
    let body = vec![b'x'; 20 << 20];
    target
        .refuses(
            body.clone(),
            413,
            "body-too-large",
            "raise [server] body_max",
        )
        .await;
    // Writes all of it before it reads, as simple senders do.
    let mut stream = tokio::net::TcpStream::connect(target.daemon.address)
        .await
        .unwrap();
    let length = body.len();
    let head = format!(
        "POST /ingest/am HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good-token\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    say(&mut stream, &head).await;
    say(&mut stream, std::str::from_utf8(&body).unwrap()).await;
    let answer = read_to_close(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(
        answer.contains("urn:watchbell:problem:body-too-large"),
        "{answer}"
    );
    target.is_fine().await;
}

#[tokio::test]
async fn nesting_has_an_end() {
    let target = Target::start("").await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let bomb = format!("{}{}", open.repeat(1_000_000), close.repeat(1_000_000));
        target
            .refuses(bomb, 400, NOT, "deeper than 64 levels")
            .await;
    }
    let deep = format!(
        "{{\"alerts\":[],\"x\":{}{}}}",
        "[".repeat(60),
        "]".repeat(60)
    );
    assert_eq!(target.takes(deep).await["observations"], 0);
    // Commands are read by another reader.
    let bomb = format!("{{\"until\":{}", "[".repeat(500_000));
    let url = target.daemon.url("/api/v1/incidents/1/acknowledge");
    let answer = target
        .daemon
        .send(target.daemon.client.post(url).body(bomb))
        .await;
    answer.problem(400, "bad-request");
    target.is_fine().await;
}
