//! `GET /health/live`, `/health/ready` and `/health`

use std::sync::atomic::Ordering;
use std::time::Duration;

use aidlc_auth::mail::NotSent;
use aidlc_auth::store::Error;
use aidlc_auth::work::sweep;
use serde_json::json;

use crate::backend::Backend;
use crate::support::world::World;

#[tokio::test]
async fn a_store_that_is_away_turns_health_and_neither_live_nor_ready() {
    let world = World::new().await;
    for (step, name) in [
        ("users.check", "users"),
        ("challenges.check", "challenges"),
        ("sessions.check", "sessions"),
    ] {
        world.clock.advance(Duration::from_secs(2));
        world
            .steps
            .fail(step, Error::Unavailable("disk at /var/secret-place".into()));
        let health = world.get("/health").await;
        assert_eq!(health.is(503)["status"], "failing");
        assert_eq!(health["dependencies"][name]["status"], "failing");
        assert_eq!(health["dependencies"]["mail"]["status"], "ok");
        assert!(!health.text.contains("secret-place"));
        world.get("/health/live").await.is(200);
        world.get("/health/ready").await.is(200);
        world.steps.mend();
    }
    world.clock.advance(Duration::from_secs(2));
    world.inbox.refuse(Some(NotSent::Temporary("away".into())));
    let health = world.get("/health").await;
    assert_eq!(health.is(503)["dependencies"]["mail"]["status"], "failing");
}

#[tokio::test]
async fn health_names_what_there_is_and_nothing_else() {
    let lasting = World::lasting(&[]).await;
    for (world, embedded) in [(World::new().await, "memory"), (lasting, "sqlite")] {
        let [users, others] = match Backend::chosen() {
            None | Some(Backend::Memory | Backend::File) => [embedded, embedded],
            Some(Backend::Servers) => ["postgresql", "redis"],
            Some(Backend::Cluster) => ["postgresql", "redis-cluster"],
        };
        let health = world.get("/health").await;
        assert_eq!(
            health.is(200).body,
            json!({
                "status": "ok",
                "dependencies": {
                    "users": {"kind": users, "status": "ok"},
                    "challenges": {"kind": others, "status": "ok"},
                    "sessions": {"kind": others, "status": "ok"},
                    "mail": {"kind": "inbox", "status": "ok"},
                },
            })
        );
    }
}

#[tokio::test]
async fn a_look_is_good_for_two_seconds() {
    let world = World::new().await;
    world.get("/health").await.is(200);
    world
        .steps
        .fail("users.check", Error::Unavailable("away".into()));
    world.clock.advance(Duration::from_millis(1999));
    world.get("/health").await.is(200);
    world.clock.advance(Duration::from_millis(1));
    world.get("/health").await.is(503);
}

#[tokio::test]
async fn a_slow_look_is_shared_by_all_who_came_meanwhile() {
    let world = World::new().await;
    let before = world.steps.count_of("users.check");
    world.steps.check_secs.store(5, Ordering::Relaxed);
    let (one, other) = tokio::join!(world.get("/health"), world.get("/health"));
    one.is(200);
    other.is(200);
    world.get("/health").await.is(200);
    assert_eq!(world.steps.count_of("users.check"), before + 1);
}

#[tokio::test]
async fn a_clock_that_is_off_is_not_ready() {
    let world = World::new().await;
    for (seconds, status) in [(2, 200), (3, 503), (-3, 503), (0, 200)] {
        world.steps.skew.store(seconds, Ordering::Relaxed);
        sweep::compare_clocks(&world.app).await.unwrap();
        world.get("/health/ready").await.is(status);
        world.get("/health/live").await.is(200);
    }
}

#[tokio::test]
async fn a_slow_store_is_not_a_clock_that_is_off() {
    let world = World::new().await;
    world.steps.check_secs.store(8, Ordering::Relaxed);
    for (seconds, status) in [(0, 200), (-2, 200), (-3, 503), (10, 200), (11, 503)] {
        world.steps.skew.store(seconds, Ordering::Relaxed);
        sweep::compare_clocks(&world.app).await.unwrap();
        world.get("/health/ready").await.is(status);
    }
}

#[tokio::test]
async fn draining_is_not_ready() {
    let world = World::new().await;
    assert_eq!(
        world.get("/health/ready").await.is(200).body,
        json!({"status": "ok"})
    );
    world.app.drain();
    let ready = world.get("/health/ready").await;
    assert_eq!(ready.is(503).body, json!({"status": "failing"}));
    world.get("/health/live").await.is(200);
}
