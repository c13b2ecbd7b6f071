//! Signature Version 4 once more, from its description and not from the crate that signs: so the
//! stand-in would notice if what we send were not what AWS expects.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use aws_lc_rs::{digest, hmac};
use axum::http::HeaderMap;

/// The parts of an `Authorization` header.
pub struct Authorization<'a> {
    pub access_key: &'a str,
    pub region: &'a str,
    pub service: &'a str,
    pub signed_headers: &'a str,
    /// `20261102/ap-northeast-2/secretsmanager/aws4_request`.
    scope: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    pub fn parse(header: &'a str) -> Option<Self> {
        let fields = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| {
            let mut fields = fields.split(',').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let (access_key, scope) = field("Credential")?.split_once('/')?;
        let mut scoped = scope.split('/').skip(1);
        Some(Self {
            access_key,
            region: scoped.next()?,
            service: scoped.next()?,
            signed_headers: field("SignedHeaders")?,
            scope,
            signature: field("Signature")?,
        })
    }

    /// Whether the signature is that of this call (`POST /path`) under this key.
    pub fn is_of(&self, secret_key: &str, call: &str, headers: &HeaderMap, body: &[u8]) -> bool {
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(at) = value("x-amz-date") else {
            return false;
        };
        let mut canonical = format!("{}\n\n", call.replacen(' ', "\n", 1));
        for name in self.signed_headers.split(';') {
            let value = value(name).unwrap_or_default().trim();
            canonical.push_str(&format!("{name}:{value}\n"));
        }
        canonical.push_str(&format!("\n{}\n{}", self.signed_headers, sha256(body)));
        let scope = self.scope;
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{at}\n{scope}\n{}",
            sha256(canonical.as_bytes())
        );
        let key = scope
            .split('/')
            .fold(format!("AWS4{secret_key}").into_bytes(), |key, part| {
                sign(&key, part)
            });
        hex(&sign(&key, &to_sign)) == self.signature && scope.starts_with(&at[..8])
    }
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
