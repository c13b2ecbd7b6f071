//! The schema: brought up to date in one transaction under a lock, once, by any number of starters.
//!
//! A process that dies in the middle leaves nothing behind, and the next one starts over.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::GenericClient;
use tokio_postgres::error::SqlState;

use super::connect::Connection;
use super::explain::{NotAnswered, Words, broken, unavailable};
use super::pool::Pool;
use crate::store::Error;
use crate::store::schema::{Found, Migrations, Missing, Schema};

/// Every migration, in order. Never edit one that was released: write the next, and so that a
/// statement takes seconds on a large table, for longer would stop production ([`LIMITS`]).
const MIGRATIONS: Migrations = Migrations {
    texts: &[
        include_str!("../../../migrations/postgres/0001_init.sql"),
        include_str!("../../../migrations/postgres/0002_suppressed_addresses.sql"),
    ],
    oldest_compatible: 1,
    tables: "CREATE TABLE IF NOT EXISTS schema (
    one smallint PRIMARY KEY CHECK (one = 1),
    version bigint NOT NULL,
    oldest_compatible bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS migrations (version bigint PRIMARY KEY, checksum bytea NOT NULL);",
    bytes: |digits| format!("'\\x{digits}'"),
};

/// Then the server is gone, whatever TCP says, or the migrations are far too large.
const PATIENCE: Duration = Duration::from_secs(300);

/// Waits for its turn among the starters. The lock ends with the transaction, behind a pooler too.
const TURN: &str = "SET LOCAL lock_timeout = '30s';
    SET LOCAL statement_timeout = '60s';
    SET LOCAL idle_in_transaction_session_timeout = '60s';
    SELECT pg_advisory_xact_lock(7019267229268438388)"; // "aidlcaut"

/// Whoever waits to change a table makes all others wait behind: not long, and rather again later.
const LIMITS: &str = "SET LOCAL lock_timeout = '2s'";

/// What there is. Changes nothing.
pub(super) async fn look(pool: &Pool) -> Result<Schema, Error> {
    let connection = pool.alone().await?;
    bounded(connection, async |connection| read(&**connection).await).await
}

/// Applies what is missing, and tells it.
pub(super) async fn run(pool: &Pool) -> Result<Missing, Error> {
    let connection = pool.alone().await?;
    bounded(connection, async |connection| {
        // Most starts find nothing to do, and need neither the lock nor the right to make tables.
        if missing(read(&**connection).await?)?.versions.is_empty() {
            return Ok(Missing::default());
        }
        let transaction = connection.transaction().await.map_err(explain)?;
        let turn = transaction.batch_execute(TURN).await;
        turn.map_err(|error| waited(error, |words| words.migration_turn))?;
        transaction.batch_execute(LIMITS).await.map_err(explain)?;
        // Another may have done it while this one waited.
        let missing = missing(read(&transaction).await?)?;
        let applied = transaction.batch_execute(&missing.sql).await;
        applied.map_err(|error| waited(error, |words| words.migration_lock))?;
        transaction.commit().await.map_err(explain)?;
        Ok(missing)
    })
    .await
}

async fn bounded<T>(
    mut connection: Connection,
    work: impl AsyncFnOnce(&mut Connection) -> Result<T, Error>,
) -> Result<T, Error> {
    match timeout(PATIENCE, work(&mut connection)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            connection.call_off();
            Err(NotAnswered::Late.into())
        }
    }
}

fn missing(schema: Schema) -> Result<Missing, Error> {
    schema.missing.map_err(Error::Broken)
}

async fn read(client: &impl GenericClient) -> Result<Schema, Error> {
    let found = found(client).await.map_err(explain)?;
    Ok(MIGRATIONS.beside(&found))
}

async fn found(client: &impl GenericClient) -> Result<Found, tokio_postgres::Error> {
    let tables = "SELECT count(*) FROM pg_class
        WHERE relname IN ('schema', 'migrations') AND relkind = 'r' AND pg_table_is_visible(oid)";
    let tables: i64 = client.query_typed_one(tables, &[]).await?.try_get(0)?;
    if tables < 2 {
        return Ok(Found::default());
    }
    let said = "SELECT version, oldest_compatible FROM schema";
    let Some(said) = client.query_typed_opt(said, &[]).await? else {
        return Ok(Found::default());
    };
    let applied = "SELECT version, checksum FROM migrations";
    let applied = client.query_typed(applied, &[]).await?;
    let applied = applied
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    Ok(Found {
        version: said.try_get(0)?,
        oldest_compatible: said.try_get(1)?,
        applied: applied.collect::<Result<_, tokio_postgres::Error>>()?,
    })
}

/// What became of waiting for a lock.
fn waited(error: tokio_postgres::Error, words: Words) -> Error {
    if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
        return unavailable("a migration waited in vain for a lock", words);
    }
    explain(error)
}

fn explain(error: tokio_postgres::Error) -> Error {
    let foreign = [
        SqlState::UNDEFINED_COLUMN,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_OBJECT,
        SqlState::WRONG_OBJECT_TYPE,
    ];
    match error.code() {
        Some(code) if foreign.contains(code) => broken(&error, |words| words.foreign_tables),
        _ => NotAnswered::Driver(error).into(),
    }
}
