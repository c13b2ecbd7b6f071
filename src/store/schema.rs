//! Which migrations a database has had, which it lacks, and whether this release may work with it:
//! the same thought for every SQL engine. How they are read and applied is the engine's own.

use aws_lc_rs::digest::{SHA256, digest};

use super::sqlite::{Sqlite, Use};
use crate::config::{self, DatabaseUrl};

/// What the schema of the database that the settings name is, beside what this release knows. Changes
/// nothing. The error says what to do.
pub async fn look(config: &config::Stores) -> Result<Schema, String> {
    match &config.database_url {
        DatabaseUrl::Sqlite(path) => Sqlite::schema(path),
        DatabaseUrl::Memory => Err(IN_MEMORY.into()),
        DatabaseUrl::Postgres(url) => {
            let postgres = super::postgres(url, &config.database, Use::Operate)?;
            postgres.schema().await.map_err(|error| error.to_string())
        }
    }
}

/// Brings it up to date, and tells what it lacked. The error says what to do.
pub async fn migrate(config: &config::Stores) -> Result<Missing, String> {
    match &config.database_url {
        DatabaseUrl::Sqlite(path) => Sqlite::migrate(path),
        DatabaseUrl::Memory => Err(IN_MEMORY.into()),
        DatabaseUrl::Postgres(url) => {
            let postgres = super::postgres(url, &config.database, Use::Operate)?;
            postgres.migrate().await.map_err(|error| error.to_string())
        }
    }
}

const IN_MEMORY: &str = "DATABASE_URL=memory: has nothing to migrate: every start makes it anew";

/// The migrations of one engine. Never edit one that was released: write the next.
pub(super) struct Migrations {
    /// In order; the first is version 1.
    pub texts: &'static [&'static str],
    /// The oldest release's schema that can still work beside the newest of them.
    pub oldest_compatible: i64,
    /// Makes the tables that say what was applied, if they are not there.
    pub tables: &'static str,
    /// Writes bytes, given in hexadecimal digits, into a statement.
    pub bytes: fn(&str) -> String,
}

/// What a database says of itself. Where there is nothing, the default says so.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub version: i64,
    pub oldest_compatible: i64,
    /// Versions with the checksums of the texts they were applied from.
    pub applied: Vec<(i64, Vec<u8>)>,
}

/// A database's schema beside what this release knows.
#[derive(Debug)]
pub struct Schema {
    /// Its version; 0 where there is none.
    pub version: i64,
    /// The oldest release's schema that it can still be used with, as the newest release that
    /// migrated it has said.
    pub oldest_compatible: i64,
    /// The version that this release knows.
    pub ours: i64,
    /// What it lacks; or why this release must not touch it, and what to do.
    pub missing: Result<Missing, String>,
}

/// What a database lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// The versions that it would go through.
    pub versions: Vec<i64>,
    /// What would run, in one transaction: the very text that does run.
    pub sql: String,
}

impl Migrations {
    /// Compares with what was found.
    pub fn beside(&self, found: &Found) -> Schema {
        Schema {
            version: found.version,
            oldest_compatible: found.oldest_compatible,
            ours: self.newest(),
            missing: self.missing(found),
        }
    }

    fn newest(&self) -> i64 {
        i64::try_from(self.texts.len()).unwrap_or(i64::MAX)
    }

    fn missing(&self, found: &Found) -> Result<Missing, String> {
        if found.oldest_compatible > self.newest() {
            return Err(format!(
                "this database needs a release that knows schema {} or later, and this one knows {}: \
                 start the newer release, or restore the backup made before it",
                found.oldest_compatible,
                self.newest()
            ));
        }
        let mut missing = Missing::default();
        for (text, version) in self.texts.iter().zip(1..) {
            let checksum = digest(&SHA256, text.as_bytes());
            let known = found.applied.iter().find(|(known, _)| *known == version);
            match known {
                None => {
                    missing.versions.push(version);
                    missing.sql += &self.step(version, text, checksum.as_ref());
                }
                Some((_, known)) if known == checksum.as_ref() => {}
                Some(_) => {
                    return Err(format!(
                        "migration {version} was applied from another text than this release's: \
                         this database belongs to a different build. Start that one, or name another database"
                    ));
                }
            }
        }
        // Said only with a migration of ours: a newer release's word stays, the two run side by side.
        if !missing.versions.is_empty() {
            missing.sql = format!("{}\n\n{}{}", self.tables, missing.sql, self.said());
        }
        Ok(missing)
    }

