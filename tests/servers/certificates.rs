//! Certificates by an authority of the tests' own.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub chain: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "tests' own authority");
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(parameters, key).unwrap())
    }

    /// Its own certificate, which those who trust it have.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a server that has these names; those that are IP addresses become such.
    pub fn server(&self, names: &[&str]) -> Certificate {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.signed(parameters)
    }

    /// One that a server with these names signed itself, as `openssl req -x509` does: it may sign too.
    pub fn itself(&self, names: &[&str]) -> Certificate {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Certificate {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// For a client that signs in by this name.
    pub fn client(&self, user: &str) -> Certificate {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, user);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.signed(parameters)
    }

    fn signed(&self, parameters: CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Certificate {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}
