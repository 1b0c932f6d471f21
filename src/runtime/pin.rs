//! Servers whose own certificate stands in the file of authorities: `openssl req -x509` makes one that is both, and the
//! usual check refuses an authority as a server.
//!
//! It counts when it is that very certificate, is valid now and has the server's name. Must not weaken any other check.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;

/// The usual check, and these certificates besides.
#[derive(Debug)]
pub(super) struct Pinned {
    usual: Arc<dyn ServerCertVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl Pinned {
    pub(super) fn new(
        usual: Arc<dyn ServerCertVerifier>,
        own: Vec<CertificateDer<'static>>,
    ) -> Arc<Self> {
        Arc::new(Self { usual, own })
    }
}

/// Whether all that is wrong is that the certificate is an authority's; its dates were looked at before that.
fn is_authority(error: &Error) -> bool {
    if let Error::InvalidCertificate(CertificateError::Other(other)) = error {
        return other.to_string().contains("CaUsedAsEndEntity");
    }
    false
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let usual = self.usual.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match usual {
            Err(error) if is_authority(&error) && self.own.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// The check for servers that the system's authorities vouch for, or those of a PEM text.
fn verifier(ca: &[u8], provider: &Arc<CryptoProvider>) -> Result<Arc<Pinned>, String> {
    let own = CertificateDer::pem_slice_iter(ca).collect::<Result<Vec<_>, _>>();
    let own = own.map_err(|error| error.to_string())?;
    if own.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    let usual = Verifier::new_with_extra_roots(own.clone(), Arc::clone(provider));
    let usual = usual.map_err(|error| error.to_string())?;
    Ok(Pinned::new(Arc::new(usual), own))
}

/// TLS towards servers that the system's authorities vouch for, or those of a PEM text.
///
/// # Errors
/// The text holds no certificate, or one that is none.
pub fn trusting(ca: &[u8]) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = verifier(ca, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    /// A certificate as `openssl req -x509` makes it.
    fn authority() -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["desk.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn own_certificate_of_a_server_counts_for_its_name_only_and_no_other_does() {
        let (own, other) = (authority(), authority());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = verifier(own.pem().as_bytes(), &provider).unwrap();
        let is_taken = |certificate: &rcgen::Certificate, name: &'static str| {
            let name = ServerName::try_from(name).unwrap();
            let checked =
                verifier.verify_server_cert(certificate.der(), &[], &name, &[], UnixTime::now());
            checked.is_ok()
        };
        assert!(is_taken(&own, "desk.example"));
        assert!(!is_taken(&own, "other.example"));
        assert!(!is_taken(&other, "desk.example"));
    }
}
