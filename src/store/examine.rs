//! The stores as the doctor looks at them: what is there is read, and nothing is written or migrated.

use jiff::Timestamp;

use super::{postgres, redis};
use crate::clock::{self, Clock, SKEW_MAX};
use crate::config::{self, DatabaseUrl, RedisUrl};
use crate::model::finding::Finding;

/// The database, if it is a server.
pub async fn database(config: &config::Stores, clock: &dyn Clock) -> Vec<Finding> {
    match &config.database_url {
        DatabaseUrl::Postgres(url) => {
            postgres::examine::examine(url, &config.database, clock).await
        }
        DatabaseUrl::Sqlite(_) | DatabaseUrl::Memory => Vec::new(),
    }
}

/// Redis, if it is used.
pub async fn redis(config: &config::Stores, clock: &dyn Clock) -> Vec<Finding> {
    match &config.redis_url {
        RedisUrl::Redis(url) => redis::examine::examine(url, &config.redis, clock).await,
        RedisUrl::Sqlite(_) | RedisUrl::Memory => Vec::new(),
    }
}

/// Whether a store's clock and ours agree.
pub(super) fn clocks(
    store: &str,
    theirs: Timestamp,
    asked: Timestamp,
    answered: Timestamp,
) -> Finding {
    let apart = clock::apart(theirs, asked, answered);
    let evidence = match apart.as_millis() {
        ..=0 => format!("{store} has the time of this machine"),
        millis => format!("{store} and this machine are {millis} ms apart"),
    };
    Finding::failed_if(apart > SKEW_MAX, "clock", evidence)
}
