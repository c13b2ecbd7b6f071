//! Which migrations a database has had, which it lacks, and whether this release may work with it:
//! the same thought for every SQL engine. How they are read and applied is the engine's own.

use aws_lc_rs::digest::{SHA256, digest};

/// The migrations of one engine. Never edit one that was released: write the next.
pub(super) struct Migrations {
    /// In order; the first is version 1.
    pub texts: &'static [&'static str],
    /// The oldest release's schema that can still work beside the newest of them.
    pub oldest_compatible: i64,
}

/// What a database says of itself. Where there is nothing, the default says so.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub version: i64,
    pub oldest_compatible: i64,
    /// Versions with the checksums of the texts they were applied from.
    pub applied: Vec<(i64, Vec<u8>)>,
}

/// One step from a version to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Which version it leads to.
    pub version: i64,
    /// The statements.
    pub sql: &'static str,
    pub(super) checksum: Vec<u8>,
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
    /// What it lacks, in order; or why this release must not touch it, and what to do.
    pub missing: Result<Vec<Migration>, String>,
}

impl Migrations {
    /// The newest version.
    pub fn newest(&self) -> i64 {
        i64::try_from(self.texts.len()).unwrap_or(i64::MAX)
    }

    /// Compares with what was found.
    pub fn beside(&self, found: &Found) -> Schema {
        Schema {
            version: found.version,
            oldest_compatible: found.oldest_compatible,
            ours: self.newest(),
            missing: self.missing(found),
        }
    }

    fn missing(&self, found: &Found) -> Result<Vec<Migration>, String> {
        if found.oldest_compatible > self.newest() {
            return Err(format!(
                "this database needs a release that knows schema {} or later, and this one knows {}: \
                 start the newer release, or restore the backup made before it",
                found.oldest_compatible,
                self.newest()
            ));
        }
        let mut missing = Vec::new();
        for (&sql, version) in self.texts.iter().zip(1..) {
            let checksum = digest(&SHA256, sql.as_bytes()).as_ref().to_vec();
            let known = found.applied.iter().find(|(known, _)| *known == version);
            match known {
                None => missing.push(Migration {
                    version,
                    sql,
                    checksum,
                }),
                Some((_, known)) if *known == checksum => {}
                Some(_) => {
                    return Err(format!(
                        "migration {version} was applied from another text than this release's: \
                         this database belongs to a different build. Start that one, or name another database"
                    ));
                }
            }
        }
        Ok(missing)
    }
}

impl Schema {
    /// Whether this release can work with it as it is; if not, why, and what to do.
    pub fn check(&self) -> Result<(), String> {
        if self.missing.as_ref().map_err(Clone::clone)?.is_empty() {
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
        texts: &["CREATE a", "CREATE b"],
        oldest_compatible: 2,
    };
    /// What one release earlier knew.
    const ONE: Migrations = Migrations {
        texts: &["CREATE a"],
        oldest_compatible: 1,
    };

    /// A database that a release brought up to date.
    fn migrated_by(release: &Migrations, oldest_compatible: i64) -> Found {
        let missing = release.beside(&Found::default()).missing.unwrap();
        Found {
            version: release.newest(),
            oldest_compatible,
            applied: missing
                .into_iter()
                .map(|m| (m.version, m.checksum))
                .collect(),
        }
    }

    fn versions(schema: &Schema) -> Vec<i64> {
        let missing = schema.missing.as_ref().unwrap();
        missing.iter().map(|migration| migration.version).collect()
    }

    #[test]
    fn an_empty_database_lacks_everything_in_order() {
        let schema = TWO.beside(&Found::default());
        assert_eq!((schema.version, schema.ours), (0, 2));
        assert_eq!(versions(&schema), [1, 2]);
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
        assert!(schema.check().is_err());
        let schema = TWO.beside(&migrated_by(&TWO, 2));
        assert!(versions(&schema).is_empty());
        assert_eq!(schema.check(), Ok(()));
    }

    #[test]
    fn an_older_release_works_beside_a_newer_database_until_that_says_no() {
        let schema = ONE.beside(&migrated_by(&TWO, 1));
        assert_eq!((schema.version, schema.ours), (2, 1));
        assert!(versions(&schema).is_empty());
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
