//! A network that cuts, swallows, forgets and delays.

use std::time::{Duration, Instant};

use aidlc_auth::store::{Error, Sessions as _};
use tokio::time::sleep;

use crate::load::Load;
use crate::servers::{Proxy, Redis};
use crate::world::{now, roomy_store, someone, token};

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_given_up_and_the_way_taken_again() {
    let server = Redis::start();
    let proxy = Proxy::to(server.port()).await;
    let store = roomy_store(&format!("redis://127.0.0.1:{}", proxy.port()));
    let load = Load::start(&store).await;
    let before = proxy.accepted();
    proxy.black_hole();
    load.refuses().await;
    sleep(Duration::from_secs(6)).await;
    let knocks = proxy.accepted() - before;
    assert!(knocks <= 8, "{knocks} connections in eight seconds");
    proxy.mend();
    load.serves_everyone().await;
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_are_made_again() {
    let server = Redis::start();
    let proxy = Proxy::to(server.port()).await;
    let store = roomy_store(&format!("redis://127.0.0.1:{}", proxy.port()));
    let load = Load::start(&store).await;
    for _ in 0..5 {
        proxy.cut();
        load.serves_everyone().await;
    }
    proxy.refuse();
    load.refuses().await;
    let before = proxy.accepted();
    sleep(Duration::from_secs(3)).await;
    let knocks = proxy.accepted() - before;
    assert!(knocks <= 9, "{knocks} connections in three seconds");
    proxy.mend();
    load.serves_everyone().await;
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_a_nat_forgot_is_replaced_before_it_is_missed() {
    let server = Redis::start();
    let proxy = Proxy::to(server.port()).await;
    let store = roomy_store(&format!("redis://127.0.0.1:{}", proxy.port()));
    store.find(someone(), token(), now()).await.unwrap();
    proxy.forget();
    // A heartbeat, and as long as an answer to it is waited for.
    sleep(Duration::from_millis(3500)).await;
    let start = Instant::now();
    store.find(someone(), token(), now()).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1));

    // Whoever comes before it was noticed waits once.
    proxy.forget();
    let refused = store.find(someone(), token(), now()).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    store.find(someone(), token(), now()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_network_only_slows() {
    let server = Redis::start();
    let proxy = Proxy::to(server.port()).await;
    let store = roomy_store(&format!("redis://127.0.0.1:{}", proxy.port()));
    let load = Load::start(&store).await;
    proxy.delay(Duration::from_millis(200));
    load.serves_everyone().await;
    assert_eq!(load.refused(), 0, "{}", load.why());
    // Slower than anyone waits for.
    proxy.delay(Duration::from_secs(3));
    load.refuses().await;
    proxy.mend();
    load.serves_everyone().await;
    load.finish().await;
}
