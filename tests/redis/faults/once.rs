//! A step that writes is sent once: when its answer is lost, nobody knows whether it was done, and the
//! one who asked decides.

use std::time::Duration;

use aidlc_auth::store::{Error, Sessions as _};
use tokio::time::sleep;

use crate::servers::{Cluster, Proxy, Redis};
use crate::world::{new_session, now, roomy_store, sign_in, someone, token};

/// How many steps a server was asked to run so far.
async fn steps(server: &Redis) -> u64 {
    let said: String = server.command("INFO commandstats").await;
    let calls = said.lines().find_map(|line| {
        let counts = line.strip_prefix("cmdstat_evalsha:calls=")?;
        counts.split_once(',')?.0.parse().ok()
    });
    calls.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_answer_was_cut_off_is_not_run_again() {
    let server = Redis::start();
    let proxy = Proxy::to(server.port()).await;
    let store = roomy_store(&format!("redis://127.0.0.1:{}", proxy.port()));
    let user = someone();
    sign_in(&store, user, token()).await;
    let before = steps(&server).await;

    proxy.delay(Duration::from_millis(600));
    let new = new_session(user, token());
    let (asked, ()) = tokio::join!(store.create(new, now()), async {
        // It has arrived by now, and its answer is on the way.
        sleep(Duration::from_millis(900)).await;
        proxy.cut();
        proxy.mend();
    });
    assert!(matches!(asked, Err(Error::Unavailable(_))), "{asked:?}");
    // Whoever comes next is served over a new connection.
    assert_eq!(store.list(user, now()).await.unwrap().len(), 2);
    assert_eq!(steps(&server).await - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_a_cluster_did_not_answer_is_not_run_again() {
    let cluster = Cluster::start();
    let masters = &cluster.nodes[..3];
    let store = roomy_store(&cluster.url());
    let user = someone();
    sign_in(&store, user, token()).await;
    let all_steps = async || {
        let mut all = 0;
        for master in masters {
            all += steps(master).await;
        }
        all
    };
    let before = all_steps().await;
    masters.iter().for_each(|master| master.freeze());
    let asked = store.create(new_session(user, token()), now()).await;
    assert!(matches!(asked, Err(Error::Unavailable(_))), "{asked:?}");
    masters.iter().for_each(|master| master.thaw());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(store.list(user, now()).await.unwrap().len(), 2);
    assert_eq!(all_steps().await - before, 1);
}
