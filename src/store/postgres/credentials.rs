//! Who signs in to the database: the URL's user, or what somebody keeps elsewhere and may change.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::explain::both;
use super::url::PostgresUrl;
use crate::config;

/// Whom the settings name. The error says what to do about them.
pub fn of(url: &SecretString, settings: &config::Database) -> Result<Arc<dyn Credentials>, String> {
    match &settings.secret_arn {
        None => from_url(url),
        Some(arn) => from_secret(arn, settings),
    }
}

/// Nobody else can name what the URL leaves out, so no start waits for it.
fn from_url(url: &SecretString) -> Result<Arc<dyn Credentials>, String> {
    let url = PostgresUrl::parse(url.expose_secret());
    let url = url.map_err(|why| format!("DATABASE_URL: {why}"))?;
    let lacks = |what: &str, words| {
        let remedy = both(words);
        Err(format!(
            "DATABASE_URL names no {what}, and DATABASE_SECRET_ARN is not set. {remedy}"
        ))
    };
    if url.servers.iter().any(|server| server.host.is_none()) {
        return lacks("host", |words| words.no_host);
    }
    if url.user.is_none() {
        return lacks("user", |words| words.no_user);
    }
    Ok(Arc::new(FromUrl))
}

#[cfg(feature = "aws")]
fn from_secret(arn: &str, settings: &config::Database) -> Result<Arc<dyn Credentials>, String> {
    use crate::aws::{Aws, secret::FromSecret};
    use crate::clock::SystemClock;

    let aws = Aws::from_environment(Arc::new(SystemClock))?;
    // The rest of the time that a connection may take is the database's; and where AWS does not
    // answer, that is told, and not that the database is slow.
    let within = settings.connect_timeout * 2 / 3;
    Ok(Arc::new(FromSecret::new(Arc::new(aws), arn, within)))
}

#[cfg(not(feature = "aws"))]
fn from_secret(_: &str, _: &config::Database) -> Result<Arc<dyn Credentials>, String> {
    Err(
        "DATABASE_SECRET_ARN is set, and this program was built without the feature `aws`, which \
         reads secrets: build it with that feature, or write user and password into DATABASE_URL"
            .into(),
    )
}

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
#[derive(Clone, Default)]
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
