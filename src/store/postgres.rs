//! PostgreSQL: accounts, what follows from their changes, and the audit trail, past one machine.
//!
//! Nothing connects before it is asked, and a connection that failed is made anew by the next that
//! asks: a server that was away is used again as soon as it is back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::schema::{Missing, Schema};
use super::{Error, Store};
use crate::config;
use connect::Connector;
use credentials::Credentials;
use pool::Pool;
use url::PostgresUrl;

mod connect;
pub mod credentials;
pub mod examine;
mod explain;
mod migrate;
mod parameter;
mod pool;
mod replica;
mod room;
pub mod statements;
mod tls;
mod url;
mod users;

/// How long a check's write stands for those that follow: anyone may ask, and each costs a fsync.
const CHECKED_FOR: Duration = Duration::from_secs(1);

/// Proves that a commit comes through, synchronous replicas included, and needs no table for it.
const WRITE: &str = "SELECT pg_logical_emit_message(true, 'aidlc-auth', 'check')::text";
const LOOK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, \
     pg_is_in_recovery() OR current_setting('transaction_read_only')::bool";

/// A server, or several that follow one another.
pub struct Postgres {
    primary: Pool,
    /// For reads that decide nothing.
    replica: Option<Pool>,
    settings: config::Database,
    /// When a check last wrote.
    checked_at: Mutex<Option<Instant>>,
}

impl Postgres {
    /// The server that the settings name, which is not connected to yet. The error says what to do
    /// about the settings.
    pub fn new(
        url: &SecretString,
        settings: &config::Database,
        credentials: Arc<dyn Credentials>,
    ) -> Result<Self, String> {
        let named = |name: &'static str| move |why: String| format!("{name}: {why}");
        let primary = PostgresUrl::parse(url.expose_secret()).map_err(named("DATABASE_URL"))?;
        let replica = match &settings.replica_url {
            None => None,
            Some(url) => {
                let name = "DATABASE_REPLICA_URL";
                let url = PostgresUrl::parse(url.expose_secret()).map_err(named(name))?;
                let url = url.signing_in_as(&primary);
                let settings = replica::less_patient(settings);
                let connector = Connector::new(url, &settings, Arc::clone(&credentials), true);
                Some(Pool::new(connector.map_err(named(name))?, &settings)?)
            }
        };
        let connector = Connector::new(primary, settings, credentials, false);
        Ok(Self {
            primary: Pool::new(connector.map_err(named("DATABASE_URL"))?, settings)?,
            replica,
            settings: settings.clone(),
            checked_at: Mutex::new(None),
        })
    }

    /// What the database's schema is, beside what this release knows. Changes nothing.
    pub async fn schema(&self) -> Result<Schema, Error> {
        migrate::look(&self.primary).await
    }

    /// Brings the schema up to date, and tells what it lacked.
    pub async fn migrate(&self) -> Result<Missing, Error> {
        migrate::run(&self.primary).await
    }

    fn checked_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.checked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Postgres {
    fn place(&self) -> String {
        self.primary.place()
    }

    fn kind(&self) -> &'static str {
        "postgresql"
    }

    async fn prepare(&self) -> Result<(), Error> {
        if self.settings.migrate_at_start {
            for version in self.migrate().await?.versions {
                tracing::info!(version, "the database's schema was brought up to date");
            }
        } else {
            // Someone is about to migrate: the service waits for it.
            self.schema().await?.check().map_err(Error::Unavailable)?;
        }
        room::look(&self.primary, &self.settings).await?;
        if let Some(replica) = &self.replica {
            replica::look(replica).await;
        }
        Ok(())
    }

    async fn check(&self) -> Result<Timestamp, Error> {
        let was_just_checked = self
            .checked_at()
            .is_some_and(|at| at.elapsed() < CHECKED_FOR);
        if !was_just_checked {
            self.primary.query(WRITE, &[]).await?;
            *self.checked_at() = Some(Instant::now());
        }
        let rows = self.primary.read(LOOK, &[]).await?;
        let row = rows
            .first()
            .ok_or_else(|| Error::Broken("no row of one".into()))?;
        if row.get(1) {
            return Err(self.primary.takes_no_writes());
        }
        Ok(super::instant(row.get(0)))
    }
}
