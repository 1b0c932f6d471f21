//! E-mail and MQTT to real servers, over TLS: what a mailbox and a subscriber get.

use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use crate::mqtt::broker::Broker;
use crate::support::daemon::{Home, LISTEN};
use crate::support::process::{Process, eventually};
use crate::support::tools::find_tool;

const AT_ONCE: &str = "[incident]\nrecover_after = \"0s\"\n[settle]\nP1 = \"0s\"\nP2 = \"0s\"\nP3 = \"0s\"\n\
    [[source]]\nname = \"am\"\nkind = \"alertmanager\"\n";

/// An authority and a certificate of `localhost` by it, as PEM files in a folder.
fn certificates(folder: &Path) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "authority");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    let cert = server.signed_by(&key, &ca).unwrap().pem();
    fs::write(folder.join("server.pem"), cert).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

/// The mails in a mailbox of the server, oldest first.
pub(super) fn mails(folder: &Path) -> Vec<String> {
    let Ok(files) = fs::read_dir(folder.join("mail/new")) else {
        return Vec::new();
    };
    let mut mails: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    mails.sort_by_key(|file| fs::metadata(file).unwrap().modified().unwrap());
    mails
        .into_iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

pub(super) fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let head = format!("{name}: ");
    let mut lines = mail.lines();
    lines
        .find_map(|line| line.strip_prefix(&head))
        .unwrap_or("")
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_of_an_incident_are_a_thread_and_travel_encrypted() {
    let Some(server) = find_tool("aiosmtpd", "python3-aiosmtpd") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    certificates(folder.path());
    let probe = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let mut command = Command::new(server.path());
    command.current_dir(folder.path()).args([
        "-n",
        "-l",
        &format!("127.0.0.1:{port}"),
        "--tlscert",
        "server.pem",
        "--tlskey",
        "server.key",
        "-c",
        "aiosmtpd.handlers.Mailbox",
        "mail",
    ]);
    let _running = Process::start("aiosmtpd", &mut command);
    eventually("the mail server listens", async || {
        TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    let ca = folder.path().join("ca.pem");
    let home = Home::new(&format!(
        "{LISTEN}external_url = \"https://wb.example\"\n{AT_ONCE}[[target]]\nname = \"mail\"\nkind = \"email\"\n\
         url = \"smtp+starttls://localhost:{port}\"\nca = \"{}\"\nfrom = \"Watchbell <wb@x.example>\"\n\
         to = [\"ops@x.example\"]\nallow_private = true\n",
        ca.display()
    ));
    let daemon = home.start().await;
    daemon.alert("A", "firing").await;
    let place = folder.path();
    eventually("a mail", async || (mails(place).len() == 1).then_some(())).await;
    daemon.alert("A", "resolved").await;
    eventually("two mails", async || {
        (mails(place).len() == 2).then_some(())
    })
    .await;
    let mails = mails(place);
    let (opened, resolved) = (&mails[0], &mails[1]);
    assert!(header(opened, "Subject").contains("INC-1"), "{opened}");
    assert!(
        header(resolved, "Subject").contains("resolved"),
        "{resolved}"
    );
    assert_eq!(
        header(resolved, "In-Reply-To"),
        header(opened, "Message-ID")
    );
    for part in ["text/plain", "text/html", "https://wb.example/answer/"] {
        let whole = opened.replace("=\n", "");
        assert!(whole.contains(part), "no {part}: {opened}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_published_over_tls_and_wait_for_a_broker_that_is_away() {
    let Some(subscriber) = find_tool("mosquitto_sub", "mosquitto-clients") else {
        return;
    };
    let broker = Broker::start_with(|folder| {
        certificates(folder);
        let at = |name: &str| folder.join(name).display().to_string();
        format!(
            "certfile {}\nkeyfile {}\nallow_anonymous true\n",
            at("server.pem"),
            at("server.key")
        )
    })
    .await;
    let Some(mut broker) = broker else {
        return;
    };
    let ca = broker.path("ca.pem").display().to_string();
    let port = broker.port.to_string();
    // What it hears is read from its errors.
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" >&2"]);
    command.arg(subscriber.path()).args([
        "-h",
        "localhost",
        "-p",
        &port,
        "--cafile",
        &ca,
        "-t",
        "ops/#",
        "-i",
        "reader",
        "-c",
        "-q",
        "1",
    ]);
    let mut heard = Process::start("mosquitto_sub", &mut command);
    let home = Home::new(&format!(
        "{LISTEN}{AT_ONCE}[[target]]\nname = \"bus\"\nkind = \"mqtt\"\nurl = \"mqtts://localhost:{port}\"\nca = \"{ca}\"\n\
         topic = \"ops/incidents\"\nallow_private = true\n"
    ));
    let daemon = home.start().await;
    daemon.alert("A", "firing").await;
    heard.line("\"incident.opened\"").await;
    broker.down(rustix::process::Signal::TERM).await;
    daemon.alert("A", "resolved").await;
    eventually("a failed try", async || {
        let items = daemon.list("/api/v1/outbox?state=pending").await;
        items
            .iter()
            .any(|it| it["attempts"].as_i64() > Some(0))
            .then_some(())
    })
    .await;
    broker.up().await;
    heard.line("\"incident.resolved\"").await;
    daemon.stop().await;
}
