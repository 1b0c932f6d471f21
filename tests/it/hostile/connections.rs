//! Clients that are slow, silent or many.

use tokio::net::TcpStream;

use super::Target;
use crate::support::daemon::message;
use crate::support::http::{read_to_close, say, soon};
use crate::support::process::eventually;

const SHORT_TIMES: &str = "header_timeout = \"1s\"\nbody_timeout = \"1s\"";
const HEAD: &str = "POST /ingest/am HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good-token\r\n";

async fn said(target: &Target, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(target.daemon.address).await.unwrap();
    say(&mut stream, text).await;
    stream
}

#[tokio::test]
async fn slow_headers_are_cut_off_while_others_are_served() {
    let target = Target::start(SHORT_TIMES).await;
    let mut slow = Vec::new();
    for text in [
        "",
        "P",
        "POST /ingest/am HTTP/1.1\r\nHost",
        "PRI * HTTP/2.0\r\n",
        HEAD,
    ] {
        slow.push(said(&target, text).await);
    }
    target.is_fine().await;
    for mut stream in slow {
        read_to_close(&mut stream).await;
    }
    target.is_fine().await;
}

#[tokio::test]
async fn half_a_body_is_answered_when_it_stalls_and_counted_when_it_breaks() {
    let target = Target::start(SHORT_TIMES).await;
    let half = format!("{HEAD}Content-Length: 1000\r\n\r\n{{\"alerts\":[");
    let mut stalled = said(&target, &half).await;
    let mut broken = said(&target, &half).await;
    drop(said(&target, &half).await);
    tokio::io::AsyncWriteExt::shutdown(&mut broken)
        .await
        .unwrap();
    target.is_fine().await;
    let answer = read_to_close(&mut stalled).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.contains("nothing of the request body arrived for 1s"),
        "{answer}"
    );
    eventually("each is counted once", async || {
        let (received, stored, duplicate, rejected) = (
            target.daemon.messages("received").await,
            target.daemon.messages("stored").await,
            target.daemon.messages("duplicate").await,
            target.daemon.messages("rejected").await,
        );
        (rejected == 3 && received == stored + duplicate + rejected).then_some(())
    })
    .await;
    assert!(target.daemon.list("/api/v1/dead-letters").await.is_empty());
}

#[tokio::test]
async fn at_the_cap_an_honest_sender_waits_for_the_silent_ones_to_be_cut_off() {
    let target = Target::start(&format!("{SHORT_TIMES}\nconnections_max = 8")).await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(TcpStream::connect(target.daemon.address).await.unwrap());
    }
    // Sixteen take two rounds of one second at most.
    soon("an answer", target.daemon.alert("Honest", "firing")).await;
    drop(silent);
    target.is_fine().await;
}

#[tokio::test]
async fn heads_have_a_size() {
    let target = Target::start("").await;
    let long = format!("{HEAD}X-Long: {}\r\n\r\n", "x".repeat(100_000));
    let answer = read_to_close(&mut said(&target, &long).await).await;
    assert!(
        answer.starts_with("HTTP/1.1 431") || answer.is_empty(),
        "{answer}"
    );
    for nonsense in ["GET / HTTP/9.9\r\n\r\n", "\0\0\0\r\n\r\n", "GET  \r\n\r\n"] {
        let answer = read_to_close(&mut said(&target, nonsense).await).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    target.is_fine().await;
}

#[tokio::test]
async fn a_sender_that_hangs_up_early_is_counted_like_any_other() {
    let target = Target::start("").await;
    let body = message("Gone", "firing");
    for _ in 0..20 {
        let text = format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len());
        drop(said(&target, &text).await);
    }
    eventually("each is counted once", async || {
        let (received, stored, duplicate, rejected) = (
            target.daemon.messages("received").await,
            target.daemon.messages("stored").await,
            target.daemon.messages("duplicate").await,
            target.daemon.messages("rejected").await,
        );
        // A reset can come before the request was read.
        (received > 1 && received == stored + duplicate + rejected).then_some(())
    })
    .await;
    target.is_fine().await;
}
