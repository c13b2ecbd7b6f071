//! The schema: brought up to date in one transaction, and checked against what this release can read.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::store::schema::{Found, Migrations, Missing, Schema};

/// Every migration, in order. Never edit one that was released: write the next.
const MIGRATIONS: Migrations = Migrations {
    texts: &[
        include_str!("../../../migrations/sqlite/0001_init.sql"),
        include_str!("../../../migrations/sqlite/0002_suppressed_addresses.sql"),
    ],
    oldest_compatible: 1,
    tables:
        "CREATE TABLE IF NOT EXISTS schema (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    oldest_compatible INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, checksum BLOB NOT NULL) STRICT;",
    bytes: |digits| format!("x'{digits}'"),
};

/// What a backup leaves out: whoever finds one must not be able to sign in with it.
const NOT_IN_BACKUPS: &[&str] = &[
    "challenges",
    "budgets",
    "limits",
    "outbox",
    "sessions",
    "predecessors",
    "fences",
];

/// Applies what is missing, and tells it. The error says what to do.
pub fn run(connection: &mut Connection) -> Result<Missing, String> {
    let explain = |error: rusqlite::Error| error.to_string();
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(explain)?;
    let missing = read(&transaction)?.missing?;
    transaction.execute_batch(&missing.sql).map_err(explain)?;
    transaction.commit().map_err(explain)?;
    Ok(missing)
}

/// Looks whether this release can work with a schema, and changes nothing: an operator's command must
/// not migrate beneath an older release that is serving.
pub fn check(connection: &Connection) -> Result<(), String> {
    read(connection)?.check()
}

/// Looks at a file that may be in use, or not there yet.
pub fn look(path: &Path) -> Result<Schema, String> {
    if !path.exists() {
        return Ok(MIGRATIONS.beside(&Found::default()));
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let connection = connection.map_err(|error| error.to_string())?;
    read(&connection)
}

fn read(c: &Connection) -> Result<Schema, String> {
    let found = found(c).map_err(|error| error.to_string())?;
    Ok(MIGRATIONS.beside(&found))
}

fn found(c: &Connection) -> rusqlite::Result<Found> {
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('schema', 'migrations')";
    if c.query_row(tables, [], |row| row.get::<_, i64>(0))? < 2 {
        return Ok(Found::default());
    }
    let said = "SELECT version, oldest_compatible FROM schema";
    let (version, oldest_compatible) =
        c.query_row(said, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut applied = c.prepare("SELECT version, checksum FROM migrations")?;
    let applied = applied.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Found {
        version,
        oldest_compatible,
        applied: applied.collect::<rusqlite::Result<_>>()?,
    })
}

/// Copies a database while it may be in use, without what must not travel.
pub fn backup(from: &Path, to: &Path) -> Result<(), String> {
    if !from.exists() {
        return Err(format!("{} is not there", from.display()));
    }
    if to.exists() {
        return Err(format!(
            "{} exists: a backup overwrites nothing. Name another file",
            to.display()
        ));
    }
    // Under another name until it is whole: a backup that was cut short must not look like one.
    let unfinished = to.with_added_extension("unfinished");
    let _ = std::fs::remove_file(&unfinished);
    super::create_private(&unfinished)
        .map_err(|error| format!("{}: {error}", unfinished.display()))?;
    copy(from, &unfinished).map_err(|error| {
        let _ = std::fs::remove_file(&unfinished);
        format!("{}: {error}", to.display())
    })?;
    std::fs::rename(&unfinished, to).map_err(|error| format!("{}: {error}", to.display()))
}

fn copy(from: &Path, to: &Path) -> rusqlite::Result<()> {
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    source.busy_timeout(super::BUSY)?;
    // One read transaction: the copy is of one instant, and the service goes on writing.
    source.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
    let copy = Connection::open(to)?;
    for table in NOT_IN_BACKUPS {
        copy.execute(&format!("DELETE FROM {table}"), [])?;
    }
    // Rewrites the file, so that nothing deleted is left in free pages.
    copy.execute_batch("VACUUM")?;
    copy.close().map_err(|(_, error)| error)
}

#[cfg(test)]
mod tests;
