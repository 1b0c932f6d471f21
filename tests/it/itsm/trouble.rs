//! The real daemon beside a platform that is in trouble, and killed at every step of a create.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::daemon::{connector, in_sync, ticket};
use super::platforms::servicenow::ServiceNow;
use super::server::{Fault, Server};
use crate::support::daemon::{Daemon, Home};
use crate::support::database::{Engine, TestStore};
use crate::support::process::eventually;

/// The connector once something is wrong with it, and the incident that goes on all the same.
async fn in_trouble(daemon: &Daemon, words: &str) -> Value {
    let status = eventually("the connector says what is wrong", async || {
        let connectors = daemon.list("/api/v1/connectors").await;
        let error = connectors[0]["last_error"].as_str()?;
        error.contains(words).then(|| connectors[0].clone())
    })
    .await;
    assert_ne!(status["state"], "ok", "{status}");
    let incident = daemon.incident("untouched", |_| true).await;
    assert_eq!(incident["state"], "new");
    assert_eq!(incident["tickets"][0]["state"], "pending");
    status
}

/// Kills the daemon at each request of a create, before the platform did the work and after it, in the look-up that
/// follows too.
async fn killed_at_every_step(config: impl Fn(&str) -> String) {
    for at in 1..=3 {
        for is_after in [false, true] {
            let snow = Server::start(ServiceNow::default()).await;
            let home = Home::new(&config(&snow.url()));
            snow.fault(Fault::Hang { is_after });
            for _ in 1..at {
                // The looks before it are cut off as well.
                snow.fault(Fault::Hang { is_after });
            }
            for round in 1..=at {
                let mut daemon = home.start().await;
                if round == 1 {
                    daemon.alert("DiskFull", "firing").await;
                }
                eventually("a request hangs", async || {
                    (snow.hanging() >= round).then_some(())
                })
                .await;
                daemon.process.signal(Signal::KILL);
                daemon.process.ended().await;
            }
            let daemon = home.start().await;
            let incident = ticket(&daemon, "ticket", in_sync).await;
            assert_eq!(
                incident["tickets"][0]["id"], "INC0000001",
                "{at} {is_after}"
            );
            snow.inside(|snow| snow.only());
            daemon.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_of_a_create_makes_no_second_ticket() {
    killed_at_every_step(|url| connector(url, "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_of_a_create_makes_no_second_ticket_on_postgres() {
    let Some(store) = TestStore::make(Engine::Postgres).await else {
        return;
    };
    let url = store.url.clone();
    let snow = Server::start(ServiceNow::default()).await;
    let config = format!("{}[store]\nurl = \"{url}\"\n", connector(&snow.url(), ""));
    let home = Home::new(&config);
    snow.fault(Fault::Hang { is_after: true });
    let mut daemon = home.start().await;
    daemon.alert("DiskFull", "firing").await;
    eventually("the create hangs", async || {
        (snow.hanging() >= 1).then_some(())
    })
    .await;
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let daemon = home.start().await;
    let incident = ticket(&daemon, "ticket", in_sync).await;
    let number = incident["number"].as_str().unwrap().to_owned();
    notes_in_one_breath(&daemon, &snow, &number).await;
    daemon.stop().await;
}

/// An acknowledgement and many notes at once: all arrive, in their order, once.
async fn notes_in_one_breath(daemon: &Daemon, snow: &Server<ServiceNow>, number: &str) {
    let path = |command: &str| format!("/api/v1/incidents/{number}/{command}");
    daemon.post(&path("acknowledge"), &json!({})).await.ok();
    let said: Vec<String> = (0..12).map(|at| format!("note {at} of many")).collect();
    for text in &said {
        daemon
            .post(&path("notes"), &json!({"text": text}))
            .await
            .ok();
    }
    let id = snow.inside(|snow| snow.only()["sys_id"].as_str().unwrap().to_owned());
    let there = async || {
        let notes = snow.inside(|snow| snow.notes(&id));
        let last = notes.iter().any(|note| note.contains("note 11 of many"));
        last.then_some(notes)
    };
    let notes = eventually("the last note", there).await;
    let order: Vec<_> = said
        .iter()
        .map(|text| notes.iter().position(|note| note.contains(text)))
        .collect();
    assert!(
        order.iter().all(Option::is_some) && order.is_sorted(),
        "{notes:?}"
    );
    assert_eq!(notes.len(), said.len(), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_and_states_given_in_one_breath_all_arrive() {
    let snow = Server::start(ServiceNow::default()).await;
    let home = Home::new(&connector(&snow.url(), ""));
    let daemon = home.start().await;
    daemon.alert("DiskFull", "firing").await;
    let incident = ticket(&daemon, "ticket", in_sync).await;
    let number = incident["number"].as_str().unwrap().to_owned();
    notes_in_one_breath(&daemon, &snow, &number).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_for_people_and_an_answer_without_end_are_told_and_harmless() {
    let cases = [
        (Fault::Page, "a page for people"),
        (Fault::Flood(50), "larger than"),
    ];
    for (fault, words) in cases {
        let snow = Server::start(ServiceNow::default()).await;
        // Everything is answered so, looks included, until somebody mends it.
        snow.always(Some(fault));
        let home = Home::new(&connector(&snow.url(), ""));
        let daemon = home.start().await;
        daemon.alert("DiskFull", "firing").await;
        in_trouble(&daemon, words).await;
        assert!(daemon.process.peak_kib() < 600 * 1024, "{words}");
        snow.always(None);
        ticket(&daemon, "ticket", in_sync).await;
        snow.inside(|snow| snow.only());
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_trusts_is_told_and_nothing_is_sent() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut run = JoinSet::new();
    run.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            assert!(acceptor.accept(socket).await.is_err(), "nobody trusts it");
        }
    });
    let home = Home::new(&connector(&format!("https://localhost:{port}"), ""));
    let daemon = home.start().await;
    daemon.alert("DiskFull", "firing").await;
    in_trouble(&daemon, "certificate").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_without_an_agreed_secret_makes_us_look_and_one_with_a_wrong_one_does_not() {
    let snow = Server::start(ServiceNow::default()).await;
    let rare = |more: &str| {
        let config = connector(&snow.url(), more);
        config.replace("poll_every = \"1s\"", "poll_every = \"1h\"")
    };
    let home = Home::new(&rare(""));
    let daemon = home.start().await;
    daemon.alert("DiskFull", "firing").await;
    ticket(&daemon, "ticket", in_sync).await;
    let id = snow.inside(|snow| snow.only()["sys_id"].as_str().unwrap().to_owned());
    let held = json!({"state": "3", "hold_reason": "4"});
    snow.inside(|snow| snow.edit(&id, "lee", &held));
    let told = daemon.post("/hooks/snow", &json!({"sys_id": id})).await;
    assert_eq!(told.status, 202);
    daemon
        .incident("on hold", |it| it["state"] == "on_hold")
        .await;
    // One that names nothing makes us look what changed.
    snow.inside(|snow| snow.edit(&id, "lee", &json!({"state": "2"})));
    let told = daemon.post("/hooks/snow", &json!({"hello": true})).await;
    assert_eq!(told.status, 202);
    daemon
        .incident("goes on", |it| it["state"] == "in_progress")
        .await;
    daemon.stop().await;
    home.configure(&rare("hook_secret = \"hook-secret-word\""));
    let daemon = home.start().await;
    let refused = daemon.post("/hooks/snow", &json!({"sys_id": id})).await;
    assert_eq!(refused.status, 401);
    let signed = daemon.client.post(daemon.url("/hooks/snow"));
    let signed = signed.bearer_auth("hook-secret-word").body("{}");
    assert_eq!(daemon.send(signed).await.status, 202);
    daemon.stop().await;
}
