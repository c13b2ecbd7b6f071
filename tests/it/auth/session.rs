//! `GET /api/auth/session`

use std::time::Duration;

use aidlc_auth::model::user::Status;
use aidlc_auth::store::Error;

use crate::support::world::World;

const ADA: &str = "ada@example.org";
const DAY: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn without_a_live_session_it_is_401() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    let (secret, user) = token.split_once('.').unwrap();
    let none = world.get("/api/auth/session").await;
    none.is(401).is_refused("session_required");
    assert_eq!(none.header("www-authenticate"), "Bearer");
    for bad in [
        "",
        "x",
        secret,
        &format!("{secret}."),
        &format!("{user}.{secret}"),
        &format!("{}.{user}", "A".repeat(43)),
        &format!("{secret}.{}", "A".repeat(22)),
        &format!("{token}="),
        &format!("{token} {token}"),
    ] {
        let answer = world.session(bad).await;
        answer.is(401).is_refused("session_required");
    }
    for scheme in ["Basic", "Token", ""] {
        let header = format!("{scheme} {token}");
        let call = world
            .get("/api/auth/session")
            .header("authorization", &header);
        call.await.is(401).is_refused("session_required");
    }
}

#[tokio::test]
async fn a_check_is_one_read() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    let before = world.steps.count();
    world.session(&token).await.is(200);
    let scheme = format!("bearer {token}");
    let call = world
        .get("/api/auth/session")
        .header("authorization", &scheme);
    call.await.is(200);
    assert_eq!(
        world.steps.since(before),
        ["sessions.find", "sessions.find"]
    );
}

#[tokio::test]
async fn unused_it_ends_after_a_day() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    world.clock.advance(DAY - SECOND);
    let other = world.sign_in(ADA).await.token();
    world.clock.advance(SECOND);
    world.session(&token).await.is_refused("session_required");
    world.session(&other).await.is(200);
}

#[tokio::test]
async fn each_use_moves_its_end() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    for times in 1..4 {
        world.clock.advance(DAY - SECOND);
        world.session(&token).await.is(200);
        world.steps.taken("sessions.touch", times).await;
    }
    let session = world.session(&token).await;
    assert_eq!(session["session"]["signed_in_at"], "2026-11-22T09:05:00Z");
    assert_eq!(session["session"]["expires_at"], "2026-11-26T09:04:57Z");
}

#[tokio::test]
async fn a_use_is_noted_once_a_minute() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    world.clock.advance(Duration::from_secs(59));
    world.session(&token).await.is(200);
    world.clock.advance(SECOND);
    world.session(&token).await.is(200);
    world.steps.taken("sessions.touch", 1).await;
    world.session(&token).await.is(200);
    let end = "2026-11-23T09:06:00Z";
    assert_eq!(world.session(&token).await["session"]["expires_at"], end);
    assert_eq!(world.steps.count_of("sessions.touch"), 1);
}

#[tokio::test]
async fn however_much_it_is_used_it_ends_after_thirty_days() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    for day in 1..31 {
        world.clock.advance(DAY - SECOND);
        world.session(&token).await.is(200);
        world.steps.taken("sessions.touch", day).await;
    }
    let session = world.session(&token).await;
    assert_eq!(session["session"]["expires_at"], "2026-12-22T09:05:00Z");
    world.clock.advance(29 * SECOND);
    world.session(&token).await.is(200);
    world.clock.advance(SECOND);
    world.session(&token).await.is_refused("session_required");
}

#[tokio::test]
async fn a_touch_that_is_late_brings_nothing_back() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    world.clock.advance(Duration::from_mins(2));
    // Its note cannot be written; the answer does not wait for it.
    world
        .steps
        .fail("sessions.touch", Error::Unavailable("away".into()));
    world.session(&token).await.is(200);
    world.steps.taken("sessions.touch", 1).await;
    world.steps.mend();
    world.logout(&token).await.is(204);
    world.session(&token).await.is_refused("session_required");
}

#[tokio::test]
async fn deactivation_ends_every_session() {
    let world = World::new().await;
    let first = world.sign_up(ADA).await.token();
    let second = world.sign_in(ADA).await.token();
    world.set_status(ADA, Status::Deactivated).await;
    for token in [&first, &second] {
        world.session(token).await.is_refused("session_required");
        world.refresh(token).await.is_refused("session_required");
        world.profile(token).await.is_refused("session_required");
    }
    // Switched on again, what was granted before stays ended.
    world.set_status(ADA, Status::Active).await;
    world.session(&first).await.is_refused("session_required");
    world.clock.advance(Duration::from_mins(1));
    world.sign_in(ADA).await;
}

#[tokio::test]
async fn a_store_that_is_away_is_never_a_missing_session() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    world
        .steps
        .fail("sessions.find", Error::Unavailable("away".into()));
    let answer = world.session(&token).await;
    answer.is(503).is_refused("unavailable");
    assert_eq!(answer["retry_after"], 5);
    assert!(!answer.text.contains("away"));
}
