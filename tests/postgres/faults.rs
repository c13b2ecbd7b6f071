//! Whatever becomes of the server, under load: every answer comes in time and is an honest one, and
//! when the server is back, so is everything, without a restart and without a loss.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aidlc_auth::store::postgres::Postgres as Store;
use aidlc_auth::store::{Error, Store as _};
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::load::Load;
use crate::servers::{PASSWORD, Postgres, Proxy, USER, Wanted};
use crate::world::{number, settings, store};

/// Longer than anyone waits for an answer, so that everyone meets the fault.
const OUTAGE: Duration = Duration::from_secs(9);

struct World {
    server: Postgres,
    proxy: Proxy,
    database: String,
    store: Arc<Store>,
}

impl World {
    async fn new() -> Self {
        Self::with(Wanted::default()).await
    }

    async fn with(wanted: Wanted<'_>) -> Self {
        let server = Postgres::with(wanted);
        let url = server.database().await;
        let database = url.rsplit('/').next().unwrap().to_owned();
        let proxy = Proxy::to(server.port()).await;
        let port = proxy.port();
        let url = format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}");
        let store = Arc::new(store(&url, &settings()));
        store.prepare().await.unwrap();
        Self {
            server,
            proxy,
            database,
            store,
        }
    }

    async fn superuser(&self) -> Client {
        self.server.superuser(&self.database).await
    }

    /// The fault is there for a while, and nobody is served then.
    async fn is_out(&self, load: &Load, words: &str) {
        let began = Instant::now();
        sleep(OUTAGE).await;
        let late = load.reasons(began + OUTAGE / 2);
        assert!(!late.is_empty(), "nobody was refused");
        let seen = load.reasons(began);
        assert!(seen.iter().any(|why| why.contains(words)), "{seen:?}");
        // What one asks is answered just as soon as what many ask.
        let began = Instant::now();
        let outcome = self.store.check().await;
        assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    async fn recovers(&self, load: Load) {
        load.recovers(&self.server, &self.database).await;
        self.store.check().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_killed_and_comes_back() {
    let world = World::with(Wanted {
        durable: true,
        ..Wanted::default()
    })
    .await;
    let load = Load::begin(&world.store).await;
    world.server.kill();
    world.is_out(&load, "The connection broke").await;
    world.server.revive();
    world.recovers(load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_shut_down_and_comes_back() {
    let world = World::new().await;
    let load = Load::begin(&world.store).await;
    let began = Instant::now();
    world.server.shut_down();
    world.server.revive();
    world.recovers(load).await;
    assert!(began.elapsed() < Duration::from_secs(25));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_stopped_and_goes_on() {
    let world = World::new().await;
    let load = Load::begin(&world.store).await;
    world.server.freeze();
    world.is_out(&load, "did not answer in time").await;
    world.server.thaw();
    world.recovers(load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_swallows_everything_and_mends() {
    let world = World::new().await;
    let load = Load::begin(&world.store).await;
    let before = world.proxy.accepted();
    world.proxy.black_hole();
    world.is_out(&load, "stopped answering").await;
    let attempts = world.proxy.accepted() - before;
    assert!(
        attempts < 100,
        "{attempts} connections in {OUTAGE:?}: a busy loop"
    );
    world.proxy.mend();
    world.recovers(load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_is_forgotten_on_the_way() {
    let world = World::new().await;
    let load = Load::begin(&world.store).await;
    let began = Instant::now();
    world.proxy.forget();
    world.recovers(load).await;
    // One time-out, and no second one for the connections that lay idle then.
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_is_reset_and_new_ones_refused() {
    let world = World::new().await;
    let load = Load::begin(&world.store).await;
    world.proxy.refuse();
    world
        .is_out(&load, "New connections are made by themselves")
        .await;
    world.proxy.mend();
    world.recovers(load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_no_writes_for_a_while() {
    let world = World::new().await;
    let superuser = world.superuser().await;
    let load = Load::begin(&world.store).await;
    let began = Instant::now();
    set(&superuser, "SET default_transaction_read_only = on").await;
    world.is_out(&load, "takes no writes").await;
    assert_eq!(load.refused_readers(began), 0, "it can be read");
    let mend = "SET default_transaction_read_only = off";
    superuser.batch_execute(mend).await.unwrap();
    set(&superuser, "RESET default_transaction_read_only").await;
    world.recovers(load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_take_all_its_connections() {
    let world = World::with(Wanted {
        settings: &[
            ("max_connections", "20"),
            ("superuser_reserved_connections", "3"),
        ],
        ..Wanted::default()
    })
    .await;
    let superuser = world.superuser().await;
    let load = Load::begin(&world.store).await;
    // They come as ours go, until nothing is left; one of ours may be on its way in at any moment.
    let url = world.server.url(&world.database);
    let (mut taken, mut looks_without_ours) = (Vec::new(), 0);
    while looks_without_ours < 10 {
        let ended = terminate_ours(&superuser).await;
        looks_without_ours = if ended > 0 { 0 } else { looks_without_ours + 1 };
        while let Ok((client, connection)) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await
        {
            tokio::spawn(connection);
            taken.push(client);
        }
        sleep(Duration::from_millis(50)).await;
    }
    world.is_out(&load, "53300").await;
    drop(taken);
    world.recovers(load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_connections_are_terminated_over_and_over() {
    let world = World::new().await;
    let superuser = world.superuser().await;
    let load = Load::begin(&world.store).await;
    let began = Instant::now();
    for _ in 0..10 {
        terminate_ours(&superuser).await;
        sleep(Duration::from_secs(1)).await;
    }
    // A read is asked once more, on another connection; a write is not, for nobody knows what became of
    // it. Now and then the other connection was ended in the same moment.
    let refused = load.refused_readers(began);
    assert!(refused <= 3, "{refused}: {:?}", load.reasons(began));
    world.recovers(load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_locks_the_table() {
    let world = World::new().await;
    let mut superuser = world.superuser().await;
    let load = Load::begin(&world.store).await;
    let before = world.proxy.accepted();
    let lock = superuser.transaction().await.unwrap();
    let table = "LOCK TABLE users IN ACCESS EXCLUSIVE MODE";
    lock.batch_execute(table).await.unwrap();
    let began = Instant::now();
    sleep(OUTAGE).await;
    let seen = load.reasons(began);
    let slow = "DATABASE_QUERY_TIMEOUT_SECONDS";
    assert!(seen.iter().any(|why| why.contains(slow)), "{seen:?}");
    // The server is alive and says so: its connections stay.
    assert_eq!(world.proxy.accepted(), before);
    world.store.check().await.unwrap_or_default();
    lock.rollback().await.unwrap();
    world.recovers(load).await;
}

async fn set(superuser: &Client, what: &str) {
    let alter = format!("ALTER SYSTEM {what}");
    superuser.batch_execute(&alter).await.unwrap();
    superuser
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
}

/// Says how many there were.
async fn terminate_ours(superuser: &Client) -> i64 {
    let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'aidlc-auth'";
    number(superuser, terminate).await
}
