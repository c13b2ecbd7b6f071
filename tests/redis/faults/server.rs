//! One server that dies, stops, has no room, or becomes a replica.

use std::fs;
use std::time::Duration;

use aidlc_auth::store::{Error, Sessions as _, Store as _};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::load::Load;
use crate::servers::{Cluster, DURABLE, Proxy, Redis, Sentinel};
use crate::world::{now, roomy_store, someone, token};

/// How often a server that is away may be knocked at, in this many seconds.
fn knocks_in(seconds: usize) -> usize {
    2 * seconds + 3
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_acknowledged_is_there_when_it_is_back() {
    let server = Redis::with(&DURABLE);
    let proxy = Proxy::to(server.port()).await;
    let store = roomy_store(&format!("redis://127.0.0.1:{}", proxy.port()));
    let load = Load::start(&store).await;
    for _ in 0..3 {
        server.kill();
        load.refuses().await;
        let before = proxy.accepted();
        sleep(Duration::from_secs(3)).await;
        let knocks = proxy.accepted() - before;
        assert!(
            knocks <= knocks_in(3),
            "{knocks} connections in three seconds"
        );
        server.revive();
        load.serves_everyone().await;
    }
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_server_costs_nothing() {
    let (server, cluster, group) = (Redis::start(), Cluster::start(), Sentinel::start(&[]));
    let stores = [server.url(), cluster.url(), group.url()].map(|url| roomy_store(&url));
    for store in &stores {
        store.check().await.unwrap();
    }
    let nodes = cluster.nodes.iter().chain(&group.nodes);
    nodes.chain([&server]).for_each(|node| node.kill());
    group
        .sentinels
        .iter()
        .for_each(|sentinel| sentinel.server.kill());

    let metrics = Handle::current().metrics();
    let busy = || {
        (0..2)
            .map(|n| metrics.worker_total_busy_duration(n))
            .sum::<Duration>()
    };
    let before = busy();
    for _ in 0..30 {
        sleep(Duration::from_millis(100)).await;
        for store in &stores {
            assert!(matches!(store.check().await, Err(Error::Unavailable(_))));
        }
    }
    // One thing that spins would have kept a worker busy for all of these three seconds.
    let busy = busy() - before;
    assert!(busy < Duration::from_secs(1), "busy for {busy:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_is_given_up_and_taken_up_again() {
    let server = Redis::start();
    let proxy = Proxy::to(server.port()).await;
    let store = roomy_store(&format!("redis://127.0.0.1:{}", proxy.port()));
    let load = Load::start(&store).await;
    let before = proxy.accepted();
    server.freeze();
    load.refuses().await;
    sleep(Duration::from_secs(6)).await;
    let knocks = proxy.accepted() - before;
    assert!(
        knocks <= knocks_in(8),
        "{knocks} connections in eight seconds"
    );
    server.thaw();
    load.serves_everyone().await;
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_serves_who_is_signed_in() {
    let server = Redis::start();
    let store = roomy_store(&server.url());
    let load = Load::start(&store).await;
    let _: () = server.command("CONFIG SET maxmemory 1").await;
    load.refuses().await;
    assert!(load.why().contains("maxmemory"), "{}", load.why());
    let found = store.find(someone(), token(), now()).await;
    assert!(found.is_ok(), "{found:?}");
    let _: () = server.command("CONFIG SET maxmemory 0").await;
    load.serves_everyone().await;
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_disk_fails_serves_who_is_signed_in() {
    let server = Redis::start();
    let store = roomy_store(&server.url());
    let load = Load::start(&store).await;
    // A folder where the file belongs: not even root can write there.
    let file = server.folder().join("dump.rdb");
    fs::create_dir(&file).unwrap();
    let mut saves = redis::cmd("CONFIG");
    saves.arg(&["SET", "save", "1 1"]);
    saves.exec_async(&mut server.admin().await).await.unwrap();
    load.refuses().await;
    assert!(load.why().contains("disk"), "{}", load.why());
    let found = store.find(someone(), token(), now()).await;
    assert!(found.is_ok(), "{found:?}");
    fs::remove_dir(&file).unwrap();
    // It tries again five seconds after it failed.
    load.serves_everyone().await;
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_a_replica_is_not_read_from() {
    let server = Redis::start();
    let other = replica_of(&server).await;
    let store = roomy_store(&server.url());
    let load = Load::start(&store).await;
    let _: () = server.command("CLIENT PAUSE 10000 WRITE").await;
    has_every_write(&other, &server).await;
    let _: () = other.command("REPLICAOF NO ONE").await;
    let _: () = server
        .command(&format!("REPLICAOF 127.0.0.1 {}", other.port()))
        .await;
    let _: () = server.command("CLIENT UNPAUSE").await;
    load.refuses().await;
    // Nobody writes on this one: it has to be noticed all the same.
    let reader = roomy_store(&server.url());
    let refused = reader.find(someone(), token(), now()).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(load.why().contains("it is a replica"), "{}", load.why());
    sleep(Duration::from_secs(2)).await;
    let _: () = server.command("REPLICAOF NO ONE").await;
    load.serves_everyone().await;
    load.finish().await;
}

/// As a fail-over is where nobody but readers is about: what they are told is of yesterday.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_notices_within_a_moment_that_its_server_became_a_replica() {
    let server = Redis::start();
    let other = replica_of(&server).await;
    let store = roomy_store(&server.url());
    let find = || store.find(someone(), token(), now());
    find().await.unwrap();
    let _: () = other.command("REPLICAOF NO ONE").await;
    let _: () = server
        .command(&format!("REPLICAOF 127.0.0.1 {}", other.port()))
        .await;
    sleep(Duration::from_millis(1500)).await;
    let refused = find().await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
}

/// One that is told of every write, as it is only a while after it has copied what there was.
async fn replica_of(master: &Redis) -> Redis {
    let replica = Redis::replica_of(master, &[]);
    let mut admin = master.admin().await;
    admin.set_response_timeout(Duration::from_secs(30));
    let mut write = redis::pipe();
    write.cmd("SET").arg("is-told").arg(1).ignore();
    write.cmd("WAIT").arg(1).arg(20_000);
    let (told,): (u8,) = write.query_async(&mut admin).await.unwrap();
    assert_eq!(told, 1);
    replica
}

/// Waits until a replica is where its master is; on a busy machine that takes a while.
async fn has_every_write(replica: &Redis, master: &Redis) {
    async fn offset(server: &Redis) -> u64 {
        let info: String = server.command("INFO replication").await;
        let mut lines = info.lines();
        let line = lines.find_map(|line| line.strip_prefix("master_repl_offset:"));
        line.unwrap().trim().parse().unwrap()
    }
    let end = Instant::now() + Duration::from_secs(8);
    while offset(replica).await != offset(master).await {
        assert!(Instant::now() < end, "the replica lags");
        sleep(Duration::from_millis(20)).await;
    }
}

/// As an idle time-out of the server does it, or an operator.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_closed_is_made_again_before_it_is_missed() {
    let server = Redis::start();
    let store = roomy_store(&server.url());
    for _ in 0..3 {
        store.find(someone(), token(), now()).await.unwrap();
        sleep(Duration::from_millis(700)).await;
        let _: usize = server.command("CLIENT KILL USER default").await;
        sleep(Duration::from_millis(100)).await;
    }
    store.find(someone(), token(), now()).await.unwrap();
}
