//! Who signs in to the database: what the URL says, or a secret that may change while we run.

use async_trait::async_trait;
use secrecy::SecretString;

/// Who signs in to the database: asked for at every connect.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// `again`: what was told last was refused (28P01), so read it anew. The error is a sentence
    /// for the operator, without any value of a secret.
    async fn login(&self, again: bool) -> Result<Login, String>;
}

/// Whatever is there goes before what the URL says (user and password) or fills in what it leaves
/// out (host, port, dbname).
#[derive(Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Login {
    pub username: Option<String>,
    pub password: Option<SecretString>,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub dbname: Option<String>,
}

/// Leaves everything to the URL.
pub struct FromUrl;

#[async_trait]
impl Credentials for FromUrl {
    async fn login(&self, _: bool) -> Result<Login, String> {
        Ok(Login::default())
    }
}
