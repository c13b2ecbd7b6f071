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
    current_setting('server_version_num')::bigint,
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
    coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true)";

/// What the server is, and how much it has for us.
pub(super) struct Room {
    /// Connections that all copies of the service can have.
    pub(super) room: i64,
    /// Connections that they may need.
    pub(super) needed: u64,
    pub(super) version: String,
    /// The version in one number, 150014 for 15.14.
    pub(super) version_number: i64,
    pub(super) is_encrypted: bool,
    /// Whether it is on this machine.
    pub(super) is_near: bool,
}

/// Asks.
pub(super) async fn ask(pool: &Pool, settings: &config::Database) -> Result<Room, Error> {
    let rows = pool.read(ROOM, &[]).await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::Broken("no row of one".into()))?;
    Ok(Room {
        room: row.get(0),
        needed: needed(settings),
        version: row.get(1),
        version_number: row.get(2),
        is_encrypted: row.get(3),
        is_near: row.get(4),
    })
}

/// Says what was connected to, and warns of what would fail under load. Behind a pooler the numbers
/// are the pooler's, which nobody tells us.
pub(super) async fn look(pool: &Pool, settings: &config::Database) -> Result<(), Error> {
    if !settings.prepared_statements {
        return Ok(());
    }
    let found = ask(pool, settings).await?;
    let version = found.version.as_str();
    tracing::info!(version, tls = found.is_encrypted, "connected to PostgreSQL");
    if !found.is_encrypted && !found.is_near {
        tracing::warn!("{}", both(|words| words.readable));
    }
    if !found.is_enough() {
        tracing::warn!(
            needed = found.needed,
            room = found.room,
            pool_size = settings.pool_size,
            instances = settings.instances,
            "{}",
            both(|words| words.no_room)
        );
    }
    Ok(())
}

impl Room {
    /// Whether all copies of the service find room.
    pub(super) fn is_enough(&self) -> bool {
        // Less than nothing is what roles without a limit have.
        u64::try_from(self.room).map_or(true, |room| self.needed <= room)
    }
}

/// How many connections all copies together may need.
fn needed(settings: &config::Database) -> u64 {
    let pool = u64::try_from(settings.pool_size).unwrap_or(u64::MAX);
    pool.saturating_mul(settings.instances.into())
        .saturating_add(BESIDE_THE_POOLS)
}
