//! The same where accounts are in PostgreSQL and the rest is in Redis: one can be away without the other.

use serde_json::json;
use tokio_postgres::Client;

use crate::servers::shared::{self, Database};
use crate::world::{Ended, Folder, Server};

const ADA: &str = "ada@example.org";
/// Base64 of 32 bytes that mean nothing.
const KEY: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// An empty place on both servers, and a folder where nothing is kept.
struct Place {
    folder: Folder,
    settings: Vec<(&'static str, String)>,
    database: Database,
}

impl Place {
    async fn new() -> Self {
        let database = Database::new();
        database.make().await;
        let settings = [
            ("DATABASE_URL", database.url()),
            ("REDIS_URL", shared::redis().to_owned()),
            ("REDIS_KEY_PREFIX", shared::key_prefix()),
            ("SECRET_KEYS", KEY.to_owned()),
            // A machine that is busy with other tests is no outage.
            ("DATABASE_CONNECT_TIMEOUT_SECONDS", "10".to_owned()),
            ("DATABASE_QUERY_TIMEOUT_SECONDS", "10".to_owned()),
        ];
        Self {
            folder: Folder::new(),
            settings: settings.to_vec(),
            database,
        }
    }

    /// Its settings, but for some that are others.
    fn settings<'a>(&'a self, others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let settings = self.settings.iter();
        let mut settings: Vec<_> = settings.map(|(name, value)| (*name, &**value)).collect();
        settings.extend(others);
        settings
    }

    async fn server(&self) -> Server {
        self.folder.server(&self.settings(&[])).await
    }

    async fn users(&self, verb: &str) -> Ended {
        self.users_with(verb, &[]).await
    }

    async fn users_with(&self, verb: &str, others: &[(&str, &str)]) -> Ended {
        let arguments = ["users", verb, ADA];
        self.folder.run(&arguments, &self.settings(others)).await
    }

    async fn superuser(&self) -> Client {
        self.database.superuser().await
    }
}

/// What an operator left in the audit trail, and what is left to follow up.
async fn rows(superuser: &Client) -> Vec<String> {
    let rows = "SELECT concat_ws(' ', event, outcome, length(subject)) FROM audit
            WHERE request_id = 'operator'
        UNION ALL SELECT task FROM follow_ups ORDER BY 1";
    let rows = superuser.query(rows, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_looked_after_beside_the_service() {
    let place = Place::new().await;
    let server = place.server().await;
    let token = server.sign_up(ADA).await;
    let asked = json!({ "email": ADA });
    for status in [202, 429] {
        server.post("/api/auth/login", &asked).await.is(status);
    }

    let shown = place.users("show").await;
    assert!(
        shown.succeeded().contains("status      active"),
        "{shown:?}"
    );
    place.users("deactivate").await.succeeded();
    assert!(!server.is_live(&token).await);
    place.users("activate").await.succeeded();
    assert!(!server.is_live(&token).await, "what ended stays ended");
    place.users("forgive").await.succeeded();
    server.post("/api/auth/login", &asked).await.is(202);
    // All of it under the pseudonym of the service's log, and nothing left to do.
    let rows = rows(&place.superuser().await).await;
    assert_eq!(
        rows,
        [
            "account active 16",
            "account deactivated 16",
            "budgets forgiven 16"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_could_not_reach_the_sessions_is_said_and_stays_to_be_followed_up() {
    let place = Place::new().await;
    let server = place.server().await;
    let token = server.sign_up(ADA).await;
    let nowhere = [("REDIS_URL", "redis://127.0.0.1:1")];
    let ended = place.users_with("deactivate", &nowhere).await;
    let why = ended.refused_in_lines(1);
    assert!(
        why.contains("the status is set, but sessions and codes did not end yet"),
        "{why}"
    );
    assert!(ended.out.contains("status      deactivated"), "{ended:?}");
    assert!(server.is_live(&token).await);
    // Nor do they go on for long: the account signs in to nothing new, and the rest is written down.
    server
        .post("/api/auth/login", &json!({ "email": ADA }))
        .await
        .is(202);
    let superuser = place.superuser().await;
    assert_eq!(
        rows(&superuser).await,
        ["account deactivated 16", "end_everything"]
    );

    // As if it had been left behind for a while: the first sweep of any start takes it up.
    superuser
        .batch_execute("UPDATE follow_ups SET created_at = 0")
        .await
        .unwrap();
    let _other = place.server().await;
    while server.is_live(&token).await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_tables_is_left_alone() {
    let place = Place::new().await;
    for verb in ["show", "deactivate", "activate", "forgive"] {
        let ended = place.users(verb).await;
        let why = ended.refused_in_lines(1);
        assert!(why.contains("run `aidlc-auth migrate`"), "{why}");
    }
    let tables = "SELECT 1 FROM pg_tables WHERE schemaname = 'public'";
    let tables = place.superuser().await.query(tables, &[]).await.unwrap();
    assert_eq!(tables.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_said_in_one_line() {
    let place = Place::new().await;
    let nowhere = [("DATABASE_URL", "postgres://auth:hunter2@127.0.0.1:1/auth")];
    for verb in ["show", "deactivate", "activate", "forgive"] {
        let ended = place.users_with(verb, &nowhere).await;
        let why = ended.refused_in_lines(1);
        assert!(
            why.contains("127.0.0.1:1") && !why.contains("hunter2"),
            "{why}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_left_to_the_database() {
    let place = Place::new().await;
    let backup = place
        .folder
        .run(&["backup", "copy.db"], &place.settings(&[]))
        .await;
    let why = backup.refused_in_lines(1);
    assert!(why.contains("use pg_dump"), "{why}");
    assert!(!place.folder.path().join("copy.db").exists());
}
