//! TLS listeners with certificates made here.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use watchbell::runtime::listen::Limits;
use watchbell::runtime::tls::{TlsConfig, TlsHolder, TlsPaths};

use crate::support::http::{H2Client, SHORT, TestServer, read_answer, read_to_close, say, soon};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A CA and a certificate signed by it.
struct Identity {
    ca: String,
    cert: String,
    key: String,
}

fn identity() -> Identity {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    Identity {
        ca: ca.pem(),
        cert: cert.pem(),
        key: key.serialize_pem(),
    }
}

fn store(folder: &Path, identity: &Identity) -> TlsPaths {
    let paths = TlsPaths {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
        client_ca: None,
    };
    fs::write(&paths.cert, &identity.cert).unwrap();
    fs::write(&paths.key, &identity.key).unwrap();
    paths
}

fn client(ca: &str, alpn: &str, own: Option<&Identity>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(own.cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn open(
    server: &TestServer,
    connector: TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    soon("handshake", connector.connect(name, server.connect().await)).await
}

fn start(paths: &TlsPaths) -> (TestServer, TlsHolder) {
    let holder = TlsHolder::load(paths).unwrap();
    (
        TestServer::start(Limits::default(), Some(holder.clone())),
        holder,
    )
}

#[tokio::test]
async fn version_is_chosen_by_alpn() {
    let (folder, identity) = (TempDir::new().unwrap(), identity());
    let (mut server, _) = start(&store(folder.path(), &identity));
    let mut stream = open(&server, client(&identity.ca, "http/1.1", None))
        .await
        .unwrap();
    say(&mut stream, GET).await;
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    let stream = open(&server, client(&identity.ca, "h2", None))
        .await
        .unwrap();
    let mut h2 = H2Client::over(stream).await;
    assert_eq!(h2.get("/").await.unwrap().0, StatusCode::OK);
    assert_eq!(server.drained().await.cut, 0);
}

#[tokio::test]
async fn stalled_handshake_and_silence_after_it_are_closed() {
    let (folder, identity) = (TempDir::new().unwrap(), identity());
    let holder = TlsHolder::load(&store(folder.path(), &identity)).unwrap();
    let limits = Limits {
        handshake_timeout: SHORT,
        header_timeout: SHORT,
        ..Limits::default()
    };
    let server = TestServer::start(limits, Some(holder));
    let mut silent = server.connect().await;
    assert_eq!(read_to_close(&mut silent).await, "");
    for alpn in ["h2", "http/1.1"] {
        // A loaded machine may need longer than the short limit for an honest handshake.
        if let Ok(mut stream) = open(&server, client(&identity.ca, alpn, None)).await {
            read_to_close(&mut stream).await;
        }
    }
}

#[tokio::test]
async fn reload_serves_the_new_certificate_and_keeps_open_connections() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (identity(), identity());
    let paths = store(folder.path(), &old);
    let (server, holder) = start(&paths);
    let mut before = open(&server, client(&old.ca, "http/1.1", None))
        .await
        .unwrap();

    store(folder.path(), &new);
    holder.reload(&paths).unwrap();
    assert!(
        open(&server, client(&old.ca, "http/1.1", None))
            .await
            .is_err()
    );
    assert!(
        open(&server, client(&new.ca, "http/1.1", None))
            .await
            .is_ok()
    );

    fs::write(folder.path().join("key.pem"), &old.key).unwrap();
    let error = holder.reload(&paths).unwrap_err().to_string();
    assert!(
        error.contains("cert.pem") && error.contains("key.pem"),
        "{error}"
    );
    assert!(
        open(&server, client(&new.ca, "http/1.1", None))
            .await
            .is_ok()
    );

    say(&mut before, GET).await;
    assert!(read_answer(&mut before).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn client_certificate_is_demanded_where_a_ca_is_given() {
    let (folder, identity, stranger) = (TempDir::new().unwrap(), identity(), identity());
    let mut paths = store(folder.path(), &identity);
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, &identity.ca).unwrap();
    paths.client_ca = Some(ca);
    let (server, _) = start(&paths);

    let known = client(&identity.ca, "http/1.1", Some(&identity));
    let mut stream = open(&server, known).await.unwrap();
    say(&mut stream, GET).await;
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200"));

    for own in [None, Some(&stranger)] {
        // In TLS 1.3 the client learns of the refusal only when it reads.
        if let Ok(mut stream) = open(&server, client(&identity.ca, "http/1.1", own)).await {
            drop(stream.write_all(GET.as_bytes()).await);
            assert_eq!(read_to_close(&mut stream).await, "");
        }
    }
}

#[test]
fn errors_name_the_file() {
    let (folder, identity) = (TempDir::new().unwrap(), identity());
    let good = store(folder.path(), &identity);
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "nothing here").unwrap();
    let missing = folder.path().join("missing.pem");
    let cases = [
        (
            TlsPaths {
                cert: missing.clone(),
                ..good.clone()
            },
            "missing.pem cannot be read",
        ),
        (
            TlsPaths {
                cert: empty.clone(),
                ..good.clone()
            },
            "empty.pem holds no usable certificate",
        ),
        (
            TlsPaths {
                key: empty.clone(),
                ..good.clone()
            },
            "empty.pem holds no usable private key",
        ),
        (
            TlsPaths {
                client_ca: Some(empty),
                ..good.clone()
            },
            "empty.pem holds no usable certificate",
        ),
        (
            TlsPaths {
                key: missing,
                ..good.clone()
            },
            "missing.pem cannot be read",
        ),
    ];
    for (paths, expected) in cases {
        let error = TlsConfig::load(&paths).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("PRIVATE KEY"), "{error}");
    }
    TlsConfig::load(&good).unwrap();
}
