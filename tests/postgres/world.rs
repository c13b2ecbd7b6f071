//! What these tests begin with.

use std::sync::Arc;
use std::time::Duration;

use aidlc_auth::config::Database;
use aidlc_auth::model::email_address::EmailAddress;
use aidlc_auth::model::user::{Profile, Status, User, UserId};
use aidlc_auth::store::postgres::Postgres;
use aidlc_auth::store::postgres::credentials::FromUrl;
use aidlc_auth::store::{AuditRow, Error};
use jiff::Timestamp;
use tokio_postgres::Client;
use uuid::Uuid;

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

/// One of many accounts, and the row that says it was made.
pub fn ada(n: u32) -> (User, AuditRow) {
    let at: Timestamp = "2026-11-22T09:41:29Z".parse().unwrap();
    let id = Uuid::from_u128(n.into());
    let user = User {
        id: UserId(id),
        email: EmailAddress::parse(&format!("ada{n}@example.org")).unwrap(),
        password: None,
        profile: Profile {
            full_name: "Ada".into(),
            language: None,
            gender: None,
            birth_year: None,
        },
        status: Status::Active,
        generation: 1,
        created_at: at,
        updated_at: at,
    };
    let audit = AuditRow {
        id,
        at,
        event: "registration",
        outcome: "accepted",
        user: Some(user.id),
        subject: None,
        client: None,
        request_id: "r".into(),
    };
    (user, audit)
}
