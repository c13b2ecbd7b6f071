//! `aidlc-auth migrate`: brings the database up to date, where a start must not, or before it.

use anyhow::{Result, anyhow};
use clap::Args;

use crate::config::Config;
use crate::store::schema::{self, Schema};

/// What to do about the schema, if not to migrate it.
#[derive(Args)]
pub struct Migrate {
    /// Change nothing: print the versions, and fail if this release cannot work with them.
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
    /// Change nothing: print the SQL that would run.
    #[arg(long)]
    dry_run: bool,
}

/// Does it.
pub fn run(config: &Config, command: &Migrate) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        let stores = &config.stores;
        if command.check {
            check(&schema::look(stores).await?)
        } else if command.dry_run {
            print_sql(schema::look(stores).await?)
        } else {
            for version in schema::migrate(stores).await?.versions {
                println!("migration {version} was applied");
            }
            print_versions(&schema::look(stores).await?);
            Ok(())
        }
    });
    done.map_err(|why: String| anyhow!(why))
}

fn check(schema: &Schema) -> Result<(), String> {
    print_versions(schema);
    schema.check()
}

fn print_versions(schema: &Schema) {
    println!("found              {}", schema.version);
    println!("ours               {}", schema.ours);
    println!("oldest_compatible  {}", schema.oldest_compatible);
}

/// What is printed can be given to `psql` or `sqlite3` by someone with more rights.
fn print_sql(schema: Schema) -> Result<(), String> {
    let missing = schema.missing?;
    if !missing.versions.is_empty() {
        println!("BEGIN;\n{}COMMIT;", missing.sql);
    }
    Ok(())
}
