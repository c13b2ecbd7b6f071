//! TLS towards the server: whose certificate is believed, and what became of the handshake.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres::Socket;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::url::{PostgresUrl, Roots, SslMode};

/// What every handshake is done with, as the URL says. The error is for the operator.
pub(super) fn of(url: &PostgresUrl) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier {
        roots: match &url.roots {
            Roots::None => None,
            Roots::File(path) => Some(Authorities::read(path)?),
            Roots::System => Some(Authorities::public()),
        },
        names: url.sslmode == SslMode::VerifyFull,
        algorithms: provider.signature_verification_algorithms,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match &url.client {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config
            .with_client_auth_cert(certificates(certificate, "sslcert")?, private_key(key)?)
            .map_err(|error| format!("sslcert and sslkey do not fit together: {error}"))?,
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Believes a certificate as far as the mode of TLS asks. Whatever it believes, the server must prove
/// that it holds the certificate's key: SCRAM's channel binding rests on that.
#[derive(Debug)]
struct Verifier {
    /// Whom a certificate must lead to; `None`: any certificate will do.
    roots: Option<Authorities>,
    /// Whether it must be made out to the host.
    names: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.roots else {
            return Ok(ServerCertVerified::assertion());
        };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let chain = verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &authorities.roots,
            intermediates,
            now,
            self.algorithms.all,
        );
        match chain {
            Err(Error::InvalidCertificate(why))
                if is_of_an_authority(&why) && authorities.are(end_entity) => {}
            outcome => outcome?,
        }
        if self.names {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A server that signed its own certificate, as `openssl req -x509` makes it, is an authority by the
/// letter, and no authority may serve. Whoever named that very certificate in `sslrootcert` means it,
/// and OpenSSL takes it; its dates were checked before this was found.
pub(super) fn is_of_an_authority(why: &CertificateError) -> bool {
    matches!(why, CertificateError::Other(_)) && format!("{why:?}").contains("CaUsedAsEndEntity")
}

#[derive(Debug)]
struct Authorities {
    roots: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    fn read(path: &Path) -> Result<Self, String> {
        let certificates = certificates(path, "sslrootcert")?;
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
        if added == 0 {
            return Err(format!(
                "sslrootcert: {} holds no certificate that can be read",
                path.display()
            ));
        }
        Ok(Self {
            roots,
            certificates,
        })
    }

    fn public() -> Self {
        Self {
            roots: webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
            certificates: Vec::new(),
        }
    }

    fn are(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.iter().any(|it| it == certificate)
    }
}

fn certificates(path: &Path, parameter: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |why: String| format!("{parameter}: {} cannot be read: {why}", path.display());
    let found = CertificateDer::pem_file_iter(path)
        .map_err(|error| unreadable(error.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(error.to_string()))?;
    if found.is_empty() {
        return Err(unreadable(
            "it holds no `-----BEGIN CERTIFICATE-----`".into(),
        ));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        format!(
            "sslkey: {} cannot be read: {error}. It must be a PEM file without a pass phrase",
            path.display()
        )
    })
}

/// The handshake of one connection, told apart from what else can go wrong with it.
pub(super) struct Handshake {
    inner: MakeRustlsConnect,
    began: Arc<AtomicBool>,
}

impl Handshake {
    /// The handshake, and whether the server agreed to begin one.
    pub(super) fn new(inner: &MakeRustlsConnect) -> (Self, Arc<AtomicBool>) {
        let began = Arc::new(AtomicBool::new(false));
        let handshake = Self {
            inner: inner.clone(),
            began: Arc::clone(&began),
        };
        (handshake, began)
    }
}

/// The handshake did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct HandshakeFailed(pub(super) io::Error);

pub(super) type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

impl MakeTlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type TlsConnect = Begin;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<Begin, Infallible> {
        let inner = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.inner, host)?;
        Ok(Begin {
            inner,
            began: Arc::clone(&self.began),
        })
    }
}

/// A handshake with a host.
pub(super) struct Begin {
    inner: <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect,
    began: Arc<AtomicBool>,
}

impl TlsConnect<Socket> for Begin {
    type Stream = Stream;
    type Error = HandshakeFailed;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, HandshakeFailed>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        self.began.store(true, Ordering::Relaxed);
        Box::pin(async move { self.inner.connect(socket).await.map_err(HandshakeFailed) })
    }
}
