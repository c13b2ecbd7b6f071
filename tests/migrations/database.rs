//! A database, the settings of a service on it, and what it says of itself.

use std::time::Duration;

use tokio_postgres::Client;

use crate::servers::shared;
use crate::world::{Ended, Folder, Process, Server};

/// Base64 of 32 bytes that mean nothing.
const KEY: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// An empty database.
pub struct Database {
    folder: Folder,
    /// Sees and may do everything in it.
    pub superuser: Client,
    url: String,
    /// Drops it.
    _shared: shared::Database,
}

impl Database {
    pub async fn new() -> Self {
        let shared = shared::Database::new();
        shared.make().await;
        Self {
            folder: Folder::new(),
            superuser: shared.superuser().await,
            url: shared.url(),
            _shared: shared,
        }
    }

    fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut settings = vec![
            ("DATABASE_URL", &*self.url),
            ("REDIS_URL", "memory:"),
            ("SECRET_KEYS", KEY),
            // Eight of them share a small machine.
            ("DATABASE_CONNECT_TIMEOUT_SECONDS", "10"),
        ];
        settings.extend(more);
        settings
    }

    /// A service that is not waited for.
    pub fn start(&self, more: &[(&str, &str)]) -> Process {
        self.folder.serve(&self.settings(more))
    }

    /// A service that is ready.
    pub async fn server(&self) -> Server {
        self.folder.server(&self.settings(&[])).await
    }

    /// A subcommand, to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.folder.run(arguments, &self.settings(&[])).await
    }

    pub async fn execute(&self, sql: &str) {
        self.superuser.batch_execute(sql).await.unwrap();
    }

    pub async fn number(&self, query: &str) -> i64 {
        self.superuser.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Everything that a migration could leave behind.
    pub async fn tables(&self) -> Vec<String> {
        let all = "SELECT relname::text FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner
            WHERE rolname = 'auth' ORDER BY relname";
        let rows = self.superuser.query(all, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until a query counts so many.
    pub async fn until(&self, count: i64, query: &str) {
        let waiting = async {
            while self.number(query).await != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let deadline = tokio::time::timeout(crate::world::DEADLINE, waiting);
        deadline
            .await
            .unwrap_or_else(|_| panic!("never {count}: {query}"));
    }
}

/// What `migrate --check` prints.
pub fn versions(found: u8, ours: u8, oldest_compatible: u8) -> String {
    format!(
        "found              {found}\nours               {ours}\noldest_compatible  {oldest_compatible}"
    )
}
