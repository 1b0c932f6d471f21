//! TLS for the listeners, and for connections to brokers: certificates from files, reload without dropping anyone.
//!
//! One provider (aws-lc-rs) chosen here explicitly, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, client certificates
//! when a CA for them is given. A reload swaps the whole configuration at once; connections keep the one they began
//! with, and a bad file keeps the old one. Must not log or return key material.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::BuilderVerifierExt as _;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::pin::Pinned;

/// The files of one TLS listener, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPaths {
    /// The certificate of the server, followed by its intermediates.
    pub cert: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
    /// When given, clients must show a certificate signed by one of these CAs.
    pub client_ca: Option<PathBuf>,
}

/// Why a TLS configuration could not be loaded. Every message names the file.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("TLS file {path} cannot be read: {cause}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file holds no usable PEM section of the wanted kind.
    #[error("TLS file {path} holds no usable {wanted} in PEM form: {cause}", path = .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// What the parser said.
        cause: pem::Error,
    },
    /// Certificate and key do not belong together, or one is not usable.
    #[error(
        "TLS certificate {cert} and key {key} cannot be used together: {cause}",
        cert = .cert.display(),
        key = .key.display()
    )]
    Pair {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What the library said.
        cause: rustls::Error,
    },
    /// A file of certificate authorities holds a certificate that is none.
    #[error("TLS CA file {path} cannot be used: {cause}", path = .path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What the library said.
        cause: String,
    },
    /// The provider does not support the wanted protocol versions.
    #[error("TLS cannot be set up: {0}")]
    Provider(rustls::Error),
}

/// Loads TLS configurations.
#[derive(Debug)]
pub struct TlsConfig;

impl TlsConfig {
    /// Reads the files and builds a configuration. Reads files: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`TlsError`] naming the file at fault.
    pub fn load(paths: &TlsPaths) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = certificates(&paths.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&paths.key)?)
            .map_err(|cause| pem_error(&paths.key, "private key", cause))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?;
        let builder = match &paths.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => builder.with_client_cert_verifier(client_verifier(path, provider)?),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|cause| TlsError::Pair {
                cert: paths.cert.clone(),
                key: paths.key.clone(),
                cause,
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The configuration that new connections get; a reload swaps it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TlsHolder(Arc<Held>);

#[derive(Debug)]
struct Held {
    config: ArcSwap<ServerConfig>,
}

impl TlsHolder {
    /// Loads `paths` for the first time. Reads files.
    ///
    /// # Errors
    /// As [`TlsConfig::load`].
    pub fn load(paths: &TlsPaths) -> Result<Self, TlsError> {
        let config = ArcSwap::new(TlsConfig::load(paths)?);
        Ok(Self(Arc::new(Held { config })))
    }

    /// Reads files again, the same or others; on an error new connections keep getting the old configuration.
    ///
    /// # Errors
    /// As [`TlsConfig::load`].
    pub fn reload(&self, paths: &TlsPaths) -> Result<(), TlsError> {
        self.0.config.store(TlsConfig::load(paths)?);
        Ok(())
    }

    /// The acceptor for the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.config.load_full())
    }
}

/// How we connect to somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTlsPaths {
    /// Certificate authorities of the other end, PEM; without it those of the system.
    pub ca: Option<PathBuf>,
    /// Our certificate with its intermediates, and its private key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Speaks TLS over a connection to `host`. The files are read each time, so that renewed certificates are used.
///
/// # Errors
/// In words: what failed, and that `ca_key` of the configuration is to be looked at.
pub async fn encrypt(
    tcp: TcpStream,
    host: &str,
    paths: ClientTlsPaths,
    ca_key: &str,
) -> Result<TlsStream<TcpStream>, String> {
    let config = tokio::task::spawn_blocking(move || client_config(&paths)).await;
    let config = config.map_err(|error| error.to_string())?;
    let config = config.map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host:?} is no name for a certificate"))?;
    let tls = TlsConnector::from(config).connect(name, tcp).await;
    tls.map_err(|error| {
        format!(
            "TLS failed: {error}; check the certificate authority ({ca_key}) and the name in the url"
        )
    })
}

/// The configuration of a connection to somebody else. Reads files.
///
/// # Errors
/// A file cannot be read or used.
pub fn client_config(paths: &ClientTlsPaths) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?;
    let builder = match &paths.ca {
        None => builder
            .with_platform_verifier()
            .map_err(TlsError::Provider)?,
        Some(path) => {
            let usual = WebPkiServerVerifier::builder_with_provider(
                Arc::new(roots(path)?),
                Arc::clone(builder.crypto_provider()),
            );
            let usual = usual.build().map_err(|cause| TlsError::ClientCa {
                path: path.clone(),
                cause: cause.to_string(),
            })?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Pinned::new(usual, certificates(path)?))
        }
    };
    let config = match &paths.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates(cert)?;
            let secret = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|cause| pem_error(key, "private key", cause))?;
            let pair = builder.with_client_auth_cert(chain, secret);
            pair.map_err(|cause| TlsError::Pair {
                cert: cert.clone(),
                key: key.clone(),
                cause,
            })?
        }
    };
    Ok(Arc::new(config))
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for cert in certificates(path)? {
        roots.add(cert).map_err(|cause| TlsError::ClientCa {
            path: path.to_owned(),
            cause: cause.to_string(),
        })?;
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|cause| TlsError::Read {
        path: path.to_owned(),
        cause,
    })
}

fn pem_error(path: &Path, wanted: &'static str, cause: pem::Error) -> TlsError {
    TlsError::Pem {
        path: path.to_owned(),
        wanted,
        cause,
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| pem_error(path, "certificate", cause))?;
    if chain.is_empty() {
        return Err(pem_error(path, "certificate", pem::Error::NoItemsFound));
    }
    Ok(chain)
}

fn client_verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let unusable = |cause: String| TlsError::ClientCa {
        path: path.to_owned(),
        cause,
    };
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider)
        .build()
        .map_err(|cause: VerifierBuilderError| unusable(cause.to_string()))
}
