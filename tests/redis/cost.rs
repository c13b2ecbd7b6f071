//! What a promise costs at the server, counted there.

use std::collections::HashMap;

use aidlc_auth::store::redis::Redis as Store;
use aidlc_auth::store::{End, Refresh, Sessions as _, Store as _};

use crate::servers::Redis;
use crate::world::{is_live, new_session, now, sign_in, someone, store, token};

/// How often each command was run, those aside by which connections are kept and tests ask.
async fn commands(server: &Redis) -> HashMap<String, u64> {
    let said: String = server.command("INFO commandstats").await;
    let counts = said.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split_once(',')?.0.parse().ok()?))
    });
    // A script's own commands are counted too: HGETALL and the like are its steps, not ours.
    counts
        .filter(|(name, _)| ["hmget", "evalsha", "eval", "hgetall"].contains(&name.as_str()))
        .collect()
}

async fn of(server: &Redis, command: &str) -> u64 {
    commands(server)
        .await
        .get(command)
        .copied()
        .unwrap_or_default()
}

#[tokio::test]
async fn a_session_check_is_one_command() {
    let server = Redis::start();
    let store = store(&server.url());
    let (user, digest) = (someone(), token());
    sign_in(&store, user, digest).await;
    let before = (of(&server, "hmget").await, of(&server, "evalsha").await);
    for _ in 0..50 {
        assert!(is_live(&store, user, digest).await);
        assert!(!is_live(&store, user, token()).await);
    }
    let after = (of(&server, "hmget").await, of(&server, "evalsha").await);
    assert_eq!((after.0 - before.0, after.1 - before.1), (100, 0));
}

#[tokio::test]
async fn every_step_is_one_command() {
    let server = Redis::start();
    let store = store(&server.url());
    tour(&store).await;
    // By now the server knows them all by name.
    let before = of(&server, "evalsha").await;
    let steps = tour(&store).await;
    assert_eq!(of(&server, "evalsha").await - before, steps);
}

#[tokio::test]
async fn every_key_goes_by_itself() {
    let server = Redis::start();
    let store = store(&server.url());
    tour(&store).await;
    store.check().await.unwrap();
    // The fence of somebody who never signed in.
    store.end(someone(), End::Below(2), now()).await.unwrap();
    // And nothing is made by what finds nothing.
    store.touch(someone(), token(), now()).await.unwrap();
    store
        .end(
            someone(),
            End::AllBut(new_session(someone(), token()).session.id),
            now(),
        )
        .await
        .unwrap();
    let keys: Vec<String> = server.command("KEYS *").await;
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in keys {
        let left: i64 = server.command(&format!("PTTL {key}")).await;
        assert!(left > 0, "{key} stays for ever");
        // Thirty days for whatever somebody may be signed in by, and a day more.
        assert!(left <= 31 * 24 * 3600 * 1000, "{key} stays too long");
    }
}

/// Everything that sessions do, for one user; says how many steps that took.
async fn tour(store: &Store) -> u64 {
    let user = someone();
    let (first, second) = (token(), token());
    let session = sign_in(store, user, first).await;
    let refresh = Refresh {
        old: first,
        successors: vec![second],
        generation: 1,
    };
    store.touch(user, first, now()).await.unwrap();
    store.refresh(user, refresh, now()).await.unwrap();
    store.renew(&session.user).await.unwrap();
    store
        .end(user, End::AllBut(session.id), now())
        .await
        .unwrap();
    store.list(user, now()).await.unwrap();
    assert!(is_live(store, user, second).await);
    5
}
