//! `DATABASE_REPLICA_URL`: a server that follows the primary and answers what decides nothing. It may
//! be behind, or away, and then the primary answers.

use tokio_postgres::Row;

use super::Postgres;
use super::parameter::Parameter;
use super::pool::Pool;
use crate::config;
use crate::store::Error;

/// Half the time, so that the primary can still be asked after it.
pub(super) fn less_patient(settings: &config::Database) -> config::Database {
    config::Database {
        connect_timeout: settings.connect_timeout / 2,
        query_timeout: settings.query_timeout / 2,
        ..settings.clone()
    }
}

/// Warns of one that cannot be read: the service does without it.
pub(super) async fn look(replica: &Pool) {
    if let Err(why) = replica.read("SELECT version FROM schema", &[]).await {
        tracing::warn!(%why, replica = replica.place(), "the replica cannot be read; the primary answers for it");
    }
}

impl Postgres {
    /// Runs a statement whose answer decides nothing, and may be of a moment ago.
    pub(super) async fn read_anywhere(
        &self,
        statement: &'static str,
        parameters: &[&dyn Parameter],
    ) -> Result<Vec<Row>, Error> {
        if let Some(replica) = &self.replica {
            match replica.read(statement, parameters).await {
                Err(Error::Unavailable(why)) => {
                    tracing::warn!(why, "the primary answers for the replica")
                }
                outcome => return outcome,
            }
        }
        self.primary.read(statement, parameters).await
    }
}
