//! What these tests begin with.

use std::sync::Arc;
use std::time::Duration;

use aidlc_auth::config::Database;
use aidlc_auth::store::Error;
use aidlc_auth::store::postgres::Postgres;
use aidlc_auth::store::postgres::credentials::FromUrl;
use tokio_postgres::Client;

/// The settings as they come, but with less patience.
pub fn settings() -> Database {
    Database {
        secret_arn: None,
        replica_url: None,
        pool_size: 10,
        instances: 1,
        connect_timeout: Duration::from_secs(3),
        query_timeout: Duration::from_secs(4),
        connection_lifetime: Duration::from_secs(1800),
        keepalive: Duration::from_secs(30),
        tcp_user_timeout: Duration::from_secs(5),
        prepared_statements: true,
        migrate_at_start: true,
    }
}

pub fn store(url: &str, settings: &Database) -> Postgres {
    Postgres::new(&url.into(), settings, Arc::new(FromUrl)).unwrap()
}

/// What an operator reads when the store is away.
#[track_caller]
pub fn unavailable<T>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Unavailable(why)) => why,
        Err(Error::Broken(why)) => panic!("broken: {why}"),
        Ok(_) => panic!("it is there"),
    }
}

/// A number that the server tells.
pub async fn number(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}
