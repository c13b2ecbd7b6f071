//! The schema: brought up to date in one transaction, and checked against what this release can read.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

/// Every migration, in order. Never edit one that was released: write the next.
const MIGRATIONS: &[&str] = &[include_str!("../../../migrations/sqlite/0001_init.sql")];

/// The oldest release's schema that can still work beside this one.
const OLDEST_COMPATIBLE: i64 = 1;

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

/// Applies what is missing. The error says what to do.
pub fn run(connection: &mut Connection) -> Result<(), String> {
    let explain = |error: rusqlite::Error| error.to_string();
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(explain)?;
    transaction
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS schema (
                 one INTEGER PRIMARY KEY CHECK (one = 1),
                 version INTEGER NOT NULL,
                 oldest_compatible INTEGER NOT NULL
             ) STRICT;
             CREATE TABLE IF NOT EXISTS migrations (
                 version INTEGER PRIMARY KEY, checksum BLOB NOT NULL
             ) STRICT;",
        )
        .map_err(explain)?;
    let found = version(&transaction)?;
    let ours = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    for (migration, version) in MIGRATIONS.iter().zip(1..) {
        let checksum = digest(&SHA256, migration.as_bytes());
        let known: Option<Vec<u8>> = transaction
            .query_row(
                "SELECT checksum FROM migrations WHERE version = ?1",
                [version],
                |row| row.get(0),
            )
            .optional()
            .map_err(explain)?;
        match known {
            Some(known) if known != checksum.as_ref() => {
                return Err(format!(
                    "migration {version} was applied from another text than this release's: \
                     this database belongs to a different build"
                ));
            }
            Some(_) => {}
            None => {
                transaction.execute_batch(migration).map_err(explain)?;
                transaction
                    .execute(
                        "INSERT INTO migrations VALUES (?1, ?2)",
                        (version, checksum.as_ref()),
                    )
                    .map_err(explain)?;
            }
        }
    }
    // A newer release's schema stays as it is: the two run side by side.
    if found < ours {
        transaction
            .execute(
                "INSERT OR REPLACE INTO schema VALUES (1, ?1, ?2)",
                (ours, OLDEST_COMPATIBLE),
            )
            .map_err(explain)?;
    }
    transaction.commit().map_err(explain)
}

/// Looks whether this release can work with a schema, and changes nothing: an operator's command must
/// not migrate beneath an older release that is serving.
pub fn check(connection: &Connection) -> Result<(), String> {
    let found = version(connection)?;
    if found < MIGRATIONS.len() as i64 {
        return Err(format!(
            "this database has schema {found}, and this release works with {}: use the release that serves \
             it, or start this one first, which brings it up to date",
            MIGRATIONS.len()
        ));
    }
    Ok(())
}

/// The schema's version, if this release may touch it.
fn version(connection: &Connection) -> Result<i64, String> {
    let found = connection
        .query_row("SELECT version, oldest_compatible FROM schema", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .map_err(|error| error.to_string())?;
    let (found, oldest) = found.unwrap_or((0, 0));
    if oldest > MIGRATIONS.len() as i64 {
        return Err(format!(
            "this database needs a release that knows schema {oldest} or later, and this one knows {}: \
             start the newer release, or restore the backup made before it",
            MIGRATIONS.len()
        ));
    }
    Ok(found)
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
