//! `aidlc-auth migrate`, and starts that leave migrating to it.

use crate::database::{Database, versions};
use crate::world::{Folder, Server};

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_the_versions_and_changes_nothing() {
    let database = Database::new().await;
    let check = database.run(&["migrate", "--check"]).await;
    let why = check.refused_in_lines(1);
    assert!(
        why.contains("schema 0, and this release works with 2"),
        "{why}"
    );
    assert_eq!(check.code, Some(1));
    assert_eq!(check.out.trim_end(), versions(0, 2, 0));
    assert_eq!(database.tables().await, [""; 0]);

    let migrate = database.run(&["migrate"]).await;
    let said = format!(
        "migration 1 was applied\nmigration 2 was applied\n{}",
        versions(2, 2, 1)
    );
    assert_eq!(migrate.succeeded().trim_end(), said);
    let before = database.tables().await;
    for again in [&["migrate", "--check"][..], &["migrate"]] {
        let again = database.run(again).await;
        assert_eq!(again.succeeded().trim_end(), versions(2, 2, 1));
    }
    assert_eq!(database.tables().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dry_run_prints_can_be_run_by_someone_with_more_rights() {
    let database = Database::new().await;
    let dry_run = database.run(&["migrate", "--dry-run"]).await;
    assert_eq!(database.tables().await, [""; 0], "it was dry");
    let sql = dry_run.succeeded();
    database.execute(&format!("SET ROLE auth; {sql}")).await;
    let check = database.run(&["migrate", "--check"]).await;
    assert_eq!(check.succeeded().trim_end(), versions(2, 2, 1));
    let dry_run = database.run(&["migrate", "--dry-run"]).await;
    assert_eq!(dry_run.succeeded(), "");
    database.server().await.sign_up("ada@example.org").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_make_no_tables_is_told_and_may_serve_when_they_are_there() {
    let database = Database::new().await;
    let sql = database.run(&["migrate", "--dry-run"]).await;
    database
        .execute(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO postgres",
        )
        .await;
    let refused = database.run(&["migrate"]).await;
    let why = refused.refused_in_lines(1);
    assert!(why.contains("permission denied for schema public"), "{why}");
    assert!(why.contains("GRANT"), "{why}");
    // As an administrator would.
    database.execute(sql.succeeded()).await;
    let grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO auth";
    database.execute(grant).await;
    database.server().await.sign_up("ada@example.org").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_must_not_migrate_waits_for_the_command() {
    let database = Database::new().await;
    let process = database.start(&[("MIGRATE_AT_START", "false")]);
    let line = process.log.says("not ready").await;
    assert!(line.contains("run `aidlc-auth migrate`"), "{line}");
    let server = Server::listening(process).await;
    server.get("/health/ready", None).await.is(503);
    assert_eq!(database.tables().await, [""; 0]);
    database.run(&["migrate"]).await.succeeded();
    server
        .log()
        .says("INFO: Application startup complete")
        .await;
    server.get("/health/ready", None).await.is(200);
    server.sign_up("ada@example.org").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_waits_for_its_turn() {
    let database = Database::new().await;
    database
        .execute("SELECT pg_advisory_lock(7019267229268438388)")
        .await;
    let process = database.start(&[]);
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'advisory'";
    database.until(1, waiting).await;
    assert_eq!(database.tables().await, [""; 0]);
    database.execute("SELECT pg_advisory_unlock_all()").await;
    Server::started(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_gives_way_to_a_long_transaction_and_is_tried_again() {
    let database = Database::new().await;
    database.run(&["migrate"]).await.succeeded();
    // As if the first were still to come, and someone held what it writes to.
    let before =
        "DROP TABLE users, follow_ups, audit, suppressed_addresses; DELETE FROM migrations";
    database.execute(before).await;
    let hold = "BEGIN; LOCK TABLE migrations IN EXCLUSIVE MODE";
    database.execute(hold).await;
    let process = database.start(&[]);
    let line = process.log.says("not ready").await;
    assert!(
        line.contains("pg_stat_activity shows it by xact_start"),
        "{line}"
    );
    database.execute("COMMIT").await;
    let server = Server::started(process).await;
    server.sign_up("ada@example.org").await;
}

#[tokio::test]
async fn a_database_that_is_away_is_said_in_one_line() {
    let folder = Folder::new();
    let settings = [
        ("DATABASE_URL", "postgres://auth:hunter2@127.0.0.1:1/auth"),
        ("REDIS_URL", "memory:"),
        (
            "SECRET_KEYS",
            "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        ),
    ];
    for arguments in [
        &["migrate"][..],
        &["migrate", "--check"],
        &["migrate", "--dry-run"],
    ] {
        let ended = folder.run(arguments, &settings).await;
        let line = ended.refused_in_lines(1);
        assert!(
            line.contains("127.0.0.1:1") && !line.contains("hunter2"),
            "{line}"
        );
        assert_eq!(ended.out, "");
    }
}

#[tokio::test]
async fn an_embedded_database_is_migrated_too() {
    let folder = Folder::new();
    let run = async |arguments: &[&str]| folder.run(arguments, &[]).await;
    let check = run(&["migrate", "--check"]).await;
    check.refused_in_lines(1);
    assert_eq!(check.out.trim_end(), versions(0, 2, 0));
    let dry_run = run(&["migrate", "--dry-run"]).await;
    assert!(!folder.path().join("data").exists(), "nothing was made");
    let migrate = run(&["migrate"]).await;
    let said = format!(
        "migration 1 was applied\nmigration 2 was applied\n{}",
        versions(2, 2, 1)
    );
    assert_eq!(migrate.succeeded().trim_end(), said);
    let server = folder.server(&[]).await;
    assert_eq!(
        run(&["migrate", "--check"]).await.succeeded().trim_end(),
        versions(2, 2, 1)
    );
    let beside = run(&["migrate"]).await;
    assert!(beside.refused_in_lines(1).contains("is serving"));
    drop(server);

    // What is printed is what runs.
    let other = Folder::new();
    std::fs::create_dir(other.path().join("data")).unwrap();
    let file = rusqlite::Connection::open(other.database()).unwrap();
    file.execute_batch(dry_run.succeeded()).unwrap();
    drop(file);
    let check = other.run(&["migrate", "--check"], &[]).await;
    assert_eq!(check.succeeded().trim_end(), versions(2, 2, 1));
    other.server(&[]).await.sign_up("ada@example.org").await;
}

#[tokio::test]
async fn a_store_in_memory_has_nothing_to_migrate() {
    let folder = Folder::new();
    let settings = [("DATABASE_URL", "memory:")];
    for arguments in [
        &["migrate"][..],
        &["migrate", "--check"],
        &["migrate", "--dry-run"],
    ] {
        let ended = folder.run(arguments, &settings).await;
        let line = ended.refused_in_lines(1);
        assert!(line.contains("every start makes it anew"), "{line}");
    }
}
