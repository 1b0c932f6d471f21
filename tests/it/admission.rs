//! Who may send what, and how much: signatures, Amazon SNS, limits; with the real daemon.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::RequestBuilder;
use serde_json::json;
use sha2::Sha256;
use watchbell::runtime::clock::Clock;

use crate::api::Answer;
use crate::support::daemon::{Daemon, Home, LISTEN, message};
use crate::support::process::eventually;

const SOURCES: &str = r#"
[[source]]
name = "am"
kind = "alertmanager"
signature = { kind = "github", secrets = ["new secret", "old secret"] }
[[source]]
name = "std"
kind = "alertmanager"
token = "a bearer token"
signature = { kind = "standard-webhooks", secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" }
[[source]]
name = "aws"
kind = "sns"
verify = true
[[source]]
name = "unsigned"
kind = "sns"
"#;

fn mac(key: &[u8], signed: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    signed.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn github(key: &str, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac(key.as_bytes(), &[body])))
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn refused(answer: &Answer) {
    assert_eq!(answer.status.as_u16(), 401, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.json()["type"], "urn:watchbell:problem:unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signed_messages_are_taken_and_every_secret_will_do() {
    let home = Home::new(&format!("{LISTEN}{SOURCES}"));
    let daemon = home.start().await;
    let body = message("Disk", "firing");
    let post = |signature: &str, body: Vec<u8>| {
        let request = daemon.client.post(daemon.url("/ingest/am"));
        request.header("x-hub-signature-256", signature).body(body)
    };
    let plain = || body.clone().into_bytes();
    for key in ["new secret", "old secret"] {
        let answer = daemon
            .send(post(&github(key, body.as_bytes()), plain()))
            .await;
        assert_eq!(answer.status.as_u16(), 202, "{key}: {}", answer.text);
    }
    let packed = gzip(&body);
    let zipped = |signed: &[u8]| {
        let request = post(&github("new secret", signed), packed.clone());
        request.header("content-encoding", "gzip")
    };
    for signed in [packed.as_slice(), body.as_bytes()] {
        let answer = daemon.send(zipped(signed)).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    }
    refused(&daemon.ingest(body.clone()).await);
    refused(
        &daemon
            .send(post(&github("wrong secret", body.as_bytes()), plain()))
            .await,
    );
    refused(
        &daemon
            .send(post(&github("new secret", b"{}"), plain()))
            .await,
    );
    refused(&daemon.send(post("sha256=", plain())).await);
    refused(&daemon.send(zipped(b"else")).await);
    assert_eq!(daemon.messages("rejected").await, 5);
    assert_eq!(daemon.messages("received").await, 9);
    assert!(
        daemon.list("/api/v1/dead-letters").await.is_empty(),
        "strangers fill no list"
    );
    let sources = daemon.list("/api/v1/sources").await;
    assert_eq!(sources[0]["open"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_signature_is_refused_and_a_token_is_asked_for_besides() {
    let home = Home::new(&format!("{LISTEN}{SOURCES}"));
    let daemon = home.start().await;
    let body = message("Disk", "firing");
    let key = STANDARD
        .decode("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .unwrap();
    let now = Clock::system().now().as_millis() / 1000;
    let post = |seconds: i64| -> RequestBuilder {
        let seconds = seconds.to_string();
        let signed = mac(
            &key,
            &[b"msg_1.", seconds.as_bytes(), b".", body.as_bytes()],
        );
        daemon
            .client
            .post(daemon.url("/ingest/std"))
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", seconds)
            .header(
                "webhook-signature",
                format!("v1,AAAA v1,{}", STANDARD.encode(signed)),
            )
            .body(body.clone())
    };
    let with_token = |request: RequestBuilder| request.bearer_auth("a bearer token");
    assert_eq!(
        daemon.send(with_token(post(now))).await.status.as_u16(),
        202
    );
    refused(&daemon.send(with_token(post(now - 400))).await);
    refused(&daemon.send(with_token(post(now + 400))).await);
    refused(&daemon.send(post(now)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sns_is_verified_where_asked_and_a_subscription_waits_for_a_person() {
    let home = Home::new(&format!("{LISTEN}{SOURCES}"));
    let daemon = home.start().await;
    let wanted = json!({
        "Type": "SubscriptionConfirmation", "MessageId": "m1", "TopicArn": "arn:aws:sns:eu-west-1:1:alarms",
        "Message": "You have chosen to subscribe", "Timestamp": "2026-01-01T00:00:00.000Z", "Token": "t",
        "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t",
        "SignatureVersion": "1", "Signature": "AAAA",
        "SigningCertURL": "https://sns.evil.example/a.pem",
    });
    let post = |path: &str| {
        let request = daemon.client.post(daemon.url(path));
        request
            .header("content-type", "text/plain; charset=UTF-8")
            .body(wanted.to_string())
    };
    refused(&daemon.send(post("/ingest/aws")).await);
    let answer = daemon.send(post("/ingest/unsigned")).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    let shown = eventually("the subscription", async || {
        let sources = daemon.list("/api/v1/sources").await;
        let shown = sources
            .into_iter()
            .find(|source| source["name"] == "unsigned")?;
        shown["subscription"].is_object().then_some(shown)
    })
    .await;
    assert_eq!(shown["subscription"]["topic"], wanted["TopicArn"]);
    assert_eq!(shown["subscription"]["url"], wanted["SubscribeURL"]);
    assert_eq!(shown["subscription"]["confirmed"], false);
}

fn limited(sources: &str, limits: &str) -> String {
    format!("{LISTEN}[limits]\n{limits}\n{sources}")
}

/// Sends until something is refused; how many were taken, and the refusal.
async fn until_refused(daemon: &Daemon, send: impl AsyncFn(usize) -> Answer) -> (usize, Answer) {
    for number in 0..200 {
        let answer = send(number).await;
        if !answer.status.is_success() {
            return (number, answer);
        }
    }
    panic!("nothing was refused by {}", daemon.address);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_a_limit_is_refused_so_that_its_sender_repeats_it() {
    let rate = "rate = { per_second = 1, burst = 20 }";
    let sources = format!(
        "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n{rate}\n\
         [[source]]\nname = \"pd\"\nkind = \"pagerduty\"\nrouting_keys = [\"k1\"]\n{rate}\n"
    );
    let home = Home::new(&limited(&sources, ""));
    let daemon = home.start().await;
    let (taken, answer) = until_refused(&daemon, async |number| {
        daemon
            .ingest(message(&format!("A{number}"), "firing"))
            .await
    })
    .await;
    assert!(taken >= 20, "{taken}");
    assert_eq!(answer.status.as_u16(), 503, "never 429: {}", answer.text);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(answer.json()["type"], "urn:watchbell:problem:rate-limited");
    assert!(daemon.messages("limited").await > 0);
    let (received, stored) = (
        daemon.messages("received").await,
        daemon.messages("stored").await,
    );
    let (rejected, limited) = (
        daemon.messages("rejected").await,
        daemon.messages("limited").await,
    );
    assert_eq!((received, limited), (stored + rejected, rejected));
    let (_, answer) = until_refused(&daemon, async |number| {
        let event = json!({"routing_key": "k1", "event_action": "trigger", "dedup_key": format!("d{number}"),
            "payload": {"summary": "s", "source": "h", "severity": "error"}});
        daemon.post("/pagerduty/v2/enqueue", &event).await
    })
    .await;
    assert_eq!(answer.status.as_u16(), 429, "{}", answer.text);
    assert!(answer.headers.contains_key("retry-after"));
    eventually("every stored alert", async || {
        let alerts = daemon.list("/api/v1/alerts?source=am&limit=500").await;
        (u64::try_from(alerts.len()) == Ok(stored)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_a_limit_over_all_sources() {
    let sources = "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n[[heartbeat]]\nname = \"b\"\nevery = \"1h\"\n";
    let home = Home::new(&limited(
        sources,
        "peer_rate = { per_second = 1, burst = 10 }",
    ));
    let daemon = home.start().await;
    let (taken, answer) = until_refused(&daemon, async |number| match number % 2 {
        0 => daemon.ingest(message("A", "firing")).await,
        _ => daemon.get("/heartbeat/b").await,
    })
    .await;
    assert!(taken >= 10, "{taken}");
    assert_eq!(answer.status.as_u16(), 503, "{}", answer.text);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(
        daemon.get("/api/v1/incidents").await.status.as_u16(),
        200,
        "people are not limited"
    );
    let metrics = daemon.get("/metrics").await.text;
    assert!(
        metrics.contains("watchbell_peer_limited_total 1"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_of_alertmanager_obeys_the_rate_and_the_signature_of_its_source() {
    let rate = "rate = { per_second = 1, burst = 10 }";
    let source = format!("[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n{rate}\n");
    let home = Home::new(&limited(&source, ""));
    let daemon = home.start().await;
    let (taken, answer) = until_refused(&daemon, async |number| {
        let alerts = json!([{"labels": {"alertname": format!("A{number}")}}]);
        daemon.post("/api/v2/alerts", &alerts).await
    })
    .await;
    assert!(taken >= 10, "{taken}");
    assert_eq!(answer.status.as_u16(), 503, "never 429: {}", answer.text);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(answer.json()["code"], 503, "in the shape of Alertmanager");
    assert_eq!(daemon.messages("limited").await, 1);
    assert_eq!(daemon.messages("rejected").await, 1);
    daemon.stop().await;

    let home = Home::new(&format!("{LISTEN}{SOURCES}"));
    let daemon = home.start().await;
    let body = json!([{"labels": {"alertname": "Disk"}}]).to_string();
    let post = |signature: Option<String>| {
        let request = daemon.client.post(daemon.url("/api/v2/alerts"));
        let request = request.header("content-type", "application/json");
        let request = request.body(body.clone());
        match signature {
            Some(signature) => request.header("x-hub-signature-256", signature),
            None => request,
        }
    };
    for signature in [None, Some(github("wrong secret", body.as_bytes()))] {
        let answer = daemon.send(post(signature)).await;
        assert_eq!(answer.status.as_u16(), 401, "{}", answer.text);
    }
    let signed = post(Some(github("new secret", body.as_bytes())));
    let answer = daemon.send(signed).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert_eq!(daemon.messages("rejected").await, 2);
}
