//! What a client may do to the HTTP listeners, and what it gets for it.

use std::time::Duration;

use axum::http::{Request, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use watchbell::runtime::listen::{Drained, Limits};

use crate::support::http::{H2Client, SHORT, TestServer, read_answer, read_to_close, say, soon};

const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An HTTP/2 SETTINGS frame without settings.
const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn impatient() -> Limits {
    Limits {
        header_timeout: SHORT,
        handshake_timeout: SHORT,
        ..Limits::default()
    }
}

#[tokio::test]
async fn client_without_a_whole_request_head_is_closed() {
    let server = TestServer::start(impatient(), None);
    let starts = [
        "",
        "G",
        "GET / HTTP/1.1\r\nHost: x\r\n",
        "P",
        "PRI * HTTP",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
        PREFACE,
    ];
    for start in starts {
        let mut client = server.connect().await;
        say(&mut client, start).await;
        let answer = read_to_close(&mut client).await;
        assert!(
            !answer.starts_with("HTTP/1.1 2"),
            "{start:?} was answered {answer:?}"
        );
    }
}

#[tokio::test]
async fn dripping_request_head_is_closed() {
    let server = TestServer::start(impatient(), None);
    for start in ["GET / HTTP/1.1\r\nHost: x\r\nX-Drip: ", ""] {
        let mut client = server.connect().await;
        say(&mut client, start).await;
        let drip = async {
            while client.write_all(b"P").await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        soon("dripping ends", drip).await;
    }
}

#[tokio::test]
async fn http2_client_that_asks_nothing_is_closed() {
    let server = TestServer::start(impatient(), None);
    let mut client = server.connect().await;
    client.write_all(PREFACE.as_bytes()).await.unwrap();
    client.write_all(EMPTY_SETTINGS).await.unwrap();
    read_to_close(&mut client).await;
}

#[tokio::test]
async fn both_versions_are_served_in_cleartext_and_know_their_peer() {
    let server = TestServer::start(Limits::default(), None);
    let mut client = server.connect().await;
    let peer = client.local_addr().unwrap().to_string();
    for _ in 0..2 {
        say(&mut client, GET).await;
        let answer = read_answer(&mut client).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with(&peer),
            "{answer}"
        );
    }
    let stream = server.connect().await;
    let peer = stream.local_addr().unwrap().to_string();
    let mut client = H2Client::over(stream).await;
    for _ in 0..2 {
        assert_eq!(
            client.get("/").await.unwrap(),
            (StatusCode::OK, peer.clone())
        );
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let limits = Limits {
        header_timeout: SHORT,
        idle_timeout: SHORT,
        ..Limits::default()
    };
    let server = TestServer::start(limits, None);
    let mut client = server.connect().await;
    say(&mut client, GET).await;
    assert!(read_to_close(&mut client).await.starts_with("HTTP/1.1 200"));
    let mut client = H2Client::over(server.connect().await).await;
    client.get("/").await.unwrap();
    client.closed().await;
}

#[tokio::test]
async fn request_in_progress_is_not_idle() {
    let idle_timeout = Duration::from_millis(500);
    let limits = Limits {
        header_timeout: SHORT,
        idle_timeout,
        ..Limits::default()
    };
    let server = TestServer::start(limits, None);
    let mut client = H2Client::over(server.connect().await).await;
    let gate = server.gate.clone();
    let late = async {
        server.entered().await;
        sleep(2 * idle_timeout).await;
        gate.open.add_permits(1);
    };
    let (answer, ()) = tokio::join!(client.get("/slow"), late);
    assert_eq!(answer.unwrap().1, "finished");
    assert_eq!(client.get("/").await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn too_large_heads_are_answered_431() {
    let server = TestServer::start(Limits::default(), None);
    let large = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "y".repeat(17 * 1024)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X: y\r\n".repeat(101)
    );
    for head in [large, many] {
        let mut client = server.connect().await;
        say(&mut client, &head).await;
        let answer = read_to_close(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let mut client = H2Client::over(server.connect().await).await;
    let request = Request::get("http://localhost/").header("x", "y".repeat(17 * 1024));
    assert!(!matches!(
        client.request(request).await,
        Ok((StatusCode::OK, _))
    ));
}

#[tokio::test]
async fn handler_sees_that_a_body_stalled() {
    let limits = Limits {
        body_timeout: SHORT,
        ..Limits::default()
    };
    let server = TestServer::start(limits, None);
    let mut client = server.connect().await;
    say(
        &mut client,
        "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    assert!(read_answer(&mut client).await.ends_with("\r\n\r\n5"));
    say(
        &mut client,
        "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhel",
    )
    .await;
    let answer = read_to_close(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn reader_that_stops_reading_loses_its_connection() {
    // With one slot, the second client is served only after the first was closed.
    let limits = Limits {
        write_timeout: SHORT,
        connections: 1,
        ..Limits::default()
    };
    let server = TestServer::start(limits, None);
    let mut stalled = server.connect().await;
    say(&mut stalled, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut next = server.connect().await;
    say(&mut next, GET).await;
    assert!(read_answer(&mut next).await.starts_with("HTTP/1.1 200"));
    assert!(read_to_close(&mut stalled).await.len() < 64 * 1024 * 1024);
}

#[tokio::test]
async fn clients_beyond_the_cap_wait_until_one_leaves() {
    let server = TestServer::start(
        Limits {
            connections: 1,
            ..Limits::default()
        },
        None,
    );
    let mut first = server.connect().await;
    say(
        &mut first,
        "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    server.entered().await;
    let mut second = server.connect().await;
    say(&mut second, GET).await;
    assert!(
        timeout(SHORT, second.readable()).await.is_err(),
        "served beyond the cap"
    );
    server.gate.open.add_permits(1);
    assert!(read_to_close(&mut first).await.ends_with("finished"));
    assert!(read_answer(&mut second).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn drain_closes_idle_and_silent_connections() {
    let mut server = TestServer::start(Limits::default(), None);
    let mut idle = server.connect().await;
    say(&mut idle, GET).await;
    read_answer(&mut idle).await;
    let mut idle_h2 = H2Client::over(server.connect().await).await;
    idle_h2.get("/").await.unwrap();
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    say(&mut half, "GET / HT").await;
    // Accepted in order: an answer here means that those before were accepted too.
    let mut last = server.connect().await;
    say(&mut last, GET).await;
    read_answer(&mut last).await;
    assert_eq!(server.drained().await, Drained { cut: 0 });
    for stream in [&mut idle, &mut silent, &mut half, &mut last] {
        read_to_close(stream).await;
    }
    idle_h2.closed().await;
}

#[tokio::test]
async fn drain_finishes_what_is_in_progress_and_takes_nothing_new() {
    let mut server = TestServer::start(Limits::default(), None);
    let mut client = server.connect().await;
    say(&mut client, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.entered().await;
    let mut h2 = H2Client::over(server.connect().await).await;
    let (address, gate) = (server.address, server.gate.clone());
    let script = async {
        server.entered().await;
        server.stop();
        let refused = async { while TcpStream::connect(address).await.is_ok() {} };
        soon("refusal of new connections", refused).await;
        gate.open.add_permits(2);
    };
    let (answer, ()) = tokio::join!(h2.get("/slow"), script);
    assert_eq!(answer.unwrap().1, "finished");
    let answer = read_to_close(&mut client).await.to_lowercase();
    assert!(
        answer.contains("connection: close") && answer.ends_with("finished"),
        "{answer}"
    );
    assert_eq!(server.drained().await, Drained { cut: 0 });
}

#[tokio::test]
async fn drain_cuts_off_at_its_deadline() {
    let limits = Limits {
        drain_timeout: SHORT,
        ..Limits::default()
    };
    let mut server = TestServer::start(limits, None);
    let mut client = server.connect().await;
    say(&mut client, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.entered().await;
    assert_eq!(server.drained().await, Drained { cut: 1 });
    assert_eq!(read_to_close(&mut client).await, "");
}
