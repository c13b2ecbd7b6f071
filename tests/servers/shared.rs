//! Servers that many tests share: one start for all, and a place of its own for each test.
//!
//! `examples/with_servers.rs` starts them for a whole run and names them in the environment; where
//! it did not, a test's process starts what it needs, once.

use std::env;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use aidlc_auth::entropy;
use uuid::Uuid;

use super::cluster::Cluster;
use super::postgres::{self, Place, Postgres, Wanted};
use super::redis::Redis;

/// `FOLDER:PORT`.
pub const POSTGRES: &str = "TEST_POSTGRES";
/// A URL.
pub const REDIS: &str = "TEST_REDIS";
/// A URL.
pub const REDIS_CLUSTER: &str = "TEST_REDIS_CLUSTER";

/// A server, and the process of it if it is ours: it ends with us.
type Shared<Place, Server> = LazyLock<(Place, Option<Server>)>;

static SHARED_POSTGRES: Shared<Place, Postgres> = LazyLock::new(|| match env::var(POSTGRES) {
    Ok(named) => {
        let (folder, port) = named.rsplit_once(':').unwrap();
        let (folder, port) = (folder.into(), port.parse().unwrap());
        (Place { folder, port }, None)
    }
    Err(_) => {
        let server = start_postgres();
        (server.place.clone(), Some(server))
    }
});

static SHARED_REDIS: Shared<String, Redis> = LazyLock::new(|| {
    env::var(REDIS).map_or_else(
        |_| {
            let server = Redis::start();
            (server.url(), Some(server))
        },
        |url| (url, None),
    )
});

static SHARED_CLUSTER: Shared<String, Cluster> = LazyLock::new(|| {
    env::var(REDIS_CLUSTER).map_or_else(
        |_| {
            let cluster = Cluster::start();
            (cluster.url(), Some(cluster))
        },
        |url| (url, None),
    )
});

/// With room for every test of a machine with many processors.
pub fn start_postgres() -> Postgres {
    Postgres::with(Wanted {
        settings: &[("max_connections", "500")],
        ..Wanted::default()
    })
}

/// The URL of the one Redis server.
pub fn redis() -> &'static str {
    &SHARED_REDIS.0
}

/// The URL of the one cluster.
pub fn cluster() -> &'static str {
    &SHARED_CLUSTER.0
}

/// The URL of each node of the one cluster.
pub fn cluster_nodes() -> impl Iterator<Item = String> {
    let (_, nodes) = cluster().split_once("://").unwrap();
    nodes.split(',').map(|node| format!("redis://{node}"))
}

/// What the keys of one test begin with.
pub fn key_prefix() -> String {
    format!("{}:", Uuid::from_bytes(entropy::random()).simple())
}

/// A database of the one PostgreSQL server, gone when this is dropped.
pub struct Database {
    place: &'static Place,
    name: String,
    is_made: AtomicBool,
}

impl Database {
    /// A name for one that is to be made.
    pub fn new() -> Self {
        Self {
            place: &SHARED_POSTGRES.0,
            name: postgres::new_name(),
            is_made: AtomicBool::new(false),
        }
    }

    /// Makes it, empty.
    pub async fn make(&self) {
        self.is_made.store(true, Ordering::Relaxed);
        self.place.make(&self.name).await;
    }

    pub fn url(&self) -> String {
        postgres::url(self.place.port, &self.name)
    }

    /// The superuser, in this database.
    pub async fn superuser(&self) -> tokio_postgres::Client {
        self.place.superuser(&self.name).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !*self.is_made.get_mut() {
            return;
        }
        // With a runtime of its own, whichever the test has, and done before the process ends.
        let (place, name) = (self.place, &self.name);
        let dropped = || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async {
                let dropped = format!("DROP DATABASE {name} WITH (FORCE)");
                let superuser = place.superuser("postgres").await;
                superuser.batch_execute(&dropped).await.unwrap();
            });
        };
        let ended = thread::scope(|scope| scope.spawn(dropped).join());
        assert!(
            ended.is_ok() || thread::panicking(),
            "{name} is still there"
        );
    }
}
