//! Old and new releases side by side on one schema, and what this one refuses.

use serde_json::json;

use crate::database::{Database, versions};
use crate::world::{SIGN_IN, Server};

/// What a later release's migration might do beside one that serves: a column and an index more.
const NEXT: &str = "
    ALTER TABLE users ADD COLUMN nickname text NOT NULL DEFAULT '';
    ALTER TABLE audit ADD COLUMN country text;
    CREATE INDEX users_nickname ON users (nickname);
    INSERT INTO migrations VALUES (3, '\\x00');
    UPDATE schema SET version = 3, oldest_compatible = 1";

async fn sign_in(server: &Server, email: &str) -> String {
    let asked = json!({ "email": email });
    server.post("/api/auth/login", &asked).await.is(202);
    let code = server.log().mail(email, SIGN_IN).await.code;
    let proof = json!({"email": email, "verification_code": code});
    let signed_in = server.post("/api/auth/verify-login", &proof).await.is(200);
    signed_in.text("session_token")
}

async fn rename(server: &Server, token: &str, name: &str) {
    let patch = server.request("PATCH", "/api/profile").bearer_auth(token);
    let changed = patch.json(&json!({ "full_name": name })).send().await;
    assert_eq!(changed.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_release_works_on_beside_a_newer_schema_and_starts_again() {
    let database = Database::new().await;
    let old = database.server().await;
    let token = old.sign_up("ada@example.org").await;
    rename(&old, &token, "Before").await;

    // Its connections have the statements prepared.
    database.execute(NEXT).await;
    rename(&old, &token, "Beside").await;
    old.sign_up("eve@example.org").await;
    sign_in(&old, "ada@example.org").await;
    drop(old);

    let restarted = database.server().await;
    let log = restarted.log().text();
    assert!(!log.contains("brought up to date"), "{log}");
    let token = sign_in(&restarted, "ada@example.org").await;
    rename(&restarted, &token, "After").await;
    let check = database.run(&["migrate", "--check"]).await;
    assert_eq!(check.succeeded().trim_end(), versions(3, 2, 1));
    // Nor does its `migrate` take anything back.
    let migrate = database.run(&["migrate"]).await;
    assert_eq!(migrate.succeeded().trim_end(), versions(3, 2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_needs_a_newer_release_is_refused_with_the_remedy() {
    let database = Database::new().await;
    database.run(&["migrate"]).await.succeeded();
    database.execute(NEXT).await;
    database
        .execute("UPDATE schema SET oldest_compatible = 3")
        .await;
    refused_with(&database, "start the newer release").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_another_build_is_refused_with_the_remedy() {
    let database = Database::new().await;
    database.run(&["migrate"]).await.succeeded();
    database
        .execute("UPDATE migrations SET checksum = '\\x00'")
        .await;
    refused_with(&database, "migration 1 was applied from another text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_application_are_left_alone() {
    for foreign in [
        "CREATE TABLE users (name text)",
        "CREATE TABLE migrations (id integer, migration text)",
        "CREATE TABLE migrations (id integer); CREATE TABLE schema (id integer)",
    ] {
        let database = Database::new().await;
        database.execute(&format!("SET ROLE auth; {foreign}")).await;
        let before = database.tables().await;
        refused_with(&database, "a database of its own").await;
        assert_eq!(database.tables().await, before);
    }
}

/// The command refuses, and a service that starts listens, says why, and is not ready.
async fn refused_with(database: &Database, words: &str) {
    let migrate = database.run(&["migrate"]).await;
    let line = migrate.refused_in_lines(1);
    assert!(line.contains(words), "{line}");
    let process = database.start(&[]);
    let line = process.log.says("not ready").await;
    assert!(line.contains(words), "{line}");
    let server = Server::listening(process).await;
    server.get("/health/live", None).await.is(200);
    server.get("/health/ready", None).await.is(503);
}
