//! Whether the server has room for as many connections as all copies of the service may make.

use super::explain::both;
use super::pool::Pool;
use crate::config;
use crate::store::Error;

/// For an operator's command, a migration, and whoever looks into the database by hand.
const BESIDE_THE_POOLS: u64 = 3;

/// How many connections this user can have to this database, and what we are connected to.
/// `reserved_connections` is there since PostgreSQL 16.
const ROOM: &str = "SELECT least(
        current_setting('max_connections')::bigint
            - current_setting('superuser_reserved_connections')::bigint
            - coalesce(current_setting('reserved_connections', true)::bigint, 0),
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())),
    current_setting('server_version'),
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
    coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true)";

/// Says what was connected to, and warns of what would fail under load. Behind a pooler the numbers
/// are the pooler's, which nobody tells us.
pub(super) async fn look(pool: &Pool, settings: &config::Database) -> Result<(), Error> {
    if !settings.prepared_statements {
        return Ok(());
    }
    let rows = pool.read(ROOM, &[]).await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::Broken("no row of one".into()))?;
    let (room, version): (i64, &str) = (row.get(0), row.get(1));
    let (is_encrypted, is_near): (bool, bool) = (row.get(2), row.get(3));
    tracing::info!(version, tls = is_encrypted, "connected to PostgreSQL");
    if !is_encrypted && !is_near {
        tracing::warn!("{}", both(|words| words.readable));
    }
    let needed = needed(settings);
    if u64::try_from(room).is_ok_and(|room| needed > room) {
        tracing::warn!(
            needed,
            room,
            pool_size = settings.pool_size,
            instances = settings.instances,
            "{}",
            both(|words| words.no_room)
        );
    }
    Ok(())
}

/// How many connections all copies together may need.
fn needed(settings: &config::Database) -> u64 {
    let pool = u64::try_from(settings.pool_size).unwrap_or(u64::MAX);
    pool.saturating_mul(settings.instances.into())
        .saturating_add(BESIDE_THE_POOLS)
}
