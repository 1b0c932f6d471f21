//! Brokers and daemons that die, stores that take nothing, and brokers that refuse.

use std::fs;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::Signal;
use serde_json::Value;

use super::broker::Broker;
use super::{PLAIN, alert, connected, messages, received, source, status};
use crate::storage_faults::SmallDisk;
use crate::support::daemon::{Home, LISTEN};
use crate::support::database::skip;
use crate::support::process::eventually;
use crate::support::tools::find_tool;

/// Messages of one chunk; the publisher is told of all or it counts for nothing.
const CHUNK: usize = 60;

/// Numbered alerts, each a JSON object.
fn chunk(first: usize) -> Vec<String> {
    let numbers = first..first + CHUNK;
    numbers
        .map(|n| format!("{{\"alert\":\"a{n}\",\"message\":\"m\"}}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_daemon_and_broker_in_mid_stream_lose_nothing() {
    for (version, qos) in [(3, 1), (5, 1), (5, 2)] {
        let Some(mut broker) = Broker::start().await else {
            return;
        };
        let keys =
            format!("version = {version}\nsubscribe = [{{ filter = \"l/#\", qos = {qos} }}]");
        let home = Home::new(&format!("{LISTEN}{}", source("plant", &broker, &keys)));
        let mut daemon = home.start().await;
        connected(&daemon, "plant").await;
        let mut told = Vec::new();
        for round in 0..6 {
            let first = round * CHUNK;
            let lines = chunk(first);
            let base = messages(&daemon, "plant", "received").await;
            let (publishing, broker_ref) = (lines.clone(), &broker);
            let is_told = std::thread::scope(|scope| {
                let publisher =
                    scope.spawn(move || broker_ref.publish_lines("l/x", qos, &publishing));
                // In the middle of the chunk, or after it when it was faster.
                match round % 3 {
                    0 => daemon.process.signal(Signal::KILL),
                    1 => daemon.process.signal(Signal::TERM),
                    _ => {}
                }
                publisher.join().unwrap()
            });
            if is_told {
                told.extend(first..first + CHUNK);
            }
            if round % 3 < 2 {
                daemon.process.ended().await;
                daemon = home.start().await;
            } else {
                received(&daemon, "plant", base + 5).await;
                broker.down(Signal::TERM).await;
                broker.up().await;
            }
            connected(&daemon, "plant").await;
        }
        assert_eq!(told.len(), 6 * CHUNK, "the broker took everything");
        let alerts = eventually("every message", async || {
            let alerts = daemon.list("/api/v1/alerts?limit=500").await;
            (alerts.len() == told.len()).then_some(alerts)
        })
        .await;
        for n in told {
            let key = format!("plant:v1:l/x/a{n}");
            assert!(
                alerts.iter().any(|alert| alert["key"] == *key),
                "{key} is lost"
            );
        }
        let incidents = daemon.list("/api/v1/incidents?limit=500").await;
        assert_eq!(
            incidents.len(),
            alerts.len(),
            "no second incident for what came again"
        );
        daemon.process.never_said("defect");
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_hard_is_connected_to_again() {
    let Some(mut broker) = Broker::start().await else {
        return;
    };
    let home = Home::new(&format!(
        "{LISTEN}{}",
        source("plant", &broker, "subscribe = [\"l/#\"]")
    ));
    let daemon = home.start().await;
    connected(&daemon, "plant").await;
    broker.down(Signal::KILL).await;
    let lost = status(&daemon, "plant", "the loss", |it| {
        it["connection"]["connected"] == false
    })
    .await;
    assert!(lost["connection"]["since"].is_string());
    eventually("the reason", async || {
        let it = daemon.list("/api/v1/sources").await;
        it[0]["connection"]["last_error"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
    broker.up().await;
    connected(&daemon, "plant").await;
    broker.publish("l/x", 1, "ON");
    alert(&daemon, "plant:v1:l/x", "firing").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_we_are_away_is_kept_for_us() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let home = Home::new(&format!(
        "{LISTEN}{}{PLAIN}",
        source("plant", &broker, "subscribe = [\"l/#\"]")
    ));
    let daemon = home.start().await;
    connected(&daemon, "plant").await;
    daemon.stop().await;
    for n in 0..50 {
        broker.publish(&format!("l/{n}"), 1, "ON");
    }
    let daemon = home.start().await;
    received(&daemon, "plant", 50).await;
    alert(&daemon, "plant:v1:l/49", "firing").await;
    let kept = status(&daemon, "plant", "the session", |_| true).await;
    assert_eq!(kept["connection"]["session_kept"], true);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_makes_the_broker_wait() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let keys = "subscribe = [{ filter = \"l/#\", qos = 1 }]";
    let home = Home::new(&format!(
        "{LISTEN}{}{PLAIN}[store]\nurl = \"sqlite:disk/watchbell.db\"\n",
        source("plant", &broker, keys)
    ));
    let Some(disk) = SmallDisk::mount(&home) else {
        skip("a full disk: no tmpfs can be mounted here");
        return;
    };
    let daemon = home.start().await;
    connected(&daemon, "plant").await;
    disk.fill();
    let waits = |it: &Value| it["connection"]["waiting"] == true;
    let mut sent = 0_u64;
    // The log has some room of its own.
    loop {
        let text = format!(
            "{{\"n\":{sent},\"fill\":\"{}\"}}",
            "ab".repeat(usize::try_from(sent * 1000 % 8000).unwrap())
        );
        broker.publish(&format!("l/{sent}"), 1, text);
        sent += 1;
        let sources = daemon.list("/api/v1/sources").await;
        if waits(&sources[0]) || sent == 3000 {
            break;
        }
    }
    let full = status(&daemon, "plant", "the wait", waits).await;
    assert!(
        full["connection"]["last_error"]
            .as_str()
            .unwrap()
            .contains("full"),
        "{full}"
    );
    for _ in 0..20 {
        broker.publish(&format!("l/{sent}"), 1, "ON");
        sent += 1;
    }
    assert!(messages(&daemon, "plant", "stored").await < sent);
    disk.free();
    alert(&daemon, &format!("plant:v1:l/{}", sent - 1), "firing").await;
    let sum = async || {
        let stored = messages(&daemon, "plant", "stored").await;
        stored
            + messages(&daemon, "plant", "duplicate").await
            + messages(&daemon, "plant", "rejected").await
    };
    eventually("everything", async || (sum().await == sent).then_some(())).await;
    assert_eq!(
        messages(&daemon, "plant", "received").await,
        sent,
        "over one connection"
    );
    daemon.stop().await;
    drop(disk);
}

/// A broker that wants a certificate of its authority, and the user `ana` with the password `s3cret`.
async fn strict_broker() -> Option<Broker> {
    let password = find_tool("mosquitto_passwd", "mosquitto")?;
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose issuer is called like itself for self-signed.
    ca.distinguished_name.push(DnType::CommonName, "authority");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (
            params.signed_by(&key, &ca).unwrap().pem(),
            key.serialize_pem(),
        )
    };
    Broker::start_with(|folder| {
        let at = |name: &str| folder.join(name).display().to_string();
        let (server, client) = (signed("localhost"), signed("watchbell"));
        fs::write(at("ca.pem"), ca.pem()).unwrap();
        for (name, (cert, key)) in [("server", server), ("client", client)] {
            fs::write(at(&format!("{name}.pem")), cert).unwrap();
            fs::write(at(&format!("{name}.key")), key).unwrap();
        }
        let made = Command::new(password.path()).args(["-b", "-c", &at("users"), "ana", "s3cret"]).status();
        assert!(made.unwrap().success());
        format!(
            "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nallow_anonymous false\npassword_file {}\n",
            at("ca.pem"), at("server.pem"), at("server.key"), at("users"),
        )
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_with_certificates_and_a_password() {
    let Some(broker) = strict_broker().await else {
        return;
    };
    let file = |name: &str| broker.path(name).display().to_string();
    let config = |password: &str| {
        format!(
            "{LISTEN}[[source]]\nname = \"plant\"\nkind = \"mqtt\"\nurl = \"mqtts://localhost:{}\"\nsubscribe = [\"l/#\"]\n\
             user = \"ana\"\npassword = \"{password}\"\ntls = {{ ca = \"{}\", cert = \"{}\", key = \"{}\" }}\n{PLAIN}",
            broker.port,
            file("ca.pem"),
            file("client.pem"),
            file("client.key"),
        )
    };
    let home = Home::new(&config("wrong-password"));
    let mut daemon = home.start().await;
    let refused = status(&daemon, "plant", "the refusal", |it| {
        it["connection"]["last_error"].is_string()
    })
    .await;
    let why = refused["connection"]["last_error"].as_str().unwrap();
    assert!(why.contains("check user and password"), "{why}");
    let doctor = home.run(&["doctor", "--config", "w.toml"]);
    let said = String::from_utf8_lossy(&[doctor.stdout, doctor.stderr].concat()).into_owned();
    assert!(said.contains("check user and password"), "{said}");
    daemon.process.never_said("wrong-password");

    home.configure(&config("s3cret"));
    daemon.reload().await;
    connected(&daemon, "plant").await;
    let options = [
        "--cafile",
        &file("ca.pem"),
        "--cert",
        &file("client.pem"),
        "--key",
        &file("client.key"),
        "-u",
        "ana",
        "-P",
        "s3cret",
    ];
    broker.publish_by(&options, "l/x", 1, b"ON");
    alert(&daemon, "plant:v1:l/x", "firing").await;
    daemon.stop().await;
}
