//! Which schemas are worked with, which are refused and how, and what a backup holds.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::model::outbox::LetterKind;
use crate::store::sqlite::tests::{at, born, login, rules, user};
use crate::store::sqlite::{Sqlite, Use};
use crate::store::{Challenges as _, Users as _};

fn migrated() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    run(&mut connection).unwrap();
    connection
}

/// All that there is, as the statements that made it and the rows that say so.
fn whole(c: &Connection) -> Vec<String> {
    let all = "SELECT coalesce(sql, name) FROM sqlite_schema
         UNION ALL SELECT 'version ' || version || ' ' || oldest_compatible FROM schema
         UNION ALL SELECT 'migration ' || version || ' ' || hex(checksum) FROM migrations";
    let mut select = c.prepare(all).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn running_twice_changes_nothing() {
    let mut connection = migrated();
    let (before, changes) = (whole(&connection), connection.total_changes());
    run(&mut connection).unwrap();
    assert_eq!(whole(&connection), before);
    assert_eq!(connection.total_changes(), changes);
    let said = (MIGRATIONS.texts.len(), MIGRATIONS.oldest_compatible);
    assert!(before.contains(&format!("version {} {}", said.0, said.1)));
}

#[test]
fn a_schema_that_needs_a_newer_release_is_refused_with_the_remedy() {
    let mut connection = migrated();
    let newer = "UPDATE schema SET version = 1000, oldest_compatible = 999";
    connection.execute(newer, []).unwrap();
    let before = whole(&connection);
    let why = run(&mut connection).unwrap_err();
    assert!(why.contains("schema 999 or later"), "{why}");
    assert!(why.contains("start the newer release"), "{why}");
    assert_eq!(whole(&connection), before);
}

#[test]
fn an_operator_beside_an_older_release_migrates_nothing() {
    let connection = migrated();
    assert_eq!(check(&connection), Ok(()));
    connection
        .execute_batch("UPDATE schema SET version = 0; DELETE FROM migrations")
        .unwrap();
    let before = whole(&connection);
    let why = check(&connection).unwrap_err();
    assert!(why.contains("use the release that serves it"), "{why}");
    assert_eq!(whole(&connection), before);
}

#[test]
fn a_newer_schema_that_we_can_work_with_is_left_alone() {
    let mut connection = migrated();
    connection
        .execute_batch(
            "UPDATE schema SET version = 1000;
             INSERT INTO migrations VALUES (1000, x'00');
             ALTER TABLE users ADD COLUMN nickname TEXT",
        )
        .unwrap();
    let before = whole(&connection);
    run(&mut connection).unwrap();
    assert_eq!(whole(&connection), before);
}

#[test]
fn a_migration_of_another_text_is_refused() {
    let mut connection = migrated();
    connection
        .execute(
            "UPDATE migrations SET checksum = x'00' WHERE version = 1",
            [],
        )
        .unwrap();
    let why = run(&mut connection).unwrap_err();
    assert!(
        why.contains("migration 1 was applied from another text"),
        "{why}"
    );
}

#[test]
fn a_migration_that_fails_leaves_nothing_behind() {
    let mut connection = Connection::open_in_memory().unwrap();
    // In the way of the first one.
    connection
        .execute_batch("CREATE TABLE sessions (n INTEGER)")
        .unwrap();
    assert!(run(&mut connection).is_err());
    let count = "SELECT count(*) FROM sqlite_schema";
    let left: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

/// A server on a file that holds an account, a session, and a challenge with its letter, each
/// marked where it could be found again.
struct Original {
    folder: TempDir,
    server: Sqlite,
}

const KEPT: &str = "kept-marker";
const LEFT_OUT: &str = "left-out-marker";

async fn original() -> Original {
    let folder = TempDir::new().unwrap();
    let server = Sqlite::open(&folder.path().join("auth.db"), Use::Serve, rules()).unwrap();
    let mut account = user(1);
    account.profile.full_name = KEPT.into();
    server.create(&account, &born(&account)).await.unwrap();
    for n in 1..=50 {
        let mut open = login(n);
        open.letter.to = format!("{LEFT_OUT}@example.org");
        open.letter.kind = LetterKind::LoginCode;
        open.ask.secret.key_id = LEFT_OUT.into();
        server.open(open, at(0)).await.unwrap();
    }
    let marked = format!(
        "INSERT INTO sessions SELECT randomblob(32), x'01', x'02', 1, '{LEFT_OUT}', 1;
         INSERT INTO fences VALUES (CAST('{LEFT_OUT}' AS BLOB), 1, 1);
         INSERT INTO predecessors VALUES (x'01', CAST('{LEFT_OUT}' AS BLOB), x'01', 1, 1);
         INSERT INTO limits VALUES ('{LEFT_OUT}', 1, 1);
         INSERT INTO budgets VALUES ('{LEFT_OUT}', x'', 1)"
    );
    let written = server.writer.run(move |c| c.execute_batch(&marked)).await;
    written.unwrap();
    Original { folder, server }
}

impl Original {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn back_up(&self, name: &str) -> Result<PathBuf, String> {
        let to = self.path(name);
        Sqlite::backup(&self.path("auth.db"), &to).map(|()| to)
    }
}

fn holds(path: &Path, marker: &str) -> bool {
    let bytes = std::fs::read(path).unwrap();
    bytes
        .windows(marker.len())
        .any(|window| window == marker.as_bytes())
}

#[tokio::test]
async fn a_backup_holds_nothing_to_sign_in_with() {
    let original = original().await;
    let backup = original.back_up("backup.db").unwrap();
    assert!(holds(&backup, KEPT));
    assert!(!holds(&backup, LEFT_OUT), "not in free pages either");
    // So that the test can fail: the original has them.
    drop(original.server);
    let file = original.folder.path().join("auth.db");
    let wal = original.folder.path().join("auth.db-wal");
    assert!(holds(&file, LEFT_OUT) || holds(&wal, LEFT_OUT));
}

#[tokio::test]
async fn a_backup_is_one_private_file() {
    let original = original().await;
    let backup = original.back_up("backup.db").unwrap();
    let mode = backup.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names = std::fs::read_dir(original.folder.path()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| !name.to_string_lossy().starts_with("auth.db"));
    assert_eq!(names, ["backup.db"], "nothing unfinished is left");
}

#[tokio::test]
async fn a_backup_can_be_served_from() {
    let original = original().await;
    let backup = original.back_up("backup.db").unwrap();
    // What comes after the backup is not in it.
    original
        .server
        .create(&user(2), &born(&user(2)))
        .await
        .unwrap();
    let restored = Sqlite::open(&backup, Use::Serve, rules()).unwrap();
    let account = restored.get(user(1).id).await.unwrap().unwrap();
    assert_eq!(account.profile.full_name, KEPT);
    assert_eq!(restored.get(user(2).id).await.unwrap(), None);
    assert_eq!(restored.take_letters(100, at(60)).await.unwrap(), []);
    restored.open(login(1), at(0)).await.unwrap();
}

#[tokio::test]
async fn a_backup_overwrites_nothing() {
    let original = original().await;
    std::fs::write(original.path("precious"), "data").unwrap();
    let why = original.back_up("precious").unwrap_err();
    assert!(
        why.contains("overwrites nothing. Name another file"),
        "{why}"
    );
    assert!(original.back_up("auth.db").is_err());
    assert_eq!(std::fs::read(original.path("precious")).unwrap(), b"data");
}

#[tokio::test]
async fn a_backup_of_nothing_or_to_nowhere_is_refused() {
    let original = original().await;
    let nothing = Sqlite::backup(&original.path("other.db"), &original.path("backup.db"));
    assert!(nothing.unwrap_err().contains("other.db is not there"));
    assert!(!original.path("backup.db").exists());
    let why = original.back_up("no/such/folder.db").unwrap_err();
    assert!(why.contains("No such file or directory"), "{why}");
}
