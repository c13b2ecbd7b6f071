//! Servers that others take over from: nothing is restarted here, and what was replicated is kept.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::load::Load;
use crate::servers::{Cluster, Redis, Sentinel};
use crate::world::roomy_store;

/// What was acknowledged less than this before a server died may not have been replicated.
const LAG: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_replace_a_master_that_was_killed() {
    let group = Sentinel::start(&[]);
    let store = roomy_store(&group.url());
    let load = Load::start(&store).await;
    sleep(Duration::from_secs(2)).await;
    let from = Instant::now() - LAG;
    group.nodes[0].kill();
    load.refuses().await;
    load.serves_everyone().await;
    let to = Instant::now();
    assert_eq!(role(&group.nodes[1]).await, "master");
    // The former master comes back as a replica, and nobody goes there.
    group.nodes[0].revive();
    sleep(Duration::from_secs(3)).await;
    load.serves_everyone().await;
    load.finish_but_for(from, to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_was_only_stopped_is_left_when_it_was_replaced() {
    let group = Sentinel::start(&[]);
    let store = roomy_store(&group.url());
    let load = Load::start(&store).await;
    sleep(Duration::from_secs(2)).await;
    let from = Instant::now() - LAG;
    group.nodes[0].freeze();
    load.refuses().await;
    load.serves_everyone().await;
    group.nodes[0].thaw();
    sleep(Duration::from_secs(3)).await;
    load.serves_everyone().await;
    load.finish_but_for(from, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_over_in_a_cluster() {
    let cluster = Cluster::with(&[("cluster-node-timeout", "2000")]);
    let store = roomy_store(&cluster.url());
    let load = Load::start(&store).await;
    sleep(Duration::from_secs(2)).await;
    let from = Instant::now() - LAG;
    cluster.nodes[0].kill();
    load.refuses().await;
    load.serves_everyone().await;
    let to = Instant::now();
    assert_eq!(role(&cluster.nodes[3]).await, "master");
    cluster.nodes[0].revive();
    sleep(Duration::from_secs(3)).await;
    load.serves_everyone().await;
    load.finish_but_for(from, to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_of_a_cluster_is_replaced() {
    let cluster = Cluster::with(&[("cluster-node-timeout", "2000")]);
    let store = roomy_store(&cluster.url());
    let load = Load::start(&store).await;
    sleep(Duration::from_secs(2)).await;
    let from = Instant::now() - LAG;
    cluster.nodes[1].freeze();
    load.refuses().await;
    load.serves_everyone().await;
    cluster.nodes[1].thaw();
    sleep(Duration::from_secs(3)).await;
    load.serves_everyone().await;
    load.finish_but_for(from, Instant::now()).await;
}

/// As an operator does it before maintenance: nothing is lost, and hardly anyone notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_fail_over_that_was_asked_for_loses_nothing() {
    let cluster = Cluster::start();
    let store = roomy_store(&cluster.url());
    let load = Load::start(&store).await;
    let _: () = cluster.nodes[3].command("CLUSTER FAILOVER").await;
    while role(&cluster.nodes[3]).await != "master" {
        sleep(Duration::from_millis(10)).await;
    }
    load.serves_everyone().await;
    load.finish().await;
}

async fn role(server: &Redis) -> String {
    let info: String = server.command("INFO replication").await;
    let role = info.lines().find_map(|line| line.strip_prefix("role:"));
    role.unwrap().to_owned()
}
