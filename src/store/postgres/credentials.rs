//! Who signs in to the database: the URL's user, or what somebody keeps elsewhere and may change.

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

/// Who signs in to the database: asked for at every connect, so that a changed password needs no
/// restart.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Tells what to sign in with. `again`: what was told last was refused, so read it anew. The
    /// error is for the log, with its remedy and without secrets.
    async fn login(&self, again: bool) -> Result<Login, String>;
}

/// What to sign in with: user and password go before the URL's; host, port and database fill in what
/// the URL leaves out.
#[derive(Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Login {
    pub username: Option<String>,
    pub password: Option<SecretString>,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub dbname: Option<String>,
}

impl Login {
    /// Whether the server would be told the same: then asking it again is of no use.
    pub(super) fn says_the_same_as(&self, other: &Login) -> bool {
        let password = |login: &Login| {
            login
                .password
                .as_ref()
                .map(|it| it.expose_secret().to_owned())
        };
        self.username == other.username && password(self) == password(other)
    }
}

/// Whoever the URL names.
pub struct FromUrl;

#[async_trait]
impl Credentials for FromUrl {
    async fn login(&self, _again: bool) -> Result<Login, String> {
        Ok(Login::default())
    }
}
