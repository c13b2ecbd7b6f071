//! The sweep: what fails holds up nothing else.

use std::time::Duration;

use aidlc_auth::clock::Clock as _;
use aidlc_auth::model::user::{ProfileChange, Status};
use aidlc_auth::store::Error;
use aidlc_auth::work::sweep;

use crate::support::world::{World, address};

const STEPS: [&str; 5] = [
    "users.check",
    "users.follow_ups",
    "challenges.sweep",
    "sessions.sweep",
    "users.erase",
];

#[tokio::test]
async fn a_step_that_fails_holds_up_no_other() {
    let world = World::new().await;
    for failing in STEPS {
        world
            .steps
            .fail(failing, Error::Broken("unreadable".into()));
        let before = STEPS.map(|step| world.steps.count_of(step));
        sweep::once(&world.app).await;
        let after = STEPS.map(|step| world.steps.count_of(step));
        assert_eq!(after, before.map(|count| count + 1), "{failing} fails");
        world.steps.mend();
    }
}

#[tokio::test]
async fn a_follow_up_that_fails_holds_up_no_other() {
    let world = World::new().await;
    world.sign_up("ada@example.org").await;
    let bobs = world.sign_up("bob@example.org").await.token();
    let ada = world.user("ada@example.org").await.unwrap();
    // Two changes of a process that died before it could follow them up.
    let users = &world.stores.users;
    let (change, audit) = (ProfileChange::default(), world.operator());
    let changed = users.change_profile(ada.id, &change, &audit).await;
    let left = changed.unwrap().unwrap();
    switch_off(&world, "bob@example.org").await;

    let unreadable = Error::Broken("unreadable".into());
    world.steps.fail("sessions.renew", unreadable);
    world.clock.advance(Duration::from_secs(16));
    sweep::once(&world.app).await;
    world.session(&bobs).await.is(401);
    let rest = users.follow_ups(world.clock.now()).await.unwrap();
    assert_eq!(
        rest.iter().map(|left| left.id).collect::<Vec<_>>(),
        [left.id]
    );

    world.steps.mend();
    sweep::once(&world.app).await;
    assert!(
        users
            .follow_ups(world.clock.now())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn codes_end_even_if_sessions_cannot() {
    let world = World::new().await;
    world.sign_up("ada@example.org").await;
    world.clock.advance(Duration::from_secs(60));
    world.ask_to_sign_in("ada@example.org").await;
    switch_off(&world, "ada@example.org").await;
    let unreadable = Error::Broken("unreadable".into());
    world.steps.fail("sessions.end", unreadable);
    world.clock.advance(Duration::from_secs(16));
    let ended = world.steps.count_of("challenges.end");
    sweep::once(&world.app).await;
    assert_eq!(world.steps.count_of("challenges.end"), ended + 1);
    let left = world
        .stores
        .users
        .follow_ups(world.clock.now())
        .await
        .unwrap();
    assert_eq!(left.len(), 1, "it is tried again");
}

/// Switches an account off, as a process that dies before it can follow that up.
async fn switch_off(world: &World, email: &str) {
    let (address, audit) = (address(email), world.operator());
    let users = &world.stores.users;
    let switched = users
        .set_status(&address, Status::Deactivated, &audit)
        .await;
    switched.unwrap().unwrap();
}
