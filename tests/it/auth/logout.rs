//! `POST /api/auth/logout`

use std::time::Duration;

use aidlc_auth::store::Error;
use reqwest::Method;

use crate::support::world::World;

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn without_a_session_there_is_nothing_to_end() {
    let world = World::new().await;
    let none = world.call(Method::POST, "/api/auth/logout").await;
    assert!(none.is(204).text.is_empty());
    world.logout("rubbish").await.is(204);
    let unknown = format!("{}.{}", "A".repeat(43), "A".repeat(22));
    world.logout(&unknown).await.is(204);
}

#[tokio::test]
async fn it_ends_this_session_and_no_other() {
    let world = World::new().await;
    let first = world.sign_up(ADA).await.token();
    let second = world.sign_in(ADA).await.token();
    world.logout(&first).await.is(204);
    world.session(&first).await.is(401);
    world.session(&second).await.is(200);
    world.logout(&first).await.is(204);
    world.steps.audited("session", "signed_out").await;
}

#[tokio::test]
async fn a_token_that_was_refreshed_still_names_the_session_to_end() {
    for later in [0, 60] {
        let world = World::new().await;
        let old = world.sign_up(ADA).await.token();
        let new = world.refresh(&old).await.token();
        world.clock.advance(Duration::from_secs(later));
        world.logout(&old).await.is(204);
        world.session(&new).await.is(401);
    }
}

#[tokio::test]
async fn it_does_not_say_done_when_it_is_not() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    world
        .steps
        .fail("sessions.end", Error::Unavailable("away".into()));
    world.logout(&token).await.is(503).is_refused("unavailable");
    world.steps.mend();
    world.session(&token).await.is(200);
}
