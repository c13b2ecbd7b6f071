//! Who we are to AWS is asked for when it is needed, and no more often.

use aidlc_auth::aws::Error;
use aidlc_auth::clock::Clock as _;
use jiff::SignedDuration;

use super::world::{Lender, World};

/// A role's key that works for this many more minutes.
fn lend(world: &World, access_key: &str, minutes: i64) {
    let until = world.clock.now() + SignedDuration::from_mins(minutes);
    let (secret_key, token) = ("role's key", Some("role's token"));
    world
        .lender
        .lends(access_key, secret_key, token, Some(until));
    world.manager.know(access_key, secret_key, token);
}

async fn world() -> World {
    let world = World::with(Lender::default()).await;
    lend(&world, "ASIAFIRST", 60);
    world
}

#[tokio::test]
async fn credentials_are_kept_until_shortly_before_they_expire() {
    let world = world().await;
    for _ in 0..3 {
        world.call().await.unwrap();
    }
    assert_eq!(world.lender.asked(), 1);

    for clock in [&world.clock, &world.their_clock] {
        clock.advance(56 * 60);
    }
    lend(&world, "ASIASECOND", 60);
    world.call().await.unwrap();

    assert_eq!(world.lender.asked(), 2);
    assert_eq!(world.manager.callers().last().unwrap(), "ASIASECOND");
}

#[tokio::test]
async fn credentials_that_cannot_be_renewed_serve_to_their_end() {
    let world = world().await;
    world.call().await.unwrap();
    world.lender.fails();

    for clock in [&world.clock, &world.their_clock] {
        clock.advance(58 * 60);
    }
    world.call().await.unwrap();

    for clock in [&world.clock, &world.their_clock] {
        clock.advance(2 * 60);
    }
    let error = world.call().await.unwrap_err();
    assert!(matches!(error, Error::NoCredentials(_)), "{error:?}");
    assert!(error.to_string().contains("the lender is away"), "{error}");

    lend(&world, "ASIASECOND", 60);
    world.call().await.unwrap();
}

#[tokio::test]
async fn credentials_that_aws_refuses_are_looked_up_anew_once() {
    let world = world().await;
    world.call().await.unwrap();

    // Long before their time, as when a role is given other sessions.
    lend(&world, "ASIASECOND", 60);
    world.call().await.unwrap();
    assert_eq!(world.lender.asked(), 2);
    assert_eq!(
        world.manager.callers(),
        ["ASIAFIRST", "ASIAFIRST", "ASIASECOND"]
    );

    world.manager.know("ASIATHIRD", "role's key", None);
    let refused = world.call().await.unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
    assert_eq!(world.lender.asked(), 3);
    assert_eq!(world.manager.calls(), 5);
}

#[tokio::test]
async fn callers_share_one_look() {
    let world = world().await;

    let calls = tokio::join!(world.call(), world.call(), world.call(), world.call());

    assert!(calls.0.is_ok() && calls.1.is_ok() && calls.2.is_ok() && calls.3.is_ok());
    assert_eq!(world.lender.asked(), 1);
}
