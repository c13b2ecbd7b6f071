//! The pool: how many connections there are, how old they get, and what becomes of them when
//! whoever asked goes away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aidlc_auth::config::Database;
use aidlc_auth::store::{Created, Store as _, Users as _};
use tokio_postgres::Client;

use crate::servers::{Pooler, Postgres, Wanted};
use crate::world::{ada, number, settings, store, unavailable};

const OURS: &str = "FROM pg_stat_activity WHERE application_name = 'aidlc-auth'";

/// From now on no commit ends: it waits for a replica that there is not.
async fn hold_commits(superuser: &Client) {
    set(superuser, "SET synchronous_standby_names = 'nobody'").await;
}

async fn let_go(superuser: &Client) {
    set(superuser, "RESET synchronous_standby_names").await;
}

async fn set(superuser: &Client, what: &str) {
    superuser
        .batch_execute(&format!("ALTER SYSTEM {what}"))
        .await
        .unwrap();
    superuser
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    // The server's processes hear of it one by one.
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_never_more_connections_than_the_pool_may_have() {
    let server = Postgres::start();
    let settings = Database {
        pool_size: 3,
        ..settings()
    };
    let store = Arc::new(store(&server.url("postgres"), &settings));
    let checks: Vec<_> = (0..50)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.check().await.unwrap() })
        })
        .collect();
    for check in checks {
        check.await.unwrap();
    }
    let superuser = server.superuser("postgres").await;
    let connections = number(&superuser, &format!("SELECT count(*) {OURS}")).await;
    assert!((1..=3).contains(&connections), "{connections}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_every_connection_taken_is_told_soon() {
    let server = Postgres::start();
    let superuser = server.superuser("postgres").await;
    let settings = Database {
        pool_size: 2,
        connect_timeout: Duration::from_secs(1),
        ..settings()
    };
    let store = Arc::new(store(&server.url("postgres"), &settings));
    store.check().await.unwrap();
    hold_commits(&superuser).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let holders: Vec<_> = (0..2)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.check().await })
        })
        .collect();
    while number(
        &superuser,
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    )
    .await
        < 2
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    let why = unavailable(store.check().await);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    for words in ["raise DATABASE_POOL_SIZE", "DATABASE_POOL_SIZE를 늘려"] {
        assert!(why.contains(words), "{why}");
    }
    for holder in holders {
        let why = unavailable(holder.await.unwrap());
        assert!(why.contains("no answer in time"), "{why}");
    }
    // Nobody waits any more, and nothing is left waiting at the server either.
    while number(
        &superuser,
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    )
    .await
        > 0
    {
        assert!(began.elapsed() < Duration::from_secs(15));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let_go(&superuser).await;
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_replaced_when_it_is_old() {
    let server = Postgres::start();
    let superuser = server.superuser("postgres").await;
    let settings = Database {
        connection_lifetime: Duration::from_millis(500),
        ..settings()
    };
    let store = store(&server.url("postgres"), &settings);
    let pid = || async {
        store.check().await.unwrap();
        number(&superuser, &format!("SELECT max(pid)::bigint {OURS}")).await
    };
    let first = pid().await;
    assert_eq!(pid().await, first);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_ne!(pid().await, first);
    let log = server.log();
    assert!(
        !log.contains("unexpected EOF") && !log.contains("reset by peer"),
        "it said goodbye: {log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_nothing_is_prepared_or_set() {
    for (prepared_statements, named) in [(true, true), (false, false)] {
        let server = Postgres::with(Wanted {
            settings: &[
                ("log_min_duration_statement", "0"),
                ("log_line_prefix", "%a "),
            ],
            ..Wanted::default()
        });
        let settings = Database {
            prepared_statements,
            ..settings()
        };
        let store = store(&server.url("postgres"), &settings);
        store.check().await.unwrap();
        store.check().await.unwrap();
        let log = server.log();
        let ours = || log.lines().filter(|line| line.starts_with("aidlc-auth "));
        assert_eq!(
            ours().any(|line| line.contains(" execute s")),
            named,
            "{log}"
        );
        assert_eq!(
            ours().any(|line| line.contains("execute <unnamed>")),
            !named,
            "{log}"
        );
        assert!(!log.contains(" SET "), "{log}");
        // One to write, then one look a check: nothing else goes to the server, nothing twice.
        let parsed = ours().filter(|line| line.contains(" parse ")).count();
        assert_eq!(parsed, if named { 2 } else { 3 }, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_who_go_away_leave_nothing_behind() {
    let server = Postgres::start();
    let superuser = server.superuser("postgres").await;
    let settings = Database {
        pool_size: 5,
        ..settings()
    };
    for prepared_statements in [true, false] {
        let settings = Database {
            prepared_statements,
            ..settings.clone()
        };
        let store = Arc::new(store(&server.url("postgres"), &settings));
        let calls: Vec<_> = (0..500)
            .map(|at| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    // Each at another moment of its life: waiting, connecting, asking, reading.
                    let patience = Duration::from_micros(at * 200);
                    let _ = tokio::time::timeout(patience, store.check()).await;
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        let began = Instant::now();
        store.check().await.unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
        let busy = format!("SELECT count(*) {OURS} AND state <> 'idle'");
        while number(&superuser, &busy).await > 0 {
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "a connection stays busy"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let connections = number(&superuser, &format!("SELECT count(*) {OURS}")).await;
        assert!(connections <= 5, "{connections}");
        // And every one of them can be had.
        let checks: Vec<_> = (0..20).map(|_| store.check()).collect();
        for check in checks {
            check.await.unwrap();
        }
        drop(store);
        while number(&superuser, &format!("SELECT count(*) {OURS}")).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_go_away_from_a_server_that_hangs_free_their_connections() {
    let server = Postgres::start();
    let superuser = server.superuser("postgres").await;
    let settings = Database {
        pool_size: 3,
        query_timeout: Duration::from_secs(1),
        ..settings()
    };
    let store = Arc::new(store(&server.url("postgres"), &settings));
    hold_commits(&superuser).await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.check().await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    let began = Instant::now();
    let_go(&superuser).await;
    while store.check().await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "no connection comes free"
        );
    }
    let stuck = format!("SELECT count(*) {OURS} AND state <> 'idle'");
    while number(&superuser, &stuck).await > 0 {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "a statement stays at the server"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_is_worked_with_when_it_is_told_of() {
    let server = Postgres::start();
    let url = server.database().await;
    let database = url.rsplit('/').next().unwrap();
    let pooler = Pooler::before(&server, 2);
    // As it comes, it prepares and sets, which no pooler passes on: that is said.
    let why = unavailable(store(&pooler.url(database), &settings()).prepare().await);
    for words in [
        "set DATABASE_PREPARED_STATEMENTS=false",
        "DATABASE_PREPARED_STATEMENTS=false로",
    ] {
        assert!(why.contains(words), "{why}");
    }
    let settings = Database {
        prepared_statements: false,
        ..settings()
    };
    let store = Arc::new(store(&pooler.url(database), &settings));
    store.prepare().await.unwrap();
    let calls: Vec<_> = (1..=100)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let (user, audit) = ada(n);
                let written = store.create(&user, &audit).await.unwrap();
                assert_eq!(written, Created::Written);
                assert_eq!(store.find(&user.email).await.unwrap(), Some(user));
                store.check().await.unwrap();
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let superuser = server.superuser(database).await;
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'auth'";
    assert!(number(&superuser, connections).await <= 2);
}
