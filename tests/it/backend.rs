//! Where stores are kept, and a place of one test's own there.

use aidlc_auth::config::Config;
use aidlc_auth::store::{self, Rules, Stores, Users, sqlite::Use};
use tempfile::TempDir;

use crate::servers::shared::{self, Database};

/// What keeps the three stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The embedded store, on a file.
    File,
    /// The embedded store, in memory.
    Memory,
    /// PostgreSQL and Redis.
    Servers,
    /// PostgreSQL and a Redis cluster.
    Cluster,
}

impl Backend {
    /// How many parts count apart what together they bound: the ceilings of the service.
    pub fn parts(self) -> u32 {
        match self {
            Self::File | Self::Memory => 1,
            Self::Servers | Self::Cluster => 16,
        }
    }

    /// The servers that this run of the stories is about, if `TEST_STORES` says so.
    pub fn chosen() -> Option<Self> {
        let chosen = std::env::var("TEST_STORES").ok();
        match chosen.as_deref() {
            None | Some("embedded") => None,
            Some("servers") => Some(Self::Servers),
            Some("cluster") => Some(Self::Cluster),
            Some(other) => panic!("TEST_STORES={other} is neither embedded, servers nor cluster"),
        }
    }
}

/// An empty place, gone when this is dropped.
pub struct Place {
    /// That lead there.
    pub settings: Vec<(&'static str, String)>,
    _folder: Option<TempDir>,
    database: Option<Database>,
}

impl Place {
    pub fn on(backend: Backend) -> Self {
        let embedded = |url: String, folder| Self {
            settings: vec![("DATABASE_URL", url)],
            _folder: folder,
            database: None,
        };
        let redis = match backend {
            Backend::Memory => return embedded("memory:".into(), None),
            Backend::File => {
                let folder = TempDir::new().unwrap();
                let path = folder.path().join("auth.db");
                return embedded(format!("sqlite://{}", path.display()), Some(folder));
            }
            Backend::Servers => shared::redis(),
            Backend::Cluster => shared::cluster(),
        };
        let database = Database::new();
        let url = database.url();
        Self {
            database: Some(database),
            ..Self::of_servers(url, redis)
        }
    }

    /// On servers, under keys of its own, in a database that is there.
    pub fn of_servers(database: String, redis: &str) -> Self {
        Self {
            settings: vec![
                ("DATABASE_URL", database),
                ("REDIS_URL", redis.into()),
                ("REDIS_KEY_PREFIX", shared::key_prefix()),
                // A machine that is busy with other tests is no outage.
                ("DATABASE_CONNECT_TIMEOUT_SECONDS", "10".into()),
                ("DATABASE_QUERY_TIMEOUT_SECONDS", "10".into()),
                ("REDIS_TIMEOUT_SECONDS", "5".into()),
            ],
            _folder: None,
            database: None,
        }
    }

    /// A Redis server of the test's own, with accounts in memory.
    pub fn at_redis(url: String, key_prefix: &str) -> Self {
        Self {
            settings: vec![
                ("DATABASE_URL", "memory:".into()),
                ("REDIS_URL", url),
                ("REDIS_KEY_PREFIX", key_prefix.into()),
            ],
            _folder: None,
            database: None,
        }
    }

    /// Opens its stores, as a service does when it starts, but for what [`keep_accounts`] does.
    ///
    /// [`keep_accounts`]: Self::keep_accounts
    pub async fn open(&self, config: &Config, rules: Rules) -> Stores {
        let stores = store::open(&config.stores, Use::Serve, rules).unwrap();
        stores.challenges.prepare().await.unwrap();
        stores
    }

    /// Makes the database of accounts, which takes a while and which many tests can do without.
    pub async fn keep_accounts(&self, users: &dyn Users) {
        if let Some(database) = &self.database {
            database.make().await;
        }
        users.prepare().await.unwrap();
    }
}