    /// A migration, and the row that says that it was applied.
    fn step(&self, version: i64, text: &str, checksum: &[u8]) -> String {
        let digits: String = checksum.iter().map(|byte| format!("{byte:02x}")).collect();
        let bytes = (self.bytes)(&digits);
        format!(
            "-- Migration {version}.\n{text}\n\
             INSERT INTO migrations (version, checksum) VALUES ({version}, {bytes});\n\n"
        )
    }

    fn said(&self) -> String {
        format!(
            "INSERT INTO schema (one, version, oldest_compatible) VALUES (1, {}, {})\n    \
             ON CONFLICT (one) DO UPDATE SET version = excluded.version, \
             oldest_compatible = excluded.oldest_compatible;\n",
            self.newest(),
            self.oldest_compatible
        )
    }
}

impl Schema {
    /// Whether this release can work with it as it is; if not, why, and what to do.
    pub fn check(&self) -> Result<(), String> {
        if self
            .missing
            .as_ref()
            .map_err(Clone::clone)?
            .versions
            .is_empty()
        {
            return Ok(());
        }
        Err(format!(
            "this database has schema {}, and this release works with {}: run `aidlc-auth migrate` (a start \
             does it too, unless MIGRATE_AT_START=false), or use the release that serves it",
            self.version, self.ours
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Migrations = Migrations {
        texts: &["CREATE a;", "CREATE b;"],
        oldest_compatible: 2,
        tables: "CREATE schema;",
        bytes: str::to_owned,
    };
    /// What one release earlier knew.
    const ONE: Migrations = Migrations {
        texts: &["CREATE a;"],
        oldest_compatible: 1,
        ..TWO
    };

    /// A database that a release brought up to date.
    fn migrated_by(release: &Migrations, oldest_compatible: i64) -> Found {
        let checksum = |text: &&str| digest(&SHA256, text.as_bytes()).as_ref().to_vec();
        Found {
            version: release.newest(),
            oldest_compatible,
            applied: (1..).zip(release.texts.iter().map(checksum)).collect(),
        }
    }

    fn versions(schema: &Schema) -> &[i64] {
        &schema.missing.as_ref().unwrap().versions
    }

    #[test]
    fn an_empty_database_lacks_everything_in_order() {
        let schema = TWO.beside(&Found::default());
        assert_eq!((schema.version, schema.ours), (0, 2));
        assert_eq!(versions(&schema), [1, 2]);
        let sql = &schema.missing.as_ref().unwrap().sql;
        let at = |text: &str| sql.find(text).unwrap_or_else(|| panic!("{text}: {sql}"));
        assert!(at("CREATE schema;") < at("CREATE a;") && at("CREATE a;") < at("CREATE b;"));
        assert!(at("CREATE b;") < at("VALUES (2, ") && at("VALUES (2, ") < at("VALUES (1, 2, 2)"));
        let why = schema.check().unwrap_err();
        assert!(
            why.contains("schema 0") && why.contains("works with 2"),
            "{why}"
        );
        assert!(why.contains("aidlc-auth migrate"), "{why}");
    }

    #[test]
    fn an_older_database_lacks_what_is_new() {
        let schema = TWO.beside(&migrated_by(&ONE, 1));
        assert_eq!(versions(&schema), [2]);
        assert!(!schema.missing.as_ref().unwrap().sql.contains("CREATE a;"));
        assert!(schema.check().is_err());
        let schema = TWO.beside(&migrated_by(&TWO, 2));
        assert_eq!(schema.missing, Ok(Missing::default()));
        assert_eq!(schema.check(), Ok(()));
    }

    #[test]
    fn an_older_release_works_beside_a_newer_database_until_that_says_no() {
        let schema = ONE.beside(&migrated_by(&TWO, 1));
        assert_eq!((schema.version, schema.ours), (2, 1));
        assert_eq!(schema.missing, Ok(Missing::default()));
        assert_eq!(schema.check(), Ok(()));
        let schema = ONE.beside(&migrated_by(&TWO, 2));
        assert_eq!(schema.oldest_compatible, 2);
        let why = schema.check().unwrap_err();
        assert!(
            why.contains("schema 2 or later") && why.contains("knows 1"),
            "{why}"
        );
        assert!(why.contains("start the newer release"), "{why}");
    }

    #[test]
    fn a_migration_of_another_text_is_refused() {
        let mut found = migrated_by(&TWO, 2);
        found.applied[0].1 = vec![0];
        let why = TWO.beside(&found).check().unwrap_err();
        assert!(
            why.contains("migration 1 was applied from another text"),
            "{why}"
        );
    }
}
