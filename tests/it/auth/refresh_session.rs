//! `POST /api/auth/refresh-session`

use std::time::Duration;

use aidlc_auth::model::user::Status;
use aidlc_auth::store::Error;
use reqwest::Method;

use crate::support::call::at_once;
use crate::support::world::World;

const ADA: &str = "ada@example.org";
const DAY: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn it_needs_a_live_session() {
    let world = World::new().await;
    let none = world.call(Method::POST, "/api/auth/refresh-session").await;
    none.is(401).is_refused("session_required");
    let token = world.sign_up(ADA).await.token();
    world.logout(&token).await.is(204);
    world.refresh(&token).await.is_refused("session_required");
    let token = world.sign_in(ADA).await.token();
    world.clock.advance(DAY);
    world.refresh(&token).await.is_refused("session_required");
}

#[tokio::test]
async fn the_session_goes_on_under_a_new_token() {
    let world = World::new().await;
    let old = world.sign_up(ADA).await.token();
    let before = world.session(&old).await;
    world.clock.advance(Duration::from_hours(1));
    let refreshed = world.refresh(&old).await;
    refreshed.is(200).is_signed_in();
    let new = refreshed.token();
    assert_ne!(new, old);
    assert_eq!(refreshed["expires_at"], "2026-11-23T10:05:00Z");
    let after = world.session(&new).await;
    for field in ["id", "signed_in_at", "amr"] {
        assert_eq!(after["session"][field], before["session"][field]);
    }
}

#[tokio::test]
async fn for_ten_seconds_the_old_token_works_and_gives_the_same_new_one() {
    let world = World::new().await;
    let old = world.sign_up(ADA).await.token();
    let answers = at_once((0..32).map(|_| world.refresh(&old))).await;
    let new = answers[0].token();
    for answer in &answers {
        assert_eq!(answer.is(200).token(), new);
    }
    world.clock.advance(10 * SECOND);
    world.session(&old).await.is(200);
    assert_eq!(world.refresh(&old).await.token(), new);
    let list = world.sessions(&new).await;
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_older_token_shown_later_ends_the_session() {
    for by_refresh in [true, false] {
        let world = World::new().await;
        let signed_up = world.sign_up(ADA).await;
        let old = signed_up.token();
        let new = world.refresh(&old).await.token();
        world.clock.advance(10 * SECOND + Duration::from_micros(1));
        let shown = if by_refresh {
            world.refresh(&old).await
        } else {
            world.session(&old).await
        };
        shown.is(401).is_refused("session_required");
        world.session(&new).await.is_refused("session_required");
        let row = world.steps.audited("session", "reused").await;
        assert_eq!(signed_up["user"]["id"], row.user.unwrap().to_string());
    }
}

#[tokio::test]
async fn a_grandparent_token_ends_it_too() {
    let world = World::new().await;
    let first = world.sign_up(ADA).await.token();
    let second = world.refresh(&first).await.token();
    world.clock.advance(20 * SECOND);
    let third = world.refresh(&second).await.token();
    world.clock.advance(20 * SECOND);
    world.session(&first).await.is(401);
    world.session(&third).await.is(401);
}

#[tokio::test]
async fn the_thirty_days_never_move() {
    let world = World::new().await;
    let mut token = world.sign_up(ADA).await.token();
    for _ in 0..30 {
        world.clock.advance(DAY - SECOND);
        token = world.refresh(&token).await.is_signed_in().token();
    }
    let session = world.session(&token).await;
    assert_eq!(session["session"]["expires_at"], "2026-12-22T09:05:00Z");
    world.clock.advance(30 * SECOND);
    world.refresh(&token).await.is_refused("session_required");
}

#[tokio::test]
async fn an_account_that_is_switched_off_refreshes_nothing() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    world.set_status(ADA, Status::Deactivated).await;
    world
        .refresh(&token)
        .await
        .is(401)
        .is_refused("session_required");
}

#[tokio::test]
async fn a_database_that_is_away_costs_no_session() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    for step in ["users.get", "sessions.refresh"] {
        world.steps.fail(step, Error::Unavailable("away".into()));
        world
            .refresh(&token)
            .await
            .is(503)
            .is_refused("unavailable");
        world.steps.mend();
    }
    world.refresh(&token).await.is_signed_in();
}
