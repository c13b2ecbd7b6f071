//! `aidlc-auth backup FILE`: a copy to keep, while the service runs.

use std::path::Path;

use anyhow::{Result, anyhow, bail};

use crate::config::{Config, DatabaseUrl};
use crate::store::sqlite::Sqlite;

/// Writes the copy. Sessions, codes and keys are not in it: whoever finds it cannot sign in with it.
pub fn run(config: &Config, file: &Path) -> Result<()> {
    let DatabaseUrl::Sqlite(path) = &config.stores.database_url else {
        bail!("only an embedded database is backed up this way; for PostgreSQL use pg_dump");
    };
    Sqlite::backup(path, file).map_err(|why| anyhow!(why))?;
    println!(
        "{} holds the accounts and the audit trail of {}",
        file.display(),
        path.display()
    );
    Ok(())
}
