//! What the service manager and clients with certificates see.

use std::os::unix::net::UnixDatagram;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;

use super::{config, socket_activated};
use crate::support::daemon::{Daemon, Home, client, message};
use crate::support::http::PATIENCE;

/// The service manager's end of the socket.
fn manager(home: &Home) -> UnixDatagram {
    let socket = UnixDatagram::bind(home.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The next notice that is not a sign of life.
fn notice(socket: &UnixDatagram) -> String {
    loop {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).expect("a notice");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text != "WATCHDOG=1\n" {
            return text;
        }
    }
}

#[tokio::test]
async fn the_service_manager_is_told() {
    let home = Home::new(&config("")).set("NOTIFY_SOCKET", "notify");
    let socket = manager(&home);
    let mut daemon = home.start().await;
    assert_eq!(notice(&socket), "READY=1\n");
    for (more, said) in [("", "was reloaded"), ("nonsense = 1", "is not valid")] {
        home.configure(&config(more));
        assert!(daemon.reload().await.contains(said));
        let reloading = notice(&socket);
        let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(usec.is_some_and(|usec| usec.trim().parse::<u64>().is_ok()));
        assert_eq!(notice(&socket), "READY=1\n");
    }
    daemon.process.signal(Signal::TERM);
    assert_eq!(notice(&socket), "STOPPING=1\n");
    assert!(daemon.process.ended().await.success());
}

#[tokio::test]
async fn the_watchdog_is_fed() {
    let home = Home::new(&config(""))
        .set("NOTIFY_SOCKET", "notify")
        .set("WATCHDOG_USEC", "2000000");
    let socket = manager(&home);
    let _daemon = home.start().await;
    let mut pings = 0;
    while pings < 3 {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).expect("a ping");
        pings += usize::from(&buffer[..length] == b"WATCHDOG=1\n");
    }
}

#[tokio::test]
async fn an_inherited_socket_loses_nobody_over_a_restart() {
    let home = Home::new(&config(""));
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let daemon = Daemon::start(&mut socket_activated(&home, &socket)).await;
    assert_eq!(daemon.address, address, "not the configured address");
    daemon.alert("One", "firing").await;
    daemon.stop().await;

    // Nobody serves now, but nobody is refused either.
    let url = format!("http://{address}/ingest/am");
    let waiting = client(None).post(url).body(message("One", "resolved"));
    let start = async {
        let daemon = Daemon::start(&mut socket_activated(&home, &socket)).await;
        assert_eq!(daemon.address, address);
        daemon
    };
    let (answer, daemon) = tokio::join!(waiting.send(), start);
    assert_eq!(answer.unwrap().status().as_u16(), 202);
    let over = |incident: &serde_json::Value| !incident["recovers_at"].is_null();
    daemon.incident("its end has come", over).await;
}

/// A certificate for `localhost` in the home, and the authority to trust.
fn certify(home: &Home, name: &str) -> String {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    std::fs::write(home.path(&format!("{name}.pem")), cert.pem()).unwrap();
    std::fs::write(home.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    ca.pem()
}

#[tokio::test]
async fn certificates_are_read_again_also_from_other_files() {
    let tls = |name: &str| {
        config(&format!(
            "tls = {{ cert = \"{name}.pem\", key = \"{name}.key\" }}"
        ))
    };
    let home = Home::new(&tls("a"));
    let first = certify(&home, "a");
    let mut daemon = home.start().await;
    let healthy = async |daemon: &Daemon, ca: &str| {
        let answer = client(Some(ca)).get(daemon.url("/healthz")).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    };
    assert!(healthy(&daemon, &first).await);

    let same_files = certify(&home, "a");
    assert!(daemon.reload().await.contains("was reloaded"));
    assert!(healthy(&daemon, &same_files).await);
    assert!(!healthy(&daemon, &first).await);

    let other_files = certify(&home, "b");
    home.configure(&tls("b"));
    assert!(daemon.reload().await.contains("was reloaded"));
    assert!(healthy(&daemon, &other_files).await);

    std::fs::write(home.path("b.pem"), "no certificate").unwrap();
    daemon.reload().await;
    daemon
        .process
        .line("the certificate was not reloaded")
        .await;
    assert!(healthy(&daemon, &other_files).await);
    daemon.client = client(Some(&other_files));
    daemon.alert("Over TLS", "firing").await;
}
